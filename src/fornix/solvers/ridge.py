"""Ridge regression with a penalty for each target, chosen by cross-validation, exactly.

In the primal where there are more samples than features, in the dual otherwise; Gram matrices of
folds by taking the held-out part off the whole; one eigendecomposition a fold; all penalties by one
product (:mod:`fornix.solvers.fractions`); targets block by block.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fornix.errors import FornixError
from fornix.solvers.backend import Backend, keep_freed_memory
from fornix.solvers.fractions import Fold, System, losses
from fornix.solvers.panels import Matrix, centred, not_finite

BLOCK = 1024
"""Targets that are worked on at once: their arrays then stay in the processor's cache."""

MEMORY = 1 << 30
"""Bytes for working arrays where nothing else is said."""


class Solution(NamedTuple):
    """What a solver returns.

    Attributes
    ----------
    coef
        (feature, target), or None where they weren't wanted.
    intercept
        (target,).
    alpha
        Penalty of each target, one of the grid's values, float64 (target,).
    loss
        Its cross-validated mean squared error, float64 (target,).
    predicted
        Predictions for the samples that were asked for, (sample, target), or None.
    """

    coef: NDArray[Any] | None
    intercept: NDArray[Any]
    alpha: NDArray[np.float64]
    loss: NDArray[np.float64]
    predicted: NDArray[Any] | None = None


def solve(
    X: Matrix,
    Y: Any,
    alphas: NDArray[np.float64],
    inner_folds: NDArray[np.intp],
    *,
    at: Matrix | None = None,
    with_coef: bool = True,
    backend: Backend | None = None,
    memory: int = MEMORY,
) -> Solution:
    """Choose each target's penalty by cross-validated squared error, and fit on all samples.

    The criterion is himalaya's (Dupre la Tour et al. 2022, NeuroImage 264:119728): the mean over
    folds of a fold's mean squared error, with the training means taken off; of penalties that are
    equally good the first.

    Parameters
    ----------
    X
        (sample, feature), finite; an array, or panels (:mod:`fornix.solvers.panels`).
    Y
        (sample, target), finite; an array, or whatever gives one for ``Y[:, start:stop]``.
    alphas
        Penalties, above 0.
    inner_folds
        Fold of each sample.
    at
        Samples to predict, (sample, feature).
    with_coef
        Whether coefficients are wanted. With many more features than samples it is cheaper to
        predict without them.
    backend
        Where to compute; NumPy by default.
    memory
        Bytes for working arrays; what is returned comes on top.

    Raises
    ------
    FornixError
        If values aren't finite, there is one fold, a penalty isn't positive, or the memory doesn't
        hold one fold's matrices.
    """
    backend = backend or Backend()
    keep_freed_memory()
    _check(X, Y, alphas, inner_folds)
    t = Y.shape[1]
    alphas = np.asarray(alphas, dtype=np.float64)
    system = System.of(X, alphas, inner_folds, backend)
    kept = _kept(system, memory)
    size = _block(system, t, memory)
    blocks = [slice(start, min(start + size, t)) for start in range(0, t, size)]
    answer = _Answer(system, Y, at, with_coef=with_coef)
    if kept:
        folds = [system.fold(rows) for rows in system.tests]
        for some in blocks:
            block = answer.block(some)
            for fold in folds:
                answer.judge(fold, some, block)
            answer.fit(some, block)
    else:  # one fold's matrices at a time: products with the targets are made again for each
        for rows in system.tests:
            fold = system.fold(rows)
            for some in blocks:
                answer.judge(fold, some, answer.block(some))
        for some in blocks:
            answer.fit(some, answer.block(some))
    return answer.solution()


def work(n: int, p: int, t: int, n_folds: int) -> float:
    """Return about how many floating-point operations a solution takes."""
    r = min(n, p)
    return (n_folds + 1) * (10.0 * r**3 + 4.0 * r * r * t + 2.0 * n * r * (r + t))


