"""Ridge regression from features to every unit, one penalty a unit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from himalaya.backend import set_backend
from himalaya.kernel_ridge import solve_kernel_ridge_cv_eigenvalues
from himalaya.ridge import solve_ridge_cv_svd
from numpy.typing import NDArray
from scipy.linalg import block_diag
from sklearn.decomposition import PCA
from sklearn.model_selection import PredefinedSplit

from fornix.models.interface import Context, EncodingData, Predictions
from fornix.progress import track

if TYPE_CHECKING:
    from fornix.study.fits.ridge import RidgeFit

BATCH_BYTES = 256 << 20
"""Memory of one batch of units' predictions for all penalties."""

EXACT_PCA = 2000
"""Samples or features up to which components are exact; beyond, they are randomised."""


class Solution(NamedTuple):
    """What a solver returns: coef (feature, unit), intercept (unit,), alpha (unit,)."""

    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]
    alpha: NDArray[np.float64]


Solver = Callable[
    [NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]], Solution
]
"""``solve(X, Y, alphas, inner_folds)``: X (sample, feature), Y (sample, unit), the grid of
penalties, and the inner fold of each sample."""


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
    alphas = np.logspace(low, high, count)
    Y = data.responses
    everything = np.arange(len(Y))
    found = Predictions()
    for target in track(list(data.targets), "ridge: layers"):
        X, owner = data.side_by_side(target)
        solved = partial(fit_standardised, alphas=alphas, owner=owner, n_components=section.pca)
        predicted = np.empty(Y.shape, dtype=np.float32)
        chosen = []
        blind = 0
        for train, test in data.folds:
            solution, kept = solved(X[train], Y[train], inner_folds=data.inner(train))
            predicted[test] = X[test] @ solution.coef + solution.intercept
            chosen.append(solution.alpha)
            blind += not kept
        final, _ = solved(X, Y, inner_folds=data.inner(everything))
        found.predicted[target] = predicted
        found.alpha[target] = np.stack(chosen).astype(np.float32)
        for name, value in final._asdict().items():
            found.weights[f"{target}/{name}"] = np.ascontiguousarray(value, dtype=np.float32)
        if blind:
            context.notes.append(
                f"{target}: every feature is constant in the training samples of {blind} of "
                f"{len(data.folds)} folds; these predict the training mean"
            )
    return found


def fit_standardised(
    X: NDArray[Any],
    Y: NDArray[Any],
    alphas: NDArray[np.float64],
    inner_folds: NDArray[np.intp],
    solver: Solver | None = None,
    *,
    owner: NDArray[np.intp] | None = None,
    n_components: int | None = None,
) -> tuple[Solution, int]:
    """Fit on z-scored features and centred responses; return weights for raw features.

    Features that are constant in ``X`` are dropped (their weights are 0).

    Parameters
    ----------
    X, Y
        Training samples: (sample, feature) and (sample, unit).
    alphas
        Grid of penalties.
    inner_folds
        Inner fold of each sample.
    solver
        By default :func:`solve`.
    owner
        Space of each feature.
    n_components
        Principal components kept of each space; None keeps all features.

    Returns
    -------
    The solution in the units of X and Y, and the number of features used.
    """
    X, Y = np.asarray(X, dtype=np.float64), np.asarray(Y, dtype=np.float64)
    mean, spread = X.mean(0), X.std(0)
    # float32 features that differ in their last bits only are constant.
    used = spread > 1e-6 * np.maximum(np.abs(mean), 1e-12)
    centre = Y.mean(0)
    coef = np.zeros((X.shape[1], Y.shape[1]))
    if not used.any():
        return Solution(coef, centre, np.full(Y.shape[1], alphas[-1])), 0
    Z = (X[:, used] - mean[used]) / spread[used]
    if n_components is not None:
        spaces = np.zeros(len(mean), dtype=np.intp) if owner is None else owner
        axes = principal_axes(Z, spaces[used], n_components)
        solution = (solver or solve)(Z @ axes, Y - centre, alphas, inner_folds)
        solution = solution._replace(coef=axes @ solution.coef)
    else:
        solution = (solver or solve)(Z, Y - centre, alphas, inner_folds)
    coef[used] = solution.coef / spread[used, None]
    intercept = centre + solution.intercept - mean @ coef
    return Solution(coef, intercept, solution.alpha), int(used.sum())


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


def solve(
    X: NDArray[np.float64],
    Y: NDArray[np.float64],
    alphas: NDArray[np.float64],
    inner_folds: NDArray[np.intp],
) -> Solution:
    """Choose each unit's penalty by cross-validated squared error, and refit.

    himalaya's solvers (Dupre la Tour et al. 2022, NeuroImage 264:119728): in the dual where
    there are more features than samples, by a singular value decomposition otherwise. The mean
    of the training part is taken off in every inner fold.
    """
    set_backend("numpy", on_error="raise")
    largest = int(np.bincount(inner_folds).max())
    batch = max(1, BATCH_BYTES // (8 * len(alphas) * largest))
    settings = {
        "alphas": alphas,
        "fit_intercept": True,
        "cv": PredefinedSplit(inner_folds),
        "n_targets_batch": batch,
    }
    if X.shape[1] > len(X):
        mean = X.mean(0)
        Xc = X - mean
        chosen, dual, _, _ = solve_kernel_ridge_cv_eigenvalues(Xc @ Xc.T, Y, **settings)
        coef = Xc.T @ dual
        intercept = Y.mean(0) - mean @ coef
    else:
        chosen, coef, _, intercept = solve_ridge_cv_svd(X, Y, **settings)
    # himalaya hands back exp(log(alpha)): take the grid's own value.
    nearest = np.abs(np.log(chosen)[:, None] - np.log(alphas)).argmin(1)
    return Solution(coef, intercept, alphas[nearest])
