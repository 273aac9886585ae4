"""Matrices that are made a few columns at a time, so that they needn't fit into memory.

Features with delays (FIR) are copies of the same features, each shifted by sparse operators. What a
solver needs of them are sums over their columns: kernels, Gram matrices and products with targets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fornix.solvers.backend import Array, Backend

Floats = NDArray[np.float64]

WIDTH = 512
"""Columns of an array that are worked on at once: wide enough for products at full speed."""


class Panels(ABC):
    """A matrix (sample, feature) that is made a few features at a time, float64."""

    shape: tuple[int, int]

    @abstractmethod
    def __iter__(self) -> Iterator[Floats]:
        """Yield the columns in turn, (sample, some features)."""

    @abstractmethod
    def __getitem__(self, rows: NDArray[Any]) -> Panels:
        """Return some samples."""

    def __len__(self) -> int:
        """Return how many samples there are."""
        return self.shape[0]

    @property
    def T(self) -> None:  # noqa: N802  # arrays' name
        """Not there: what would be a copy must be seen."""
        msg = "a matrix in panels has no transpose; see fornix.solvers.panels"
        raise TypeError(msg)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the whole matrix."""
        del copy
        return np.concatenate(list(self), axis=1, dtype=dtype)

    def reshape(self, *shape: int) -> Panels:
        """Return itself: samples are rows and features columns already."""
        if shape != (len(self), -1):
            msg = f"a matrix in panels can't be reshaped to {shape}"
            raise TypeError(msg)
        return self


Matrix = NDArray[Any] | Panels


class Delayed(Panels):
    """Copies of features, each brought to the samples by an operator of its own.

    Parameters
    ----------
    operators
        One (sample, row) a copy.
    values
        (row, feature).
    """

    def __init__(self, operators: Sequence[sparse.csr_array], values: NDArray[Any]) -> None:
        self.operators, self.values = tuple(operators), values
        self.shape = (operators[0].shape[0], len(operators) * values.shape[1])

    def __iter__(self) -> Iterator[Floats]:
        """Yield the copies, some columns of each at a time."""
        for operator in self.operators:
            for some in panels_of(self.values):
                yield np.asarray(operator @ some)

    def __getitem__(self, rows: NDArray[Any]) -> Delayed:
        """Return some samples."""
        return Delayed([operator[rows] for operator in self.operators], self.values)


class SideBySide(Panels):
    """Matrices one beside the other.

    Parameters
    ----------
    parts
        (sample, ...) each.
    """

    def __init__(self, parts: Sequence[Matrix]) -> None:
        self.parts = list(parts)
        self.shape = (len(parts[0]), sum(part.shape[1] for part in parts))

    def __iter__(self) -> Iterator[Floats]:
        """Yield the parts, or their panels."""
        for part in self.parts:
            yield from panels_of(part)

    def __getitem__(self, rows: NDArray[Any]) -> SideBySide:
        """Return some samples."""
        return SideBySide([part[rows] for part in self.parts])


class Scaled(Panels):
    """Features less their mean times a scale; those whose scale is 0 are left out.

    Parameters
    ----------
    given
        (sample, feature).
    mean, scale
        (feature,).
    """

    def __init__(self, given: Matrix, mean: Floats, scale: Floats) -> None:
        self.given, self.mean, self.scale = given, mean, scale
        self.shape = (len(given), int((scale > 0).sum()))

    def __iter__(self) -> Iterator[Floats]:
        """Yield the panels, scaled."""
        for columns, panel in placed(self.given):
            used = np.flatnonzero(self.scale[columns] > 0) + columns.start
            found = panel[:, used - columns.start] - self.mean[used]
            found *= self.scale[used]
            yield found

    def __getitem__(self, rows: NDArray[Any]) -> Scaled:
        """Return some samples."""
        return Scaled(self.given[rows], self.mean, self.scale)


def side_by_side(parts: Sequence[Matrix]) -> Matrix:
    """Return matrices one beside the other: an array if all are."""
    if len(parts) == 1:
        return parts[0]
    if any(isinstance(part, Panels) for part in parts):
        return SideBySide(parts)
    return np.concatenate([np.asarray(part) for part in parts], axis=1)


