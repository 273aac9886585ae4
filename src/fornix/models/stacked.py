"""Stacked regression: ridge regressions of several spaces, averaged for each unit.

After Breiman 1996 (Mach Learn 24:49), as Lin, Naselaris, Kay & Wehbe 2024 (NeuroImage 298:120772)
do for brain responses.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from fornix.errors import FornixError
from fornix.models.interface import Context, EncodingData, Predictions
from fornix.models.ridge import fit_standardised
from fornix.progress import track
from fornix.solvers.backend import choose_backend, working_memory
from fornix.solvers.panels import Matrix
from fornix.solvers.ridge import Solution, work

if TYPE_CHECKING:
    from fornix.study.fits.stacked import StackedFit

Floats = NDArray[np.float64]

UNITS = 4096
"""Units whose inner predictions are held at once."""


def fit(section: StackedFit, data: EncodingData, context: Context) -> Predictions:
    """Predict every held-out sample from each target's spaces, and refit on all samples.

    Parameters
    ----------
    section
        Settings.
    data
        Samples, features and folds.
    context
        Notes go here.

    Raises
    ------
    FornixError
        If some training samples are in fewer than three inner folds.
    """
    (n, t), n_folds = data.responses.shape, section.inner_splits
    spaces = list(dict.fromkeys(name for names in data.bands.values() for name in names))
    alone = [name for name in data.targets if name not in data.bands]
    ahead = sum(work(n, data.width(name), t, n_folds) for name in alone) * (n_folds + 1)
    low, high, count = section.alphas
    backend = choose_backend(context.resources, ahead * (len(data.folds) + 1))
    ridge = partial(
        fit_standardised,
        alphas=np.logspace(low, high, count),
        backend=backend,
        memory=working_memory(backend, context.resources),
    )
    stack = _Stack(data, alone, spaces, ridge)
    found = Predictions()
    for name in data.targets:
        found.predicted[name] = np.empty((n, t), dtype=np.float32)
    for target, names in data.bands.items():
        found.parts[target] = {name: np.zeros((n, t), dtype=np.float32) for name in names}
    for train, test in track(list(data.folds), "stacked regression: folds"):
        stack.fold(train, test, found)
    stack.refit(found)
    return found


@dataclass
class _Stack:
    """All targets of some data."""

    data: EncodingData
    alone: list[str]
    spaces: list[str]
    ridge: partial[tuple[Solution, int]]

    def __post_init__(self) -> None:
        self.matrices: dict[str, Matrix] = {name: self.data.matrix(name) for name in self.alone}

    def fold(self, train: NDArray[np.intp], test: NDArray[np.intp], found: Predictions) -> None:
        """Add the predictions of an outer fold."""
        Y, inner = self.data.responses[train], self.data.inner(train)
        for name, X in self.matrices.items():
            solution, _ = self.ridge(X[train], Y, inner_folds=inner, at=X[test], with_coef=False)
            found.predicted[name][test] = solution.predicted
        losses, centre = self._losses(train, inner), Y.mean(0, dtype=np.float64)
        for target, names in self.data.bands.items():
            shares = self._shares(losses, names)
            total = np.tile(centre, (len(test), 1))
            for share, name in zip(shares, names, strict=True):
                part = share * (found.predicted[name][test] - centre)
                found.parts[target][name][test] = part
                total += part
            found.predicted[target][test] = total

    def refit(self, found: Predictions) -> None:
        """Fit on all samples, and keep the weights."""
        Y, everything = self.data.responses, np.arange(len(self.data.responses))
        inner = self.data.inner(everything)
        fits: dict[str, Solution] = {}
        for name, X in self.matrices.items():
            fits[name], _ = self.ridge(X, Y, inner_folds=inner)
            kept = {key: getattr(fits[name], key) for key in ("coef", "intercept", "alpha")}
            found.weights |= {f"{name}/{key}": _single(value) for key, value in kept.items()}
        losses = self._losses(everything, inner)
        for target, names in self.data.bands.items():
            shares = self._shares(losses, names)
            pairs = [(share, fits[name]) for share, name in zip(shares, names, strict=True)]
            coef = np.concatenate([share * np.asarray(one.coef) for share, one in pairs])
            intercept = sum(share * one.intercept for share, one in pairs)
            found.weights[f"{target}/coef"] = _single(coef)
            found.weights[f"{target}/intercept"] = _single(intercept)
            found.weights[f"{target}/weights"] = _single(shares)

    def _shares(self, losses: Floats, names: Any) -> Floats:
        """Return the weights of some spaces, (space, unit)."""
        rows = [self.spaces.index(name) for name in names]
        return convex(losses[np.ix_(rows, rows)])

    def _losses(self, rows: NDArray[np.intp], inner: NDArray[np.intp]) -> Floats:
        """Return the products of the spaces' inner held-out errors, (space, space, unit)."""
        if len(np.unique(inner)) < 3:
            problem = "spaces can't be weighed: the training samples are in fewer than three folds"
            mend = "give the training samples three groups or more, or fewer outer folds"
            raise FornixError(problem, where="stacked regression", mend=mend)
        t, count = self.data.responses.shape[1], len(self.spaces)
        products = np.zeros((count, count, t))
        for start in range(0, t, UNITS):
            units = slice(start, min(start + UNITS, t))
            Y = self.data.responses[rows, units]
            for one in np.unique(inner):
                train, test = np.flatnonzero(inner != one), np.flatnonzero(inner == one)
                errors = []
                for name in self.spaces:
                    X = self.matrices[name]
                    solution, _ = self.ridge(
                        X[rows[train]],
                        Y[train],
                        inner_folds=inner[train],
                        at=X[rows[test]],
                        with_coef=False,
                    )
                    predicted = np.asarray(solution.predicted, dtype=np.float64)
                    errors.append(Y[test] - predicted)
                for i, first in enumerate(errors):
                    for j, second in enumerate(errors[: i + 1]):
                        both = (first * second).sum(0)
                        products[i, j, units] += both
                        products[j, i, units] += both * (i != j)
        return products


def convex(products: Floats) -> Floats:
    """Return weights, not negative and with a sum of 1, whose combined error is the least.

    With a sum of 1 the error of a combination is the combination of errors. Scaling aside, it is
    the solution of non-negative least squares with one more equation, that the sum is 1: for any
    direction the least value of t² e + (t - 1)² grows with the error e.

    Parameters
    ----------
    products
        Products of the errors, (space, space, unit).

    Returns
    -------
    float64 (space, unit); equal weights where there is no error at all.
    """
    count, _, t = products.shape
    weights = np.full((count, t), 1 / count)
    right = np.zeros(count + 1)
    right[-1] = 1
    for unit in range(t):
        matrix = products[:, :, unit]
        size = float(np.trace(matrix)) / count
        if not size > 0:
            continue
        values, vectors = np.linalg.eigh(matrix / size)
        root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
        found = nnls(np.vstack([root, np.ones(count)]), right)[0]
        weights[:, unit] = found / found.sum()
    return weights


def _single(values: Any) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)
