"""Partial least squares from features to all units together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fornix.models.interface import Context, EncodingData, Predictions
from fornix.models.linear import Floats, Found, Outer
from fornix.solvers.pls import solve

if TYPE_CHECKING:
    from fornix.study.fits.pls import PlsFit


def fit(section: PlsFit, data: EncodingData, context: Context) -> Predictions:
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

    def solver(X: Floats, Y: Floats, inner_folds: NDArray[np.intp]) -> Found:
        found = solve(X, Y, section.n_components, inner_folds)
        return Found(found.coef, found.intercept, {"n_components": found.n_components})

    return Outer(data, context, "pls").run(solver)
