"""Banded ridge: a penalty for each space of features and target, by random search.

Candidates are weights of the spaces; for each, all penalties are judged at once, exactly
(:mod:`fornix.solvers.fractions`), from one eigendecomposition a fold. The criterion and the search
are those of Dupre la Tour et al. 2022 (NeuroImage 264:119728); so is what kernels that aren't
linear make of it, multiple-kernel ridge.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fornix.errors import FornixError
from fornix.progress import track
from fornix.solvers.backend import Array, Backend, keep_freed_memory
from fornix.solvers.fractions import Products, losses
from fornix.solvers.panels import not_finite
from fornix.solvers.refine import EXACT, floored, local_of, refine
from fornix.solvers.ridge import BLOCK, MEMORY
from fornix.solvers.spaces import Bands, Features, Floats, Kernels, bands_of

CONCENTRATIONS = (0.1, 1.0)
"""Of the Dirichlet distribution, in turn: weights with few large ones, and any."""


class BandedSolution(NamedTuple):
    """What a search returns.

    Attributes
    ----------
    coef
        (feature, target); None where they weren't wanted or spaces are kernels.
    dual
        Weights of the samples, (sample, target), where spaces are kernels and coefficients are
        wanted: a space's part is its weight times kernel @ dual (kernels about the mean).
    intercept
        (target,).
    weights
        Of the spaces, float64 (space, target).
    alpha
        Penalty, float64 (target,); a space's own is alpha / weight.
    loss
        Cross-validated mean squared error, float64 (target,).
    predicted
        Predictions for the samples that were asked for, (sample, target), or None.
    parts
        What each space adds to them, (space, sample, target), or None: with the training mean of
        the target they sum to the predictions.
    """

    coef: NDArray[Any] | None
    dual: NDArray[Any] | None
    intercept: NDArray[Any]
    weights: Floats
    alpha: Floats
    loss: Floats
    predicted: NDArray[Any] | None
    parts: NDArray[Any] | None


def dirichlet(n_candidates: int, n_spaces: int, rng: np.random.Generator) -> Floats:
    """Return weights to try, (candidate, space), that sum to 1.

    First equal ones, then each space alone, then draws of Dirichlet distributions.
    """
    fixed = [np.full((1, n_spaces), 1 / n_spaces)] + [np.eye(n_spaces)] * (n_spaces > 1)
    if n_spaces == 1:
        return fixed[0]
    start = np.concatenate(fixed)[:n_candidates]
    drawn = [
        rng.dirichlet([CONCENTRATIONS[i % len(CONCENTRATIONS)]] * n_spaces)
        for i in range(n_candidates - len(start))
    ]
    return np.concatenate([start, *(one[None] for one in drawn)])


def solve(
    spaces: Features | Kernels,
    Y: Any,
    candidates: Floats,
    alphas: Floats,
    inner_folds: NDArray[np.intp],
    *,
    with_coef: bool = True,
    with_parts: bool = False,
    n_steps: int = 0,
    backend: Backend | None = None,
    memory: int = MEMORY,
    what: str = "banded ridge: candidates",
) -> BandedSolution:
    """Choose each target's weights and penalty by cross-validated squared error, and fit.

    Of candidates, and of penalties, that are equally good the first is taken.

    Parameters
    ----------
    spaces
        Features or kernels, and the samples to predict.
    Y
        (sample, target), finite; an array, or whatever gives one for ``Y[:, start:stop]``.
    candidates
        Weights of the spaces to try, (candidate, space), not negative.
    alphas
        Penalties, above 0.
    inner_folds
        Fold of each sample.
    with_coef
        Whether coefficients (or weights of the samples) are wanted.
    with_parts
        Whether each space's part of the predictions is wanted.
    n_steps
        Steps down the gradient from the best of the candidates (:mod:`fornix.solvers.refine`).
    backend
        Where to compute; NumPy by default.
    memory
        Bytes for working arrays; what is returned comes on top.
    what
        For the line of progress.

    Raises
    ------
    FornixError
        If values aren't finite, there is one fold, weights are negative or all 0, a penalty isn't
        positive, or the memory doesn't hold the matrices.
    """
    backend = backend or Backend()
    keep_freed_memory()
    alphas = np.asarray(alphas, dtype=np.float64)
    candidates = np.asarray(candidates, dtype=np.float64)
    _check(spaces, candidates, alphas, inner_folds)
    need = _matrices(spaces, len(np.unique(inner_folds)))
    if need > memory:
        problem = f"the matrices of {spaces.n_spaces} spaces and {spaces.n_samples} samples need "
        problem += f"{need / 1e6:.0f} MB, and the solver may take {memory / 1e6:.0f} MB"
        mend = "raise compute.memory_mb, or keep fewer features or spaces"
        raise FornixError(problem, where="banded ridge", mend=mend)
    bands = bands_of(spaces, alphas, inner_folds, backend)
    answer = _Answer(spaces, bands, Y, with_coef=with_coef, with_parts=with_parts)
    size = _panel(spaces, len(bands.system.tests), len(alphas), memory - need)
    starts = range(0, Y.shape[1], size)
    for start in starts:
        panel = slice(start, min(start + size, Y.shape[1]))
        blocks = [_Block(bands, Y, some) for some in _cut(panel)]
        _search(bands, blocks, candidates, answer, what)
        answer.fit(blocks, n_steps)
    return answer.solution()


class _Block:
    """Some targets, as folds need them."""

    def __init__(self, bands: Bands, Y: Any, some: slice) -> None:
        given = np.asarray(Y[:, some], dtype=np.float64)
        if bad := int((~np.isfinite(given)).any(0).sum()):
            problem = f"{bad} of {given.shape[1]} targets hold values that aren't finite"
            raise FornixError(problem, where="banded ridge", mend="leave these units out")
        self.some = some
        self.mean = given.mean(0)
        self.Y: Array = bands.system.backend.array(given - self.mean)
        self.products: Products | None = bands.products(self.Y)


def _search(
    bands: Bands, blocks: list[_Block], candidates: Floats, answer: _Answer, what: str
) -> None:
    """Judge every candidate; keep the best of each target."""
    system = bands.system
    for number, weights in enumerate(track(candidates, what, len(candidates))):
        weighted = bands.weighted(weights)
        found = [0.0] * len(blocks)
        for index in range(len(system.tests)):
            fold = weighted.fold(index)
            for place, block in enumerate(blocks):
                found[place] = found[place] + losses(fold, block.Y, block.products)
        for loss, block in zip(found, blocks, strict=True):
            answer.keep(number, weights, system.backend.numpy(loss), block.some)


class _Answer:
    """The solution in the making."""

    def __init__(
        self,
        spaces: Features | Kernels,
        bands: Bands,
        Y: Any,
        *,
        with_coef: bool,
        with_parts: bool,
    ) -> None:
        self.bands = bands
        t = Y.shape[1]
        kind = Y.dtype if Y.dtype == np.float32 else np.dtype(np.float64)
        self.loss = np.full(t, np.inf)
        self.alpha = np.empty(t)
        self.chosen = np.zeros(t, dtype=np.intp)
        self.weights = np.empty((bands.n_spaces, t))
        self.intercept = np.empty(t)
        self.coef = self.dual = self.predicted = self.parts = None
        at: Any = spaces.across[0] if isinstance(spaces, Kernels) and spaces.across else None
        if isinstance(spaces, Features):
            at = None if spaces.new is None else spaces.new[0]
            self.coef = np.empty((len(spaces.owner), t), dtype=kind) if with_coef else None
        elif with_coef:
            self.dual = np.empty((spaces.n_samples, t), dtype=kind)
        if at is not None:
            self.predicted = np.empty((len(at), t), dtype=kind)
            shape = (bands.n_spaces, len(at), t)
            self.parts = np.empty(shape, dtype=kind) if with_parts else None

    def keep(self, number: int, weights: Floats, loss: Floats, some: slice) -> None:
        """Take a candidate for the targets that it is better for."""
        least = loss.min(0)
        better = np.flatnonzero(least < self.loss[some]) + some.start
        mine = better - some.start
        self.loss[better] = least[mine]
        self.alpha[better] = self.bands.system.alphas[loss.argmin(0)[mine]]
        self.chosen[better] = number
        self.weights[:, better] = weights[:, None]

    def fit(self, blocks: list[_Block], n_steps: int) -> None:
        """Fit the targets of some blocks on all samples, those with the same weights together."""
        first, last = blocks[0].some.start, blocks[-1].some.stop
        numbers = np.unique(self.chosen[first:last])
        for number in track(numbers, "banded ridge: steps") if n_steps else numbers:
            weighted = None
            for block in blocks:
                mine = np.flatnonzero(self.chosen[block.some] == number)
                if not len(mine):
                    continue
                # Of its own: refining writes what it finds into the targets' columns.
                weights = self.weights[:, block.some.start + mine[0]].copy()
                if n_steps and len(weights) > 1:
                    mine = self._refine(weights, block, mine, n_steps)
                weighted = weighted or self.bands.weighted(weights)
                products: Products | None = None
                if block.products is not None:
                    products = block.products[0][:, mine], {}
                alpha = self.bands.system.backend.array(self.alpha[block.some.start + mine])
                self._take(weighted.solve(block.Y[:, mine], products, alpha), block, mine)

    def _refine(
        self, weights: Floats, block: _Block, mine: NDArray[np.intp], n_steps: int
    ) -> NDArray[np.intp]:
        """Descend from weights; return the targets that were best as they were."""
        units, start = block.some.start + mine, floored(weights)
        Y = block.Y[:, mine]
        found = refine(self.bands, start, self.alpha[units], Y, n_steps)
        better = np.flatnonzero(found.loss < self.loss[units])
        local = local_of(self.bands, start, np.arange(0))
        alpha = self.bands.system.backend.array(self.alpha[units[better]])[None, :]
        factors = found.factors[:, better]
        solved = local.solve(factors, alpha, local.right(Y[:, better]), tolerance=EXACT)
        changed = start[:, None] * factors
        self.loss[units[better]] = found.loss[better]
        self.weights[:, units[better]] = changed
        self._take(local.finish(solved), block, mine[better])
        # Only their ratio to the penalty counts.
        self.weights[:, units[better]] /= changed.sum(0)
        self.alpha[units[better]] /= changed.sum(0)
        return np.delete(mine, better)

    def _take(self, solved: Array, block: _Block, mine: NDArray[np.intp]) -> None:
        bands, backend = self.bands, self.bands.system.backend
        units, means = block.some.start + mine, block.mean[mine]
        weights = self.weights[:, units]
        self.intercept[units] = means
        if self.predicted is not None:
            parts = [backend.numpy(part) for part in bands.parts(weights, solved)]
            self.predicted[:, units] = sum(parts) + means
            if self.parts is not None:
                self.parts[:, :, units] = np.stack(parts)
        if self.coef is not None:
            coef = backend.numpy(bands.coef(weights, solved))
            self.coef[:, units] = coef
            self.intercept[units] = means - bands.system.mean @ coef
        if self.dual is not None:
            self.dual[:, units] = backend.numpy(solved)

    def solution(self) -> BandedSolution:
        """Return it."""
        return BandedSolution(
            self.coef,
            self.dual,
            self.intercept,
            self.weights,
            self.alpha,
            self.loss / len(self.bands.system.tests),
            self.predicted,
            self.parts,
        )


def work(n: int, p: int, t: int, n_folds: int, n_candidates: int) -> float:
    """Return about how many floating-point operations a search takes."""
    r = min(n, p)
    return (n_candidates + 1) * (n_folds + 1) * (10.0 * r**3 + 4.0 * r * r * t)


def _cut(panel: slice) -> list[slice]:
    starts = range(panel.start, panel.stop, BLOCK)
    return [slice(start, min(start + BLOCK, panel.stop)) for start in starts]


def _matrices(spaces: Features | Kernels, n_folds: int) -> int:
    """Return the bytes of the matrices that don't depend on the targets."""
    n = spaces.n_samples
    if spaces.dual:
        m = 0
        if isinstance(spaces, Kernels):
            m = 0 if spaces.across is None else len(spaces.across[0])
        elif spaces.new is not None:
            m = len(spaces.new[0])
        return 8 * (n * (n + m) * spaces.n_spaces + 6 * n * n)
    p = len(spaces.owner) if isinstance(spaces, Features) else 0
    return 8 * (p * p * (2 * n_folds + 7) + n * p)


