"""Partial least squares for many targets, all numbers of components at once.

The model is PLS2 (Wold's NIPALS, as scikit-learn's ``PLSRegression``), by the improved kernel
algorithm (Dayal & MacGregor 1997, J Chemometrics 11:73): with X'X and X'Y no sample is touched
again, so that folds come by taking the held-out part off. Each weight vector leads the eigenvectors
of (X'Y)(X'Y)', a matrix of the features' size that is updated along with X'Y. More features than
samples are rotated into their span first, which changes nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse.linalg import eigsh

from fornix.errors import FornixError

Floats = NDArray[np.float64]

SMALL = 64
"""Features up to which the leading eigenvector comes from all of them."""


class Components(NamedTuple):
    """Components of a fit, in order.

    Attributes
    ----------
    rotations
        What features are multiplied with, (feature, component).
    loadings
        Of the targets, (target, component): a fit with k components has the coefficients
        ``rotations[:, :k] @ loadings[:, :k].T``.
    """

    rotations: Floats
    loadings: Floats


class Solution(NamedTuple):
    """What :func:`solve` returns.

    Attributes
    ----------
    coef
        (feature, target).
    intercept
        (target,).
    n_components
        Of each target, (target,).
    loss
        Mean squared error over the folds of every number of components, (components, target).
    """

    coef: Floats
    intercept: Floats
    n_components: NDArray[np.intp]
    loss: Floats


def components(gram: Floats, cross: Floats, n_components: int) -> Components:
    """Return the components of centred features and targets.

    Fewer are returned where the targets' part in the features' span is used up.

    Parameters
    ----------
    gram
        X'X, (feature, feature).
    cross
        X'Y, (feature, target); not changed.
    n_components
        At most so many.
    """
    cross = cross.copy()
    outer = cross @ cross.T
    first = float(np.trace(outer))
    rotations: list[Floats] = []
    directions: list[Floats] = []
    loadings: list[Floats] = []
    for _ in range(min(n_components, len(gram))):
        # What rounding leaves is no component.
        if not np.trace(outer) > 1e-24 * first:
            break
        weight = _leading(outer)
        rotation = weight.copy()
        for earlier, direction in zip(rotations, directions, strict=True):
            rotation -= (direction @ weight) * earlier
        image = gram @ rotation
        size = float(rotation @ image)
        if not size > 1e-14 * float(np.trace(gram)) / len(gram):
            break
        direction, loading = image / size, cross.T @ rotation / size
        across = cross @ loading
        cross -= size * np.outer(direction, loading)
        outer -= size * (np.outer(direction, across) + np.outer(across, direction))
        outer += size**2 * float(loading @ loading) * np.outer(direction, direction)
        rotations.append(rotation)
        directions.append(direction)
        loadings.append(loading)
    if not rotations:
        return Components(np.zeros((len(gram), 0)), np.zeros((cross.shape[1], 0)))
    return Components(np.stack(rotations, 1), np.stack(loadings, 1))


def _leading(matrix: Floats) -> Floats:
    """Return the eigenvector of the largest eigenvalue."""
    p = len(matrix)
    if p <= SMALL:
        return np.asarray(eigh(matrix, subset_by_index=[p - 1, p - 1])[1][:, 0])
    # A column is a start that isn't orthogonal to what is looked for, and no random number.
    start = matrix[:, int(matrix.diagonal().argmax())]
    return np.asarray(eigsh(matrix, k=1, v0=start)[1][:, 0])


def solve(
    X: NDArray[Any], Y: NDArray[Any], n_components: int, inner_folds: NDArray[np.intp]
) -> Solution:
    """Choose each target's number of components by cross-validation, and fit on all samples.

    All targets share their components. Of equally good numbers the smallest is taken; 0 is among
    them: the mean.

    Parameters
    ----------
    X
        (sample, feature), finite.
    Y
        (sample, target), finite.
    n_components
        The most that are tried.
    inner_folds
        Fold of each sample.

    Raises
    ------
    FornixError
        If there is one fold, or values aren't finite.
    """
    _check(X, Y, inner_folds)
    mean, middle = X.mean(0), Y.mean(0)
    Z, targets = X - mean, Y - middle
    axes = None
    if Z.shape[1] > len(Z):
        values, vectors = eigh(Z @ Z.T)
        kept = values > len(Z) * np.finfo(np.float64).eps * values[-1]
        axes = Z.T @ (vectors[:, kept] / np.sqrt(values[kept]))
        Z = Z @ axes
    names = np.unique(inner_folds)
    loss = np.zeros((n_components + 1, Y.shape[1]))
    for one in names:
        train, test = inner_folds != one, inner_folds == one
        centre, level = Z[train].mean(0), targets[train].mean(0)
        inside = Z[train] - centre
        found = components(inside.T @ inside, inside.T @ (targets[train] - level), n_components)
        rest = targets[test] - level
        scores = (Z[test] - centre) @ found.rotations
        loss[0] += (rest**2).mean(0)
        for k in range(n_components):
            if k < scores.shape[1]:
                rest -= np.outer(scores[:, k], found.loadings[:, k])
            loss[k + 1] += (rest**2).mean(0)
    loss /= len(names)
    chosen = loss.argmin(0)
    found = components(Z.T @ Z, Z.T @ targets, n_components)
    used = np.arange(found.loadings.shape[1])[None, :] < chosen[:, None]
    coef = found.rotations @ (found.loadings * used).T
    coef = coef if axes is None else axes @ coef
    return Solution(coef, middle - mean @ coef, chosen, loss)


def _check(X: NDArray[Any], Y: NDArray[Any], inner_folds: NDArray[np.intp]) -> None:
    where = "partial least squares"
    if len(np.unique(inner_folds)) < 2:
        problem = "the number of components can't be chosen: there is one inner fold"
        mend = "give the training samples two groups or more, or fewer outer folds (cv.n_splits)"
        raise FornixError(problem, where=where, mend=mend)
    for values, name, mend in ((X, "features", "the layer"), (Y, "targets", "these units")):
        if bad := int((~np.isfinite(values)).any(0).sum()):
            problem = f"{bad} of {values.shape[1]} {name} hold values that aren't finite"
            raise FornixError(problem, where=where, mend=f"leave {mend} out")
