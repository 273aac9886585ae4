r"""Cross-validated errors of ridge regression, all penalties at once.

A fold trains on centred features and responses :math:`(X, Y)` and is judged on :math:`(X', Y')`,
from which the training means are taken. With :math:`X^T X = V \,\mathrm{diag}(l)\, V^T`,
:math:`z = V^T X^T y` and :math:`F = X' V`, the prediction for the penalty :math:`a` is
:math:`P_a = F \,\mathrm{diag}(1/(l + a))\, z`. The dual is the same with the kernel's eigenvectors,
:math:`z = V^T y` and :math:`F = K' V`. The squared error is
:math:`|P_a|^2 - 2 P_a \cdot y' + |y'|^2`. With :math:`c = F^T y'` the second term is linear in
:math:`u_i = 1/(l_i + a)`. With :math:`H = F^T F` the first is
:math:`\sum_{ij} H_{ij} z_i z_j u_i u_j`, and since :math:`u_i u_j = (u_i - u_j) / (l_j - l_i)`,
all penalties share one product :math:`M z` with :math:`M_{ij} = 2 H_{ij} / (l_j - l_i)`:

.. math:: |P_a|^2 = \sum_i (M z)_i z_i u_i + \sum_i (S z)_i z_i u_i^2

:math:`S` holds the diagonal of :math:`H`, and the pairs whose eigenvalues are so close that the
difference would cancel: for them :math:`u_i u_j` is :math:`(u_i^2 + u_j^2) / 2` up to half the
squared relative difference. So a fold costs one product of its eigenvectors' size with the targets,
whatever the number of penalties; the usual way costs one for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fornix.solvers.backend import Array, Backend
from fornix.solvers.panels import Columns, Matrix, centred, moments

CLOSE = 4e-6
"""Relative difference of eigenvalues below which they are close: there the closed form's error,
half its square, is that of cancellation in the partial fractions, rounding over it (1e-11)."""

Products = tuple[Array, Mapping[int, Array]]
"""X'Y of all samples, and of each fold's held-out ones by the first of their rows."""


@dataclass(frozen=True)
class Fold:
    """What a fold needs of the features: nothing here depends on the targets.

    Attributes
    ----------
    train, test
        Rows.
    mean
        Training mean of the features (primal).
    vectors
        V of the components that are kept, (r, component).
    onto
        F, (test, component); None where there are more held-out samples than features, whose
        products with the targets then serve.
    mixed, close
        M, and the part of S off its diagonal with the components that it joins (or None).
    diagonal
        Of H.
    weights
        1 / (l + a), (penalty, component).
    """

    train: NDArray[np.intp]
    test: NDArray[np.intp]
    mean: Array
    vectors: Array
    onto: Array | None
    mixed: Array
    close: tuple[Array, Array] | None
    diagonal: Array
    weights: Array


@dataclass
class System:
    """The features of all samples, and what doesn't depend on the targets.

    Attributes
    ----------
    X
        About its mean, (sample, feature).
    mean
        (feature,).
    gram
        X'X, or the kernel XX' in the dual.
    dual
        Whether there are more features than samples.
    alphas
        Penalties.
    tests
        Held-out rows of each fold.
    backend
        Where all this is.
    """

    X: Columns
    mean: NDArray[np.float64]
    gram: Array
    dual: bool
    alphas: NDArray[np.float64]
    tests: list[NDArray[np.intp]]
    backend: Backend

    @classmethod
    def of(
        cls, X: Matrix, alphas: NDArray[np.float64], inner: NDArray[Any], backend: Backend
    ) -> System:
        """Return the system of features (sample, feature) and inner folds (sample,)."""
        mean = moments(X)[0]
        dual = X.shape[1] > len(X)
        columns = Columns(centred(X, mean, lazy=dual), backend)
        gram = columns.kernel() if dual else columns.gram()
        tests = [np.flatnonzero(inner == one) for one in np.unique(inner)]
        return cls(columns, mean, gram, dual, alphas, tests, backend)

    def spectrum(self, matrix: Array) -> tuple[Array, Array]:
        """Return eigenvalues and vectors, without those that are rounding of zero."""
        values, vectors = self.backend.eigh(matrix)
        found = self.backend.numpy(values)
        noise = len(found) * np.finfo(np.float64).eps * max(float(found[-1]), 0.0)
        first = int(np.searchsorted(found, max(noise, np.finfo(np.float64).tiny)))
        return values[first:], vectors[:, first:]

    def fold(self, test: NDArray[np.intp]) -> Fold:
        """Return what a fold needs of the features."""
        n = len(self.X)
        train = np.setdiff1d(np.arange(n), test)
        if self.dual:
            kernel, across = centred_kernels(self.gram, train, test)
            values, vectors = self.spectrum(kernel)
            onto = across @ vectors
            return self.mix(
                train, test, self.backend.zeros(0), (values, vectors, onto, onto.T @ onto)
            )
        held_out = self.X[test]
        mean, kernel, judged = down_dated(self.gram, held_out, len(train))
        values, vectors = self.spectrum(kernel)
        if len(test) > len(mean):
            onto, inner = None, vectors.T @ (judged @ vectors)
        else:
            onto = (held_out - mean) @ vectors
            inner = onto.T @ onto
        return self.mix(train, test, mean, (values, vectors, onto, inner))

    def mix(
        self,
        train: NDArray[np.intp],
        test: NDArray[np.intp],
        mean: Array,
        found: tuple[Array, Array, Array | None, Array],
    ) -> Fold:
        """Return the fold of eigenvalues, vectors, F (or None) and H."""
        values, vectors, onto, inner = found
        apart = values[None, :] - values[:, None]
        total = values[None, :] + values[:, None] + float(self.alphas.min())
        near = abs(apart) <= CLOSE * total
        mixed = 2 * inner / (apart + near) * ~near
        joined = np.flatnonzero(self.backend.numpy(near.sum(1)) > 1)
        diagonal = self.backend.array(self.backend.numpy(inner.diagonal()).copy())
        close = None
        if len(joined):
            close = joined, inner[joined][:, joined] * near[joined][:, joined]
            diagonal[joined] = 0
        grid = self.backend.array(self.alphas)
        weights = 1 / (values[None, :] + grid[:, None])
        return Fold(train, test, mean, vectors, onto, mixed, close, diagonal, weights)


def centred_kernels(
    gram: Array, train: NDArray[np.intp], test: NDArray[np.intp]
) -> tuple[Array, Array]:
    """Return kernels (train, train) and (test, train) about the training mean.

    Parameters
    ----------
    gram
        Kernel of all samples, about any mean.
    train, test
        Rows.
    """
    kernel, across = gram[train][:, train], gram[test][:, train]
    middle = kernel.sum(0) / len(train)
    overall = middle.sum() / len(train)
    across = across - (across.sum(1) / len(train))[:, None] - middle[None, :] + overall
    return kernel - middle[None, :] - middle[:, None] + overall, across


def down_dated(gram: Array, held_out: Array, n_train: int) -> tuple[Array, Array, Array]:
    """Return the training mean, and X'X of training and held-out samples about it.

    Parameters
    ----------
    gram
        X'X of all samples about their mean.
    held_out
        Held-out samples about the same mean, (sample, feature).
    n_train
        Training samples.
    """
    k = len(held_out)
    # The mean of all is 0, and so are the sums of both parts together.
    mean = -held_out.sum(0) / n_train
    part, square = held_out.T @ held_out, mean[:, None] * mean[None, :]
    return mean, gram - part - n_train * square, part + (2 * n_train + k) * square


def losses(fold: Fold, Y: Array, products: Products | None) -> Array:
    """Return the mean squared error of every penalty and target, (penalty, target).

    Parameters
    ----------
    fold
        What it needs of the features.
    Y
        Targets of all samples, about their means, (sample, target).
    products
        Primal: X'Y of all samples, and of each fold's test samples by its first one.
    """
    held_out = Y[fold.test]
    n, k = len(fold.train), len(fold.test)
    mean = -held_out.sum(0) / n
    if products is None:
        # The mean is taken off afterwards: no copy of the targets.
        z = fold.vectors.T @ Y[fold.train] - fold.vectors.sum(0)[:, None] * mean[None, :]
    else:
        whole, parts = products
        part = parts[int(fold.test[0])]
        shift = fold.mean[:, None] * mean[None, :]
        z = fold.vectors.T @ (whole - part - n * shift)
    residual = held_out - mean
    if fold.onto is None:
        c = fold.vectors.T @ (part + (2 * n + k) * shift)
    else:
        c = fold.onto.T @ residual
    squares = z * z
    quadratic = fold.diagonal[:, None] * squares
    if fold.close is not None:
        rows, inner = fold.close
        quadratic[rows] += (inner @ z[rows]) * z[rows]
    linear = fold.mixed @ z
    linear -= 2 * c
    linear *= z
    fitted = fold.weights @ linear
    fitted += (fold.weights * fold.weights) @ quadratic
    return (fitted + (residual * residual).sum(0)) / k
