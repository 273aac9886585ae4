"""Bootstrap samples that all subjects and targets of a fit share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fornix.evaluation.metrics import Floats
from fornix.evaluation.regions import Judged
from fornix.evaluation.statistics.bootstrap import multiplicities, poisson_multiplicities
from fornix.seeds import generator
from fornix.study.scores import Scores

Place = tuple[str, str, str, str, str]
"""(session, target, unit, time, metric), time as a text, since NaN equals nothing."""


def place_of(row: dict[str, Any]) -> Place:
    """Return what tells a row from the others of its subject."""
    time = f"{row['time']:.6f}"
    return str(row["session"]), str(row["target"]), str(row["unit"]), time, str(row["metric"])


class Resampling:
    """Which stimuli and which subjects are in each bootstrap sample.

    Parameters
    ----------
    scores
        ``bootstrap`` is the number of samples, and ``resample`` says what is drawn for the group;
        the intervals of a single subject always draw its stimuli.
    subjects
        All subjects of the fit.
    seed
        The study's seed.

    Attributes
    ----------
    draws
        Place -> the mean over subjects in each sample, float64 (draw,).
    """

    def __init__(self, scores: Scores, subjects: Sequence[str], seed: int) -> None:
        self.n, self.seed = scores.bootstrap, seed
        self._stimuli = scores.resample != "subjects"
        n = len(subjects)
        weights = np.ones((self.n, n))
        if scores.resample != "stimuli":
            rng = generator(seed, "evaluate", "bootstrap of subjects")
            weights = multiplicities(n, self.n, rng)
        self._weights = dict(zip(subjects, weights.T / n, strict=True))
        self._wanted = n > 1 and self.n > 0
        self.draws: dict[Place, Floats] = {}

    def drawn(self, items: Sequence[str]) -> Floats | None:
        """Return how often each item is drawn, (draw, item); None without a bootstrap.

        Items of the same name are drawn alike for all subjects.
        """
        return poisson_multiplicities(items, self.n, self.seed) if self.n else None

    def add(self, subject: str, judged: Judged) -> None:
        """Add a subject's scores to the means over subjects."""
        if not self._wanted or subject not in self._weights:
            return
        scores = judged.draws if self._stimuli else np.tile(judged.value, (self.n, 1))
        weighted = scores * self._weights[subject][:, None]
        for row, column in zip(judged.rows, weighted.T, strict=True):
            place = place_of(row)
            self.draws[place] = self.draws.get(place, 0.0) + column
