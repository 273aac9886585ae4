r"""Spaces of features side by side, each with a weight: what a search over weights needs of them.

With a space's weight :math:`g_s` its features count as :math:`\sqrt{g_s} X_s`: the penalty of its
coefficients is :math:`a / g_s`. In the primal the Gram matrix of weighted features is
:math:`D X^T X D`, in the dual the kernel is :math:`\sum_s g_s K_s`; both come from matrices
that are made once. From there every fold is one of :mod:`fornix.solvers.fractions`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fornix.solvers.backend import Array, Backend
from fornix.solvers.fractions import Fold, Products, System, down_dated
from fornix.solvers.panels import Columns, Matrix, centred, moments, side_by_side

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Features:
    """Spaces as matrices.

    Attributes
    ----------
    spaces
        (sample, feature) each, finite.
    new
        Samples to predict, (sample, feature) each, or None.
    """

    spaces: Sequence[Matrix]
    new: Sequence[Matrix] | None = None

    @property
    def X(self) -> Matrix:  # noqa: N802  # the field's name of it
        """All spaces side by side."""
        return side_by_side(self.spaces)

    @property
    def at(self) -> Matrix | None:
        """Samples to predict, of all spaces."""
        return None if self.new is None else side_by_side(self.new)

    @property
    def owner(self) -> NDArray[np.intp]:
        """Space of each feature."""
        widths = [space.shape[1] for space in self.spaces]
        return np.repeat(np.arange(len(widths)), widths)

    @property
    def n_spaces(self) -> int:
        """How many spaces there are."""
        return len(self.spaces)

    @property
    def n_samples(self) -> int:
        """How many samples there are."""
        return len(self.spaces[0])

    @property
    def dual(self) -> bool:
        """Whether there are more features than samples."""
        return len(self.owner) > self.n_samples


@dataclass(frozen=True)
class Kernels:
    """Spaces as kernels.

    Attributes
    ----------
    grams
        One (sample, sample) a space.
    across
        One (sample to predict, sample) a space, or None.
    """

    grams: list[NDArray[Any]]
    across: list[NDArray[Any]] | None = None

    @property
    def n_spaces(self) -> int:
        """How many spaces there are."""
        return len(self.grams)

    @property
    def n_samples(self) -> int:
        """How many samples there are."""
        return len(self.grams[0])

    @property
    def dual(self) -> bool:
        """Kernels are."""
        return True


class Bands(ABC):
    """Weighted spaces, without what depends on the targets.

    Attributes
    ----------
    system
        Of equal weights: penalties, folds and the backend.
    n_spaces
        How many spaces there are.
    """

    system: System
    n_spaces: int

    @abstractmethod
    def weighted(self, weights: Floats) -> Weighted:
        """Return the spaces with weights (space,)."""

    @abstractmethod
    def products(self, Y: Array) -> Products | None:
        """Return the products of features and targets (about their means) that folds need."""

    @abstractmethod
    def parts(self, weights: Floats, solved: Array) -> list[Array]:
        """Return each space's part of the predictions, (sample to predict, target).

        Parameters
        ----------
        weights
            (space, target).
        solved
            Of :meth:`Weighted.solve`.
        """

    @abstractmethod
    def coef(self, weights: Floats, solved: Array) -> Array | None:
        """Return coefficients (feature, target); None where there are none, as with kernels."""


class Weighted(ABC):
    """Spaces with given weights."""

    @abstractmethod
    def fold(self, number: int) -> Fold:
        """Return what a fold needs."""

    @abstractmethod
    def solve(self, Y: Array, products: Products | None, alpha: Array) -> Array:
        """Return dual weights, or coefficients in the primal, of a fit on all samples.

        Parameters
        ----------
        Y
            (sample, target), about their means.
        products
            Of :meth:`Bands.products`.
        alpha
            Penalty of each target.
        """


class Primal(Bands):
    """More samples than features: what a candidate costs doesn't depend on the samples."""

    def __init__(
        self, given: Features, alphas: Floats, tests: list[NDArray[np.intp]], backend: Backend
    ) -> None:
        self.mean = moments(given.X)[0]
        self.X = Columns(centred(given.X, self.mean), backend)
        gram = self.X.gram()
        self.system = System(self.X, self.mean, gram, False, alphas, tests, backend)
        self.owner, self.n_spaces = given.owner, given.n_spaces
        self.at = None if given.at is None else backend.array(centred(given.at, self.mean))
        n = given.n_samples
        self.trains = [np.setdiff1d(np.arange(n), test) for test in tests]
        self.folds = [
            down_dated(gram, self.X[test], len(train))
            for train, test in zip(self.trains, tests, strict=True)
        ]

    def weighted(self, weights: Floats) -> Weighted:
        """Return the spaces with weights (space,)."""
        return _WeightedPrimal(self, self._scale(weights))

    def products(self, Y: Array) -> Products | None:
        """Return X'Y of all samples and of each fold's held-out ones."""
        parts = {int(rows[0]): self.X.down(Y[rows], rows) for rows in self.system.tests}
        return sum(parts.values()), parts

    def parts(self, weights: Floats, solved: Array) -> list[Array]:
        """Return each space's part of the predictions."""
        del weights
        columns = (np.flatnonzero(self.owner == space) for space in range(self.n_spaces))
        return [self.at[:, mine] @ solved[mine] for mine in columns]  # type: ignore[index]  # asked

    def coef(self, weights: Floats, solved: Array) -> Array | None:
        """Return the coefficients."""
        del weights
        return solved

    def _scale(self, weights: Floats) -> Array:
        return self.system.backend.array(np.sqrt(weights)[self.owner])


