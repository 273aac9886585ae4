"""Which of two targets predicts better: differences of r, paired unit by unit.

Where neither does, what a stimulus (or a stretch of time) adds to the difference could have been
the other way round: signs are flipped, the same for all regions, times and pairs. Folds train on
one another, so that the null is widened as that of r is: without it 13 % of simulated pairs of
models that know nothing differ at p < 0.05, with it 6 %; and 2 % of pairs that know the same.
"""

from __future__ import annotations

from fnmatch import fnmatch

import numpy as np

from fornix.evaluation.blocks import Places, add_sums, counts
from fornix.evaluation.corrections import Corrections, Row
from fornix.evaluation.held_out import HeldOut
from fornix.evaluation.metrics import Floats, correlation_factors
from fornix.evaluation.permutation import null_interval, p_value, widened
from fornix.evaluation.statistics.bootstrap import (
    influence_of_factors,
    jackknife_interval,
    summed_by_item,
)
from fornix.evaluation.table import score_row

METRIC = "difference_r"

HOW = {
    METRIC: "r of the first target less r of the second, mean over the same units; null: signs of "
    "held-out groups' (or 20 s stretches') contributions flipped, the same for all pairs, and "
    "widened by sqrt(2), since folds train on one another",
}


def pairs_of(one: HeldOut, notes: list[str]) -> list[tuple[str, str]]:
    """Return the pairs of targets that ``scores.compare`` names."""
    found: dict[tuple[str, str], None] = {}
    for first, second in one.scores.compare:
        some = [
            (a, b)
            for a in one.targets
            for b in one.targets
            if a != b and fnmatch(a.lower(), first.lower()) and fnmatch(b.lower(), second.lower())
        ]
        if not some:
            notes.append(f"no two targets to compare like '{first}' and '{second}'")
        found |= dict.fromkeys(some)
    return list(found)


def comparison_rows(one: HeldOut, places: Places, notes: list[str]) -> list[Row]:
    """Return rows ``difference_r`` with target ``<first> - <second>``.

    Parameters
    ----------
    one
        A subject's fit; ``scores.compare`` names the pairs.
    places
        Regions and times, with the units that count.
    notes
        Gets a sentence where a pair matches nothing.
    """
    pairs = pairs_of(one, notes)
    used = [place for place in places if len(place[2])]
    if not pairs or not used:
        return []
    groups = one.exchangeable
    n = one.scores.permutations
    signs = one.rng("compare").integers(0, 2, size=(n, len(np.unique(groups)))) * 2.0 - 1.0
    parts = {name: _parts(one, used, name) for name in dict.fromkeys(sum(pairs, ()))}
    corrections = Corrections(one.scores.correction, n)
    rows = []
    for first, second in pairs:
        added, influence = (a - b for a, b in zip(parts[first], parts[second], strict=True))
        value = added.sum(0)
        null = widened(signs @ added)
        between = jackknife_interval(value, influence, one.scores.confidence)
        interval = null_interval(null, one.scores.confidence)
        p = p_value(null, value)
        made = [
            score_row(
                subject=one.name,
                target=f"{first} - {second}",
                unit=region,
                time=time,
                metric=METRIC,
                value=float(value[k]),
                p=float(p[k]),
                n=len(one.fold),
                interval=(float(interval[0][k]), float(interval[1][k])),
                between=(float(between[0][k]), float(between[1][k])),
            )
            for k, (region, time, _) in enumerate(used)
        ]
        corrections.add(made, value, null)
        rows += made
    corrections.finish()
    return rows


def _parts(one: HeldOut, places: Places, target: str) -> tuple[Floats, Floats]:
    """Return what goes into a target's mean r of each place.

    Returns
    -------
    added
        Of what is exchangeable together, float64 (group, place).
    influence
        Of what is drawn together, float64 (item, place).
    """
    shape = len(one.fold), len(places)
    added, influence = np.zeros(shape), np.zeros(shape)
    for block in one.blocks(places, target):
        left, right = correlation_factors(block.observed, block.predicted, one.fold)
        add_sums(added, left * right, block.pieces)
        add_sums(influence, influence_of_factors(left, right, one.fold), block.pieces)
    n = counts(places)
    together = one.drawn_together[0]
    return summed_by_item(added / n, one.exchangeable), summed_by_item(influence / n, together)
