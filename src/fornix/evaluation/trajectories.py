"""When a model becomes brain-like: half-times of its scores along training, region by region.

The models of a family are checkpoints of one training, ``<family>_<step>``. A half-time is the
step at which a score has risen by half of what training adds to it in the end, between checkpoints
interpolated in the logarithm of the step. Where training adds nothing there is none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fornix.evaluation.brain_likeness import MIN_PLACES, half_time, permuted_correlation
from fornix.evaluation.corrections import Row
from fornix.evaluation.table import ALL, GROUP, score_row
from fornix.seeds import generator
from fornix.study.scores import Scores

HALF_TIMES = {
    "encoding_score": "encoding_half_time",
    "spatial_score": "spatial_half_time",
    "temporal_score": "temporal_half_time",
}
ORDER = "half_time_order"

HOW = {
    **{
        name: f"step at which the {score.partition('_')[0]} score has risen by half of what "
        "training adds to it, interpolated in log(1 + step)"
        for score, name in HALF_TIMES.items()
    },
    ORDER: "correlation over regions between the logarithm of the half-time of the encoding score "
    "and the region's position in the hierarchy; p: regions permuted",
}


def steps_of(models: Sequence[str], family: str) -> dict[int, str]:
    """Return step -> model of a family, ascending.

    Examples
    --------
    >>> steps_of(["vit_100", "vit_0", "vit_large_5", "vit_100@cls"], "vit")
    {0: 'vit_0', 100: 'vit_100'}
    """
    found = ((re.fullmatch(rf"{re.escape(family)}_(\d+)", one), one) for one in models)
    return dict(sorted((int(match[1]), one) for match, one in found if match))


def trajectory_rows(rows: Sequence[Row], scores: Scores, *, seed: int) -> list[Row]:
    """Return the half-times of the families in ``scores.trajectories``.

    Parameters
    ----------
    rows
        Scores of models, from :mod:`fornix.evaluation.likeness`.
    scores
        Families, hierarchy and draws.
    seed
        The study's seed.

    Returns
    -------
    list of Row
        ``target`` is the family; subjects', and the group's, of their mean scores.
    """
    kept = [row for row in rows if row["metric"] in HALF_TIMES and row["subject"] != GROUP]
    values: dict[tuple[str, str, str, str], float] = {
        (row["subject"], row["metric"], row["unit"], row["target"]): float(row["value"])
        for row in kept
    }
    subjects = sorted({row["subject"] for row in kept})
    models = list(dict.fromkeys(str(row["target"]) for row in kept))
    places = dict.fromkeys((str(row["metric"]), str(row["unit"])) for row in kept)
    found: list[Row] = []
    for family in scores.trajectories:
        steps = steps_of(models, family)
        if len(steps) < MIN_PLACES:
            continue
        at = np.array(list(steps))
        halves: dict[str, dict[str, float]] = {}
        for metric, unit in places:
            curves = np.array(
                [
                    [values.get((one, metric, unit, model), np.nan) for model in steps.values()]
                    for one in subjects
                ]
            )
            everybody = {GROUP: curves.mean(0)} if len(subjects) > 1 else {}
            for subject, curve in {**dict(zip(subjects, curves, strict=True)), **everybody}.items():
                half = float(half_time(at, curve, baseline=curve[0], logarithmic=True))
                found.append(_row(subject, family, unit, HALF_TIMES[metric], half, n=len(at)))
                if metric == "encoding_score" and unit != ALL:
                    halves.setdefault(subject, {})[unit] = half
        for subject, one in halves.items():
            found += _order(subject, family, one, scores, seed)
    return found


def _order(
    subject: str, family: str, halves: dict[str, float], scores: Scores, seed: int
) -> list[Row]:
    """Return whether low regions come first."""
    position = scores.positions()
    regions = [name for name in halves if name in position]
    if len(regions) < MIN_PLACES:
        return []
    times: NDArray[np.float64] = np.log1p([halves[name] for name in regions])
    known = np.array([position[name] for name in regions])
    usable = np.isfinite(times)
    if usable.sum() < MIN_PLACES:
        return []
    rng = generator(seed, "evaluate", "half-times", subject, family)
    p, _ = permuted_correlation(times, known, scores.permutations, rng)
    value = float(np.corrcoef(times[usable], known[usable])[0, 1]) if np.ptp(times[usable]) else 0.0
    row = _row(subject, family, ALL, ORDER, value, n=int(usable.sum()))
    return [row | {"p": p}]


def _row(subject: str, family: str, unit: str, metric: str, value: float, *, n: int) -> Row:
    # A half-time has no chance level: training that adds nothing has no half-time.
    chance = 0.0 if metric == ORDER else float("nan")
    return score_row(
        subject=subject, target=family, unit=unit, metric=metric, value=value, chance=chance, n=n
    )
