"""The mean of all subjects who met the same thing: its predictions against its responses."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fornix.evaluation.corrections import Corrections, Row
from fornix.evaluation.held_out import HeldOut
from fornix.evaluation.permutation import circular_shifts
from fornix.evaluation.regions import Ceilings, Items, judge_predictions, rows_of
from fornix.evaluation.shared import Shared, intersubject_rows
from fornix.evaluation.table import GROUP
from fornix.seeds import generator
from fornix.study.scores import Scores


def together_rows(shared: Shared, scores: Scores, notes: list[str], *, seed: int) -> list[Row]:
    """Return the rows of the mean over subjects, and of each subject against the others.

    Parameters
    ----------
    shared
        What all subjects met.
    scores
        How fits are judged.
    notes
        Gets a sentence where subjects' predictions can't be averaged.
    seed
        The study's seed.
    """
    *_, last = shared.rows
    one, rows = HeldOut(last, shared.fits[last], scores, seed), shared.rows[last]
    places = [place for place in one.places() if len(place[2])]
    recording = pd.factorize(one.fit["recording"].values.astype(str)[rows])[0]
    found = intersubject_rows(shared, recording, places, scores, seed)
    fold = one.fold[rows]
    others = (shared.fits[name]["fold"].values[mine] for name, mine in shared.rows.items())
    if any((other != fold).any() for other in others):
        notes.append("subjects have different folds, so that their predictions aren't averaged")
        return found
    every = np.arange(len(rows))
    rng = generator(seed, "evaluate", "encoding", GROUP)
    orders = circular_shifts(one.stretch[rows], scores.permutations, rng)
    items = Items(every, every, orders, pd.factorize(one.drawn_together[0][rows])[0])
    corrections = Corrections(scores.correction, scores.permutations)
    for target in one.targets:
        judged = judge_predictions(
            GROUP,
            target,
            shared.blocks(places, target),
            fold,
            places=places,
            items=items,
            ceilings=Ceilings(np.full(shared.n_units, np.nan)),
            scores=scores,
        )
        for metric in judged:
            corrections.add(metric.rows, metric.value, metric.null)
        found += rows_of(judged)
    corrections.finish()
    return found
