"""What linear models share: z-scored features, outer folds, weights for raw features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fornix.models.interface import Context, EncodingData, Predictions
from fornix.progress import track
from fornix.solvers.panels import Matrix, moments, scaled

Floats = NDArray[np.float64]


class Found(NamedTuple):
    """A linear model of features as they were given to it.

    Attributes
    ----------
    coef
        (feature, unit).
    intercept
        (unit,).
    chosen
        Name -> what was chosen for each unit, (unit,).
    """

    coef: NDArray[Any]
    intercept: NDArray[Any]
    chosen: dict[str, NDArray[Any]]


Solver = Callable[[Floats, Floats, NDArray[np.intp]], Found]
"""z-scored features (sample, feature), targets (sample, unit) and inner folds -> the model."""


@dataclass(frozen=True)
class Standard:
    """z-scores of the features that vary in some training samples.

    Attributes
    ----------
    mean, scale
        (feature,); the scale is 0 for features that are constant.
    """

    mean: Floats
    scale: Floats

    @classmethod
    def of(cls, X: Matrix) -> Standard:
        """Return those of training samples (sample, feature)."""
        mean, spread = moments(X)
        # float32 features that differ in their last bits only are constant.
        used = spread > 1e-6 * np.maximum(np.abs(mean), 1e-12)
        return cls(mean, np.divide(1.0, spread, out=np.zeros(len(mean)), where=used))

    def __call__(self, X: Matrix) -> Floats:
        """Return z-scores, (sample, feature that varies)."""
        return np.asarray(scaled(X, self.mean, self.scale), dtype=np.float64)

    def raw(self, coef: NDArray[Any], intercept: NDArray[Any]) -> tuple[Floats, Floats]:
        """Return coefficients and intercept for raw features."""
        whole = np.zeros((len(self.mean), coef.shape[1]))
        whole[self.scale > 0] = coef * self.scale[self.scale > 0, None]
        return whole, intercept - self.mean @ whole


@dataclass
class Outer:
    """Fits every target in every outer fold, and on all samples.

    Attributes
    ----------
    data, context
        What is fitted, and where notes go.
    what
        Name of the model, for the line of progress.
    found
        What comes of it.
    """

    data: EncodingData
    context: Context
    what: str
    found: Predictions = field(default_factory=Predictions)

    def run(self, solver: Solver) -> Predictions:
        """Fit all targets."""
        for target in track(list(self.data.targets), f"{self.what}: targets"):
            self._fit(target, solver)
        return self.found

    def _fit(self, target: str, solver: Solver) -> None:
        X, Y = self.data.matrix(target), self.data.responses
        predicted = np.empty(Y.shape, dtype=np.float32)
        blind = 0
        for train, test in self.data.folds:
            coef, intercept, _ = fit_raw(X[train], Y[train], self.data.inner(train), solver)
            predicted[test] = np.asarray(X[test], dtype=np.float64) @ coef + intercept
            blind += not coef.any() and not Standard.of(X[train]).scale.any()
        everything = np.arange(len(Y))
        coef, intercept, chosen = fit_raw(X, Y, self.data.inner(everything), solver)
        self.found.predicted[target] = predicted
        values = {"coef": coef, "intercept": intercept, **chosen}
        for name, value in values.items():
            stored = np.ascontiguousarray(value, dtype=np.float32)
            self.found.weights[f"{target}/{name}"] = stored
        if blind:
            self.context.notes.append(
                f"{target}: every feature is constant in the training samples of {blind} of "
                f"{len(self.data.folds)} folds; these predict the training mean"
            )


def fit_raw(X: Matrix, Y: NDArray[Any], inner_folds: NDArray[np.intp], solver: Solver) -> Found:
    """Fit z-scored features; return the model of raw ones.

    Without a feature that varies it predicts the mean.
    """
    standard = Standard.of(X)
    targets = np.asarray(Y, dtype=np.float64)
    if not standard.scale.any():
        nothing = np.zeros((0, Y.shape[1]))
        return Found(*standard.raw(nothing, targets.mean(0)), {})
    found = solver(standard(X), targets, inner_folds)
    return Found(*standard.raw(found.coef, found.intercept), found.chosen)
