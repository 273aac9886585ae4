"""The mean of all subjects who met the same thing: its predictions against its responses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fornix.evaluation.corrections import Corrections
from fornix.evaluation.held_out import HeldOut
from fornix.evaluation.metrics import Floats
from fornix.evaluation.permutation import circular_shifts
from fornix.evaluation.regions import Ceilings, Items, judge_predictions, rows_of
from fornix.evaluation.shared import Shared, intersubject_rows
from fornix.evaluation.table import GROUP
from fornix.seeds import generator


class Together:
    """The mean over subjects of responses and predictions, where all met the same thing."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.sums: dict[str, Floats] = {}
        self.folds: list[list[Any]] = []
        self.last: HeldOut | None = None

    def add(self, one: HeldOut) -> None:
        """Add a subject's predictions to the mean."""
        rows = self.shared.rows[one.name]
        for target in one.targets:
            mine = one.predicted(target)[rows]
            self.sums[target] = self.sums.get(target, 0.0) + mine
        self.folds.append(one.fold[rows].tolist())
        self.last = one

    def score(self, notes: list[str]) -> list[dict[str, Any]]:
        """Return the rows of the group, and of each subject against the others."""
        one = self.last
        if one is None:
            return []
        rows, n = self.shared.rows[one.name], len(self.shared.rows)
        places = [place for place in one.places() if len(place[2])]
        recording = pd.factorize(one.fit["recording"].values.astype(str)[rows])[0]
        found = intersubject_rows(self.shared, recording, places, one.scores, one.seed)
        if any(fold != self.folds[0] for fold in self.folds):
            notes.append("subjects have different folds, so that their predictions aren't averaged")
            return found
        every, stretch = np.arange(len(rows)), one.stretch[rows]
        rng = generator(one.seed, "evaluate", "encoding", GROUP)
        orders = circular_shifts(stretch, one.scores.permutations, rng)
        together = pd.factorize(one.drawn_together[0][rows])[0]
        items = Items(every, every, orders, together)
        observed = self.shared.observed.mean(0)
        corrections = Corrections(one.scores.correction, one.scores.permutations)
        for target, summed in self.sums.items():
            judged = judge_predictions(
                GROUP,
                target,
                observed,
                summed / n,
                one.fold[rows],
                places=places,
                items=items,
                ceilings=Ceilings(np.full(observed.shape[1], np.nan)),
                scores=one.scores,
            )
            for metric in judged:
                corrections.add(metric.rows, metric.value, metric.null)
            found += rows_of(judged)
        corrections.finish()
        return found
