"""Folds of stimuli: models that learn are tested on the pairs within a fold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fornix.errors import FornixError

MIN_COMMON = 4
"""Stimuli below which dissimilarities aren't compared: they have six pairs."""


def stimulus_folds(
    n: int, wanted: int, rng: np.random.Generator, *, where: str
) -> list[NDArray[np.intp]]:
    """Return folds of stimuli that hold ``MIN_COMMON`` or more each; fewer than wanted if need be.

    Raises
    ------
    FornixError
        If there are too few stimuli for two folds.
    """
    n_folds = min(wanted, n // MIN_COMMON)
    if n_folds < 2:
        problem = f"{n} stimuli are too few to hold some out: two folds of {MIN_COMMON} need "
        problem += f"{2 * MIN_COMMON}"
        mend = "set models: [fixed], or held_out: {over: subjects}"
        raise FornixError(problem, where=where, mend=mend)
    return [np.sort(one) for one in np.array_split(rng.permutation(n), n_folds)]
