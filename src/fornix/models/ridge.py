"""Ridge regression from features to every unit, one penalty a unit."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from fornix.models.interface import Context, EncodingData, Predictions
from fornix.progress import track
from fornix.solvers.backend import Backend, choose_backend, working_memory
from fornix.solvers.panels import Matrix, moments, scaled
from fornix.solvers.ridge import MEMORY, Solution, solve, work

if TYPE_CHECKING:
    from fornix.study.fits.ridge import RidgeFit

EXACT_PCA = 2000
"""Samples or features up to which components are exact; beyond, they are randomised."""


def fit(section: RidgeFit, data: EncodingData, context: Context) -> Predictions:
    """Predict every held-out sample from each target's features, and refit on all samples.

    Parameters
    ----------
    section
        Settings.
    data
        Samples, features and folds.
    context
        Notes go here.
    """
    low, high, count = section.alphas
    Y, n_folds = data.responses, section.inner_splits
    everything = np.arange(len(Y))
    sizes = [data.width(target) for target in data.targets]
    ahead = sum(work(len(Y), p, Y.shape[1], n_folds) for p in sizes) * (len(data.folds) + 1)
    backend = choose_backend(context.resources, ahead)
    settings = partial(
        fit_standardised,
        alphas=np.logspace(low, high, count),
        n_components=section.pca,
        backend=backend,
        memory=working_memory(backend, context.resources),
    )
    found = Predictions()
    for target in track(list(data.targets), "ridge: layers"):
        X, owner = data.matrix(target), data.owner(target)
        solved = partial(settings, owner=owner)
        predicted = np.empty(Y.shape, dtype=np.float32)
        chosen = []
        blind = 0
        for train, test in data.folds:
            inner = data.inner(train)
            solution, kept = solved(
                X[train], Y[train], inner_folds=inner, at=X[test], with_coef=False
            )
            predicted[test] = solution.predicted
            chosen.append(solution.alpha)
            blind += not kept
        final, _ = solved(X, Y, inner_folds=data.inner(everything))
        found.predicted[target] = predicted
        found.alpha[target] = np.stack(chosen).astype(np.float32)
        for name in ("coef", "intercept", "alpha"):
            value = np.ascontiguousarray(getattr(final, name), dtype=np.float32)
            found.weights[f"{target}/{name}"] = value
        if blind:
            context.notes.append(
                f"{target}: every feature is constant in the training samples of {blind} of "
                f"{len(data.folds)} folds; these predict the training mean"
            )
    return found


def fit_standardised(
    X: Matrix,
    Y: NDArray[Any],
    alphas: NDArray[np.float64],
    inner_folds: NDArray[np.intp],
    *,
    owner: NDArray[np.intp] | None = None,
    n_components: int | None = None,
    at: Matrix | None = None,
    with_coef: bool = True,
    backend: Backend | None = None,
    memory: int = MEMORY,
) -> tuple[Solution, int]:
    """Fit on z-scored features; return weights for raw features, and predictions.

    Features that are constant in ``X`` are dropped (their weights are 0).

    Parameters
    ----------
    X, Y
        Training samples: (sample, feature), an array or panels, and (sample, unit).
    alphas
        Grid of penalties.
    inner_folds
        Inner fold of each sample.
    owner
        Space of each feature.
    n_components
        Principal components kept of each space; None keeps all features.
    at
        Samples to predict, (sample, feature).
    with_coef, backend, memory
        As for :func:`fornix.solvers.ridge.solve`.

    Returns
    -------
    The solution in the units of X and Y, and the number of features used.
    """
    mean, spread = moments(X)
    # float32 features that differ in their last bits only are constant.
    used = spread > 1e-6 * np.maximum(np.abs(mean), 1e-12)
    if not used.any():
        centre = Y.mean(0, dtype=np.float64)
        coef = np.zeros((X.shape[1], Y.shape[1]))
        predicted = None if at is None else np.tile(centre, (len(at), 1))
        alpha = np.full(Y.shape[1], alphas[-1])
        return Solution(coef, centre, alpha, Y.var(0, dtype=np.float64), predicted), 0
    scale = np.divide(1.0, spread, out=np.zeros(len(mean)), where=used)
    # Wide features are scaled some columns at a time; the kernel is all that is kept.
    wide = X.shape[1] > len(X)
    Z = scaled(X, mean, scale, lazy=wide)
    points = None if at is None else scaled(at, mean, scale, lazy=wide)
    axes = None
    if n_components is not None:
        spaces = np.zeros(len(mean), dtype=np.intp) if owner is None else owner
        Z = np.asarray(Z)
        axes = principal_axes(Z, spaces[used], n_components)
        Z, points = Z @ axes, None if points is None else np.asarray(points) @ axes
    found = solve(
        Z, Y, alphas, inner_folds, at=points, with_coef=with_coef, backend=backend, memory=memory
    )
    if found.coef is None:
        return found, int(used.sum())
    coef = np.zeros((X.shape[1], Y.shape[1]), dtype=found.coef.dtype)
    coef[used] = (found.coef if axes is None else axes @ found.coef) / spread[used, None]
    return found._replace(coef=coef, intercept=found.intercept - mean @ coef), int(used.sum())


def principal_axes(
    Z: NDArray[np.float64], owner: NDArray[np.intp], n_components: int
) -> NDArray[np.float64]:
    """Return the leading principal axes of each space, (feature, component).

    A space with no more features or samples than components is left as it is. Components have
    a mean variance of 1 in each space, as its z-scored features had: beside others, one penalty
    is then as hard on each of them.

    Parameters
    ----------
    Z
        Training samples (sample, feature), z-scored.
    owner
        Space of each feature.
    n_components
        Axes of a space.
    """
    from sklearn.decomposition import PCA  # its import takes longer than many a fit without axes

    blocks = []
    for one in np.unique(owner):
        mine = Z[:, owner == one]
        if min(mine.shape) <= n_components:
            blocks.append(np.eye(mine.shape[1]))
            continue
        solver = "full" if min(mine.shape) <= EXACT_PCA else "randomized"
        found = PCA(n_components, svd_solver=solver, random_state=0).fit(mine)
        blocks.append(found.components_.T / np.sqrt(found.explained_variance_.mean()))
    # Spaces lie side by side, in order.
    return np.asarray(block_diag(*blocks))
