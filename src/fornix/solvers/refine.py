r"""Penalties of spaces by gradient: from the best of a search downhill, for each target by itself.

With :math:`d_s` the logarithm of what a space's weight is multiplied with, the cross-validated
error is smooth in :math:`d`, and its gradient costs one more linear system a fold (Bengio 2000,
Neural Comput 12:1889; Dupre la Tour et al. 2022, NeuroImage 264:119728). Targets that start from
the same weights share an eigendecomposition, which preconditions conjugate gradients: at the start
it solves the systems exactly, and nearby in a few iterations. Steps follow the gradient's sign,
each space's growing while the sign lasts and halved when it turns (Riedmiller & Braun 1993), since
gradients of spaces that differ in use differ by orders of magnitude. The best that was met is
kept, so that no target ends worse than it began.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fornix.solvers.backend import Array
from fornix.solvers.fractions import centred_kernels
from fornix.solvers.spaces import Bands, Dual, Floats, Primal

FIRST_STEP = 0.5
LARGEST_STEP = 2.0
SMALLEST_STEP = 0.01
GROWTH, CUT = 1.2, 0.5

LEAST_WEIGHT = 1e-6
"""Share of the largest weight from which a space that is left out can come back."""

TOLERANCE = 1e-7
"""Residual of a linear system, as a share of its right-hand side."""

EXACT = 1e-11
MOST_ITERATIONS = 200


class Refined(NamedTuple):
    """What a descent returns.

    Attributes
    ----------
    factors
        What weights are multiplied with, (space, target).
    loss
        Sum over folds of the mean squared error, (target,).
    """

    factors: Floats
    loss: Floats


def floored(weights: Floats) -> Floats:
    """Return weights (space,) above 0."""
    return np.asarray(np.maximum(weights, LEAST_WEIGHT * weights.max()))


def refine(bands: Bands, weights: Floats, alpha: Floats, Y: Array, n_steps: int) -> Refined:
    """Descend from weights that some targets share.

    Parameters
    ----------
    bands
        Spaces.
    weights
        Where to start, (space,), above 0.
    alpha
        Penalty of each target.
    Y
        Those targets about their means, (sample, target).
    n_steps
        Evaluations of the gradient at most.
    """
    alphas = bands.system.backend.array(alpha)[None, :]
    folds = [local_of(bands, weights, test) for test in bands.system.tests]
    state: list[tuple[Array, Array]] = [fold.start(Y) for fold in folds]
    shape = (bands.n_spaces, len(alpha))
    moved, step = np.zeros(shape), np.full(shape, FIRST_STEP)
    before = np.zeros(shape)
    best = Refined(np.ones(shape), np.full(len(alpha), np.inf))
    for _ in range(n_steps + 1):
        loss, gradient = np.zeros(len(alpha)), np.zeros(shape)
        for number, fold in enumerate(folds):
            judged = fold.judge(np.exp(moved), alphas, Y, state[number])
            loss, gradient = loss + judged.loss, gradient + judged.gradient
            state[number] = judged.state
        better = loss < best.loss
        best.factors[:, better] = np.exp(moved[:, better])
        best.loss[better] = loss[better]
        turned, lasts = gradient * before < 0, gradient * before > 0
        step = np.where(turned, CUT * step, np.where(lasts, GROWTH * step, step))
        step = np.minimum(step, LARGEST_STEP)
        before = np.where(turned, 0.0, gradient)
        moved = moved - np.sign(before) * step
        if (step < SMALLEST_STEP).all():
            break
    return best


class Judged(NamedTuple):
    """A fold's error, its gradient by the factors' logarithms, and both systems' solutions."""

    loss: Floats
    gradient: Floats
    state: tuple[Array, Array]


class Local(ABC):
    """Linear systems near some weights: of a fold, or of all samples (no test samples)."""

    def __init__(self, bands: Bands, vectors: Array, values: Array, test: NDArray[np.intp]) -> None:
        self.backend, self.n_spaces = bands.system.backend, bands.n_spaces
        self.vectors, self.values = vectors, values
        self.test = test
        self.train = np.setdiff1d(np.arange(len(bands.system.X)), test)

    @abstractmethod
    def right(self, Y: Array) -> Array:
        """Return the right-hand side of training targets (about the training mean)."""

    @abstractmethod
    def times(self, factors: Floats, alpha: Array, solved: Array) -> Array:
        """Return the system's matrix times a vector for each target."""

    @abstractmethod
    def predict(self, factors: Floats, solved: Array) -> Array:
        """Return predictions of the held-out samples."""

    @abstractmethod
    def back(self, factors: Floats, residual: Array) -> Array:
        """Return the transpose of :meth:`predict`."""

    @abstractmethod
    def slope(
        self, factors: Floats, alpha: Array, solved: Array, adjoint: Array, residual: Array
    ) -> Floats:
        """Return the residual times the derivative of the predictions, (space, target)."""

    def finish(self, solved: Array) -> Array:
        """Return what :class:`fornix.solvers.spaces.Bands` makes predictions of."""
        return solved

    def start(self, Y: Array) -> tuple[Array, Array]:
        """Return where the first systems' solutions are looked for."""
        nothing = self.backend.zeros(self.vectors.shape[0], Y.shape[1])
        return nothing, nothing

    def judge(self, factors: Floats, alpha: Array, Y: Array, state: tuple[Array, Array]) -> Judged:
        """Return the error on held-out samples of the targets, and its gradient."""
        held_out = Y[self.test]
        mean = -held_out.sum(0) / len(self.train)
        solved = self.solve(factors, alpha, self.right(Y[self.train] - mean), state[0])
        residual = held_out - mean - self.predict(factors, solved)
        adjoint = self.solve(factors, alpha, self.back(factors, residual), state[1])
        slope = self.slope(factors, alpha, solved, adjoint, residual)
        loss = self.backend.numpy((residual * residual).sum(0)) / len(self.test)
        return Judged(loss, -2 * slope / len(self.test), (solved, adjoint))

    def solve(
        self,
        factors: Floats,
        alpha: Array,
        right: Array,
        first: Array | None = None,
        tolerance: float = TOLERANCE,
    ) -> Array:
        """Solve for each target by preconditioned conjugate gradients."""
        damped = self.values[:, None] + alpha
        outside = 1 / alpha

        def condition(vector: Array) -> Array:
            # Inverse of the start's matrix: what its vectors don't span has the penalty only.
            inside = self.vectors.T @ vector
            return self.vectors @ (inside / damped - inside * outside) + vector * outside

        found = condition(right) if first is None or not first.any() else first
        rest = right - self.times(factors, alpha, found)
        size = (right * right).sum(0)
        towards = condition(rest)
        energy = (rest * towards).sum(0)
        along = towards
        for _ in range(MOST_ITERATIONS):
            left = self.backend.numpy((rest * rest).sum(0) - tolerance**2 * size)
            if (left <= 0).all():
                break
            image = self.times(factors, alpha, along)
            curve = (along * image).sum(0)
            length = energy / (curve + (curve == 0))
            found = found + length * along
            rest = rest - length * image
            towards = condition(rest)
            fresh = (rest * towards).sum(0)
            along = towards + fresh / (energy + (energy == 0)) * along
            energy = fresh
        return found