class _Answer:
    """The solution in the making, block of targets by block."""

    def __init__(self, system: System, Y: Any, at: Matrix | None, *, with_coef: bool) -> None:
        self.system, self.Y = system, Y
        t = Y.shape[1]
        kind = Y.dtype if Y.dtype == np.float32 else np.dtype(np.float64)
        self.losses = np.zeros((len(system.alphas), t))
        self.alpha = np.empty(t)
        self.intercept = np.empty(t)
        p = system.X.shape[1]
        self.coef = np.empty((p, t), dtype=kind) if with_coef else None
        self.predicted = None if at is None else np.empty((len(at), t), dtype=kind)
        self.points: Any = None
        if at is not None:
            points = centred(at, system.mean, lazy=system.dual)
            # Dual: predictions are kernel @ dual weights, and no coefficients are needed.
            self.points = system.X.kernel(points) if system.dual else system.backend.array(points)
        self.whole: Any = None

    def block(self, some: slice) -> Any:
        """Return targets about their means, the means, and the products with the features."""
        system = self.system
        given = np.asarray(self.Y[:, some], dtype=np.float64)
        if bad := int((~np.isfinite(given)).any(0).sum()):
            problem = f"{bad} of {given.shape[1]} targets hold values that aren't finite"
            raise FornixError(problem, where="ridge", mend="leave these units out")
        Y = system.backend.array(given)
        mean = Y.sum(0) / len(Y)
        Y = Y - mean
        if system.dual:
            return Y, mean, None
        parts = {int(rows[0]): system.X.down(Y[rows], rows) for rows in system.tests}
        return Y, mean, (sum(parts.values()), parts)

    def judge(self, fold: Fold, some: slice, block: Any) -> None:
        """Add a fold's errors."""
        Y, _, products = block
        self.losses[:, some] += self.system.backend.numpy(losses(fold, Y, products))

    def fit(self, some: slice, block: Any) -> None:
        """Choose the penalties of a block, and fit it on all samples."""
        system, (Y, mean, products) = self.system, block
        if self.whole is None:
            self.whole = system.spectrum(system.gram)
        values, vectors = self.whole
        self.alpha[some] = system.alphas[self.losses[:, some].argmin(0)]
        alpha = system.backend.array(self.alpha[some])
        z = vectors.T @ (Y if products is None else products[0])
        z /= values[:, None] + alpha[None, :]
        weights = vectors @ z
        means = system.backend.numpy(mean)
        self.intercept[some] = means
        if self.predicted is not None:
            self.predicted[:, some] = system.backend.numpy(self.points @ weights + mean)
        if self.coef is not None:
            coef = system.backend.numpy(system.X.down(weights) if system.dual else weights)
            self.coef[:, some] = coef
            self.intercept[some] = means - system.mean @ coef

    def solution(self) -> Solution:
        """Return it."""
        loss = self.losses.min(0) / len(self.system.tests)
        return Solution(self.coef, self.intercept, self.alpha, loss, self.predicted)


def _kept(system: System, memory: int) -> bool:
    """Return whether all folds' matrices fit in half the memory.

    Raises
    ------
    FornixError
        If not even one fold's do.
    """
    n, r = len(system.X), len(system.gram)
    need = 8 * 3 * r * r
    if need > memory:
        problem = f"one fold's matrices ({r} by {r}) need {need / 1e6:.0f} MB, and the solver may "
        problem += f"take {memory / 1e6:.0f} MB"
        mend = "raise compute.memory_mb, or keep fewer features (pca, or features' projection)"
        raise FornixError(problem, where="ridge", mend=mend)
    return len(system.tests) * 8 * 2 * r * r + 8 * n * r <= memory / 2


def _block(system: System, n_targets: int, memory: int) -> int:
    """Return how many targets are worked on at once.

    A power of two, or all: targets that are fitted ``BLOCK`` by ``BLOCK`` elsewhere are cut at the
    same places then, and products of the same shapes have the same bits.
    """
    n, r = len(system.X), len(system.gram)
    each = 8 * (4 * n + (6 + len(system.tests)) * r + 4 * len(system.alphas))
    held = max(1, int(memory / 4) // each)
    return min(n_targets, BLOCK, 1 << (held.bit_length() - 1))


def _check(X: Any, Y: Any, alphas: NDArray[Any], inner_folds: NDArray[Any]) -> None:
    if len(np.unique(inner_folds)) < 2:
        problem = "the penalty can't be chosen: all training samples are in one inner fold"
        mend = "give the training samples two groups or more, or fewer outer folds (cv.n_splits)"
        raise FornixError(problem, where="ridge", mend=mend)
    if not (np.asarray(alphas) > 0).all():
        problem = "a penalty isn't above 0"
        raise FornixError(problem, where="ridge", mend="mend alphas")
    if bad := not_finite(X):
        problem = f"{bad} of {X.shape[1]} features aren't finite"
        raise FornixError(problem, where="ridge", mend="leave the layer out")