class _WeightedPrimal(Weighted):
    def __init__(self, bands: Primal, scale: Array) -> None:
        self.bands, self.scale = bands, scale

    def fold(self, number: int) -> Fold:
        bands, scale, system = self.bands, self.scale, self.bands.system
        test, (mean, kernel, judged) = system.tests[number], bands.folds[number]
        values, vectors = system.spectrum(scale[:, None] * kernel * scale[None, :])
        # With the scale in the vectors, products with raw features serve all weights.
        vectors = scale[:, None] * vectors
        onto = None
        if len(test) > len(mean):
            inner = vectors.T @ (judged @ vectors)
        else:
            onto = (bands.X[test] - mean) @ vectors
            inner = onto.T @ onto
        return system.mix(bands.trains[number], test, mean, (values, vectors, onto, inner))

    def solve(self, Y: Array, products: Products | None, alpha: Array) -> Array:
        del Y
        if products is None:
            msg = "the primal is solved from products"
            raise ValueError(msg)
        values, vectors = self.whole
        z = vectors.T @ products[0]
        return vectors @ (z / (values[:, None] + alpha[None, :]))

    @cached_property
    def whole(self) -> tuple[Array, Array]:
        """Eigenvalues and vectors of all samples."""
        scale, system = self.scale, self.bands.system
        values, vectors = system.spectrum(scale[:, None] * system.gram * scale[None, :])
        return values, scale[:, None] * vectors


class Dual(Bands):
    """Kernels, of features or as they are given."""

    def __init__(
        self,
        given: Features | Kernels,
        alphas: Floats,
        tests: list[NDArray[np.intp]],
        backend: Backend,
    ) -> None:
        self.spaces: list[Columns] = []
        self.across: list[Array] | None = None
        self.mean = np.zeros(0)
        if isinstance(given, Features):
            means = [moments(X)[0] for X in given.spaces]
            self.mean = np.concatenate(means)
            pairs = zip(given.spaces, means, strict=True)
            self.spaces = [Columns(centred(X, mean, lazy=True), backend) for X, mean in pairs]
            self.grams = [space.kernel() for space in self.spaces]
            if given.new is not None:
                triples = zip(self.spaces, given.new, means, strict=True)
                self.across = [
                    space.kernel(centred(at, mean, lazy=True)) for space, at, mean in triples
                ]
        else:
            self.grams = [backend.array(_centred(one, one)) for one in given.grams]
            if given.across is not None:
                kernels = zip(given.across, given.grams, strict=True)
                self.across = [backend.array(_centred(one, gram)) for one, gram in kernels]
        self.n_spaces = given.n_spaces
        nothing = Columns(np.zeros((given.n_samples, 0)), backend)
        self.system = System(nothing, self.mean, nothing.X, True, alphas, tests, backend)

    def weighted(self, weights: Floats) -> Weighted:
        """Return the spaces with weights (space,)."""
        used = np.flatnonzero(weights)
        gram = float(weights[used[0]]) * self.grams[used[0]]
        for space in used[1:]:
            gram += float(weights[space]) * self.grams[space]
        return _WeightedDual(replace(self.system, gram=gram))

    def products(self, Y: Array) -> Products | None:
        """Return nothing: folds need the targets themselves."""
        del Y
        return None  # the base class returns something

    def parts(self, weights: Floats, solved: Array) -> list[Array]:
        """Return each space's part of the predictions."""
        if self.across is None:
            msg = "no samples to predict were given"
            raise ValueError(msg)
        pairs = zip(self.system.backend.array(weights), self.across, strict=True)
        return [across @ (weight[None, :] * solved) for weight, across in pairs]

    def coef(self, weights: Floats, solved: Array) -> Array | None:
        """Return the coefficients, or None for kernels."""
        if not self.spaces:
            return None
        backend = self.system.backend
        found = backend.zeros(len(self.mean), solved.shape[1])
        start = 0
        for space, weight in zip(self.spaces, backend.array(weights), strict=True):
            stop = start + space.shape[1]
            found[start:stop] = space.down(weight[None, :] * solved)
            start = stop
        return found


class _WeightedDual(Weighted):
    def __init__(self, system: System) -> None:
        self.system = system

    def fold(self, number: int) -> Fold:
        return self.system.fold(self.system.tests[number])

    def solve(self, Y: Array, products: Products | None, alpha: Array) -> Array:
        del products
        values, vectors = self.whole
        return vectors @ ((vectors.T @ Y) / (values[:, None] + alpha[None, :]))

    @cached_property
    def whole(self) -> tuple[Array, Array]:
        """Eigenvalues and vectors of all samples."""
        return self.system.spectrum(self.system.gram)


def _centred(kernel: NDArray[Any], gram: NDArray[Any]) -> Floats:
    """Return a kernel (any, sample) about the mean of the samples."""
    kernel, middle = np.asarray(kernel, np.float64), np.asarray(gram, np.float64).mean(0)
    return np.asarray(kernel - kernel.mean(1)[:, None] - middle[None, :] + middle.mean())


def bands_of(
    given: Features | Kernels, alphas: Floats, inner_folds: NDArray[Any], backend: Backend
) -> Bands:
    """Return the primal or the dual of some spaces, by their shape."""
    tests = [np.flatnonzero(inner_folds == one) for one in np.unique(inner_folds)]
    if isinstance(given, Features) and not given.dual:
        return Primal(given, alphas, tests, backend)
    return Dual(given, alphas, tests, backend)