class _LocalPrimal(Local):
    """(D X'X D + a / f) c = D X'y, of which the coefficients are D c."""

    def __init__(self, bands: Primal, weights: Floats, test: NDArray[np.intp]) -> None:
        system = bands.system
        self.scale = system.backend.array(np.sqrt(weights)[bands.owner])[:, None]
        if len(test):
            number = next(i for i, one in enumerate(system.tests) if one[0] == test[0])
            mean, gram, _ = bands.folds[number]
        else:
            mean, gram = system.backend.zeros(len(bands.owner)), system.gram
        self.gram = self.scale * gram * self.scale.T
        values, vectors = system.spectrum(self.gram + 0)
        super().__init__(bands, vectors, values, test)
        self.owner = bands.owner
        self.X, self.mean = bands.X, mean
        self.at = bands.X[test] - mean

    def right(self, Y: Array) -> Array:
        shift = self.mean[:, None] * Y.sum(0)[None, :]
        return self.scale * (self.X.down(Y, self.train) - shift)

    def times(self, factors: Floats, alpha: Array, solved: Array) -> Array:
        return self.gram @ solved + self._penalty(factors, alpha) * solved

    def finish(self, solved: Array) -> Array:
        return self.scale * solved

    def predict(self, factors: Floats, solved: Array) -> Array:
        del factors
        return self.at @ (self.scale * solved)

    def back(self, factors: Floats, residual: Array) -> Array:
        del factors
        return self.scale * (self.at.T @ residual)

    def slope(
        self, factors: Floats, alpha: Array, solved: Array, adjoint: Array, residual: Array
    ) -> Floats:
        del residual
        each = self.backend.numpy(self._penalty(factors, alpha) * solved * adjoint)
        return np.stack([each[self.owner == i].sum(0) for i in range(self.n_spaces)])

    def _penalty(self, factors: Floats, alpha: Array) -> Array:
        return alpha * self.backend.array((1 / factors)[self.owner])


class _LocalDual(Local):
    """(sum of f g K + a) w = y."""

    def __init__(self, bands: Dual, weights: Floats, test: NDArray[np.intp]) -> None:
        system = bands.system
        train = np.setdiff1d(np.arange(len(system.X)), test)
        grams = [float(w) * gram for w, gram in zip(weights, bands.grams, strict=True)]
        # Kernels of all samples are about their mean already.
        pairs = [(gram, gram[:0]) for gram in grams]
        if len(test):
            pairs = [centred_kernels(gram, train, test) for gram in grams]
        self.kernels = [kernel for kernel, _ in pairs]
        self.across = [across for _, across in pairs]
        values, vectors = system.spectrum(sum(self.kernels) + 0)
        super().__init__(bands, vectors, values, test)

    def right(self, Y: Array) -> Array:
        return Y

    def times(self, factors: Floats, alpha: Array, solved: Array) -> Array:
        return self._weigh(self.kernels, factors, solved) + alpha * solved

    def predict(self, factors: Floats, solved: Array) -> Array:
        return self._weigh(self.across, factors, solved)

    def back(self, factors: Floats, residual: Array) -> Array:
        return self._weigh([across.T for across in self.across], factors, residual)

    def slope(
        self, factors: Floats, alpha: Array, solved: Array, adjoint: Array, residual: Array
    ) -> Floats:
        del alpha
        found = []
        for factor, kernel, across in zip(factors, self.kernels, self.across, strict=True):
            direct = (residual * (across @ solved)).sum(0)
            found.append(factor * self.backend.numpy(direct - (adjoint * (kernel @ solved)).sum(0)))
        return np.stack(found)

    def _weigh(self, matrices: list[Array], factors: Floats, vectors: Array) -> Array:
        rows = self.backend.array(factors)
        return sum(
            matrix @ (row[None, :] * vectors) for matrix, row in zip(matrices, rows, strict=True)
        )


def local_of(bands: Bands, weights: Floats, test: NDArray[np.intp]) -> Local:
    """Return the linear systems near some weights; no test samples: of all samples."""
    if isinstance(bands, Primal):
        return _LocalPrimal(bands, weights, test)
    if isinstance(bands, Dual):
        return _LocalDual(bands, weights, test)
    raise TypeError(type(bands))
