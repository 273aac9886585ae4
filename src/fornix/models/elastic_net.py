"""Elastic net (and lasso) from features to each unit, by scikit-learn's coordinate descent."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import enet_path

from fornix.errors import FornixError
from fornix.models.interface import Context, EncodingData, Predictions
from fornix.models.linear import Floats, Found, Outer
from fornix.progress import track

if TYPE_CHECKING:
    from fornix.study.fits.elastic_net import ElasticNetFit

TIMED = 5
"""Units whose time says how long all will take."""

MOST_ITERATIONS = 2000
TOLERANCE = 1e-4
"""Of the dual gap, as a share of the target's sum of squares; scikit-learn's."""


def fit(section: ElasticNetFit, data: EncodingData, context: Context) -> Predictions:
    """Predict every held-out sample from each target's features, and refit on all samples.

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
        If it would take longer than it may, or there is one inner fold.
    """
    n_fits = len(data.targets) * (len(data.folds) + 1)
    net = ElasticNets(section, context.notes, n_fits)
    found = Outer(data, context, "elastic net").run(net)
    if net.unfinished:
        context.notes.append(
            f"coordinate descent of {net.unfinished} of {net.n_fitted} units' fits stopped at "
            f"{MOST_ITERATIONS} iterations; their weights are near the solution"
        )
    return found


@dataclass
class ElasticNets:
    """Fits all units of some features, one after the other.

    Attributes
    ----------
    section
        Settings.
    notes
        Sentences for the report.
    n_fits
        How often this will be called, for the time that it all takes.
    """

    section: ElasticNetFit
    notes: list[str]
    n_fits: int = 1
    unfinished: int = 0
    n_fitted: int = 0

    def __call__(self, X: Floats, Y: Floats, inner_folds: NDArray[np.intp]) -> Found:
        """Return the model of z-scored features (sample, feature) and targets (sample, unit)."""
        names = np.unique(inner_folds)
        if len(names) < 2:
            problem = "the penalty can't be chosen: all training samples are in one inner fold"
            mend = "give the training samples two groups or more, or fewer outer folds"
            raise FornixError(problem, where="elastic net", mend=mend)
        whole = _Samples.of(X, Y)
        parts = [(_Samples.of(X[inner_folds != one], Y[inner_folds != one]), inner_folds == one)
                 for one in names]  # fmt: skip
        coef = np.zeros((X.shape[1], Y.shape[1]))
        penalty = np.zeros(Y.shape[1])
        start = time.monotonic()
        for unit in track(range(Y.shape[1]), "elastic net: units", Y.shape[1]):
            coef[:, unit], penalty[unit] = self._unit(whole, parts, X, Y, unit)
            if unit + 1 == TIMED:
                self._guard((time.monotonic() - start) / TIMED * Y.shape[1] * self.n_fits, Y)
        return Found(coef, whole.centre - whole.mean @ coef, {"alpha": penalty})

    def _unit(
        self,
        whole: _Samples,
        parts: list[tuple[_Samples, NDArray[np.bool_]]],
        X: Floats,
        Y: Floats,
        unit: int,
    ) -> tuple[Floats, float]:
        largest = np.abs(whole.cross[:, unit]).max() / (len(X) * self.section.l1_ratio)
        if not largest > 0:  # constant: all weights are 0
            return np.zeros(X.shape[1]), 0.0
        count = self.section.n_penalties
        penalties = largest * np.geomspace(1, self.section.smallest, count)
        loss = np.zeros(count)
        for part, test in parts:
            path = self._path(part, unit, penalties)
            predicted = (X[test] - part.mean) @ path + part.centre[unit]
            loss += ((Y[test, unit, None] - predicted) ** 2).mean(0)
        best = int(loss.argmin())
        # The path down to the chosen penalty: each solution starts from the one before.
        path = self._path(whole, unit, penalties[: best + 1])
        self.n_fitted += 1
        return path[:, -1], float(penalties[best])

    def _path(self, samples: _Samples, unit: int, penalties: Floats) -> Floats:
        """Return weights (feature, penalty)."""
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", ConvergenceWarning)
            found = enet_path(
                samples.X,
                samples.Y[:, unit],
                l1_ratio=self.section.l1_ratio,
                alphas=penalties,
                precompute=samples.gram,
                Xy=samples.cross[:, unit].copy(),
                max_iter=MOST_ITERATIONS,
                tol=TOLERANCE,
                check_input=False,
            )
        self.unfinished += any(issubclass(one.category, ConvergenceWarning) for one in told)
        return np.asarray(found[1])

    def _guard(self, seconds: float, Y: Floats) -> None:
        if seconds <= 3600 * self.section.most_hours:
            return
        problem = f"an elastic net for each of {Y.shape[1]} units would take about "
        problem += f"{seconds / 3600:.1f} hours ({self.n_fits} fits)"
        mend = "take kind: ridge, fewer units (rois), targets or penalties, or raise most_hours"
        raise FornixError(problem, where="fits (kind: elastic_net)", mend=mend)


@dataclass(frozen=True)
class _Samples:
    """Samples about their means, and the products that all units share."""

    X: Floats
    Y: Floats
    mean: Floats
    centre: Floats
    gram: Floats
    cross: Floats

    @classmethod
    def of(cls, X: Floats, Y: Floats) -> _Samples:
        mean, centre = X.mean(0), Y.mean(0)
        inside = np.asfortranarray(X - mean)
        targets = np.asfortranarray(Y - centre)
        # What rounding leaves of constant targets is 0.
        targets[:, np.abs(targets).max(0) <= 1e-12 * np.abs(Y).max(0)] = 0
        return cls(inside, targets, mean, centre, inside.T @ inside, inside.T @ targets)