def panels_of(X: Matrix) -> Iterator[Floats]:
    """Yield the panels of a matrix; of an array some columns at a time."""
    if isinstance(X, Panels):
        yield from X
        return
    for start in range(0, max(X.shape[1], 1), WIDTH):
        yield np.asarray(X[:, start : start + WIDTH], dtype=np.float64)


def placed(X: Matrix) -> Iterator[tuple[slice, Floats]]:
    """Yield the columns of each panel, and it."""
    start = 0
    for panel in panels_of(X):
        yield slice(start, start + panel.shape[1]), panel
        start += panel.shape[1]


def moments(X: Matrix) -> tuple[Floats, Floats]:
    """Return the mean and the standard deviation of each feature."""
    found = [(panel.mean(0), panel.std(0)) for panel in panels_of(X)]
    mean, spread = (np.concatenate(one) for one in zip(*found, strict=True))
    return mean, spread


def scaled(X: Matrix, mean: Floats, scale: Floats, *, lazy: bool = False) -> Matrix:
    """Return features less their mean times a scale; those whose scale is 0 are left out.

    With ``lazy`` an array isn't copied, but scaled some columns at a time.
    """
    if lazy or isinstance(X, Panels):
        return Scaled(X, mean, scale)
    used = scale > 0
    return np.asarray((X[:, used] - mean[used]) * scale[used])


def not_finite(X: Matrix) -> int:
    """Return how many features hold values that aren't finite."""
    return sum(int((~np.isfinite(panel)).any(0).sum()) for panel in panels_of(X))


def centred(X: Matrix, mean: Floats, *, lazy: bool = False) -> Matrix:
    """Return features about a mean; with ``lazy`` an array isn't copied."""
    if lazy or isinstance(X, Panels):
        return Scaled(X, mean, np.ones(len(mean)))
    return np.asarray(X - mean)


class Columns:
    """A matrix as a solver sees it, on a backend: products that sum over features.

    Parameters
    ----------
    X
        (sample, feature), about its mean.
    backend
        Where products are made.
    """

    def __init__(self, X: Matrix, backend: Backend) -> None:
        self.backend = backend
        self.shape = X.shape
        self.X: Any = X if isinstance(X, Panels) else backend.array(X)

    def __len__(self) -> int:
        """Return how many samples there are."""
        return int(self.shape[0])

    def __getitem__(self, rows: NDArray[Any]) -> Array:
        """Return some samples, as an array."""
        found = self.X[rows]
        return self.backend.array(found) if isinstance(found, Panels) else found

    def placed(self) -> Iterator[tuple[slice, Array]]:
        """Yield the columns of each panel, and it."""
        if not isinstance(self.X, Panels):
            yield slice(0, self.shape[1]), self.X
            return
        for columns, panel in placed(self.X):
            yield columns, self.backend.array(panel)

    def kernel(self, at: Matrix | None = None) -> Array:
        """Return XX', or the kernel of other samples (about the same mean) with these."""
        total: Any = 0.0
        if at is None:
            for _, panel in self.placed():
                total = total + panel @ panel.T
            return total
        others = Columns(at, self.backend).placed()
        for (_, panel), (_, other) in zip(self.placed(), others, strict=True):
            total = total + other @ panel.T
        return total

    def gram(self) -> Array:
        """Return X'X."""
        if not isinstance(self.X, Panels):
            return self.X.T @ self.X
        found = self.backend.zeros(self.shape[1], self.shape[1])
        for columns, panel in self.placed():
            for others, other in self.placed():
                if others.start > columns.start:
                    break
                block = panel.T @ other
                found[columns, others] = block
                found[others, columns] = block.T
        return found

    def down(self, vectors: Array, rows: NDArray[Any] | None = None) -> Array:
        """Return X' times vectors (sample, target); of some samples if rows are given."""
        if not isinstance(self.X, Panels):
            return (self.X if rows is None else self.X[rows]).T @ vectors
        found = self.backend.zeros(self.shape[1], vectors.shape[1])
        for columns, panel in self.placed():
            found[columns] = (panel if rows is None else panel[rows]).T @ vectors
        return found