def _panel(spaces: Features | Kernels, n_folds: int, n_alphas: int, memory: int) -> int:
    """Return how many targets are searched for together: all, if the memory holds them.

    A multiple of ``BLOCK``, or a power of two below it (:func:`fornix.solvers.ridge.solve`).
    """
    n = spaces.n_samples
    r = n if spaces.dual or isinstance(spaces, Kernels) else len(spaces.owner)
    working = BLOCK * 8 * (5 * r + 2 * n)
    each = 8 * (n + n_alphas + (0 if spaces.dual else (n_folds + 1) * r))
    held = int(max(64, (memory - working) // each))
    return held // BLOCK * BLOCK or 1 << (held.bit_length() - 1)


def _check(
    spaces: Features | Kernels, candidates: Floats, alphas: Floats, inner_folds: NDArray[Any]
) -> None:
    where = "banded ridge"
    if len(np.unique(inner_folds)) < 2:
        problem = "penalties can't be chosen: all training samples are in one inner fold"
        mend = "give the training samples two groups or more, or fewer outer folds (cv.n_splits)"
        raise FornixError(problem, where=where, mend=mend)
    if not (alphas > 0).all():
        problem = "a penalty isn't above 0"
        raise FornixError(problem, where=where, mend="mend alphas")
    wrong = candidates.ndim != 2 or candidates.shape[1] != spaces.n_spaces
    if wrong or not (candidates >= 0).all() or not candidates.any(1).all():
        problem = f"weights to try aren't (candidate, {spaces.n_spaces}), or negative, or all 0"
        raise FornixError(problem, where=where, mend="mend the candidates")
    if isinstance(spaces, Features):
        if bad := sum(not_finite(space) for space in spaces.spaces):
            problem = f"{bad} of {len(spaces.owner)} features aren't finite"
            raise FornixError(problem, where=where, mend="leave the layer out")
    elif bad := sum(not np.isfinite(gram).all() for gram in spaces.grams):
        problem = f"{bad} of {spaces.n_spaces} kernels aren't finite"
        raise FornixError(problem, where=where, mend="leave the layer out")
