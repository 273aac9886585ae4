"""The group: the mean of all subjects, tested by the signs that their effects could have had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from fornix.evaluation.corrections import Row, in_time
from fornix.evaluation.metrics import Floats
from fornix.evaluation.resampling import Place, place_of
from fornix.evaluation.statistics.bootstrap import percentiles
from fornix.evaluation.statistics.clusters import cluster_test
from fornix.evaluation.statistics.signs import ENOUGH, sign_flip_test, smallest_p
from fornix.evaluation.table import GROUP, score_row
from fornix.seeds import generator
from fornix.study.scores import Scores

OWN_GROUP = ("spatial_score", "temporal_score")
"""Metrics whose group score is that of the mean profile, not the mean of subjects' scores."""

HOW = (
    "mean over subjects; p by flipping the signs of subjects' scores less chance, the same flips "
    "for all regions, times and targets; effect: Cohen's d_z; n: subjects"
)


def group_rows(
    rows: list[Row],
    scores: Scores,
    notes: list[str],
    *,
    seed: int,
    draws: Mapping[Place, Floats] | None = None,
) -> list[Row]:
    """Return the rows of the group, for what all subjects have a score of.

    Parameters
    ----------
    rows
        Rows of the subjects. Rows of the group that are there already are left as they are.
    scores
        How fits are judged.
    notes
        Gets a sentence where subjects are too few to be tested together.
    seed
        The study's seed.
    draws
        Place -> means over subjects in bootstrap samples; without, intervals are Student's.

    Returns
    -------
    list
        Nothing with fewer than six subjects.
    """
    subjects = list(dict.fromkeys(row["subject"] for row in rows if row["subject"] != GROUP))
    if not scores.group or len(subjects) < 2:
        return []
    if len(subjects) < ENOUGH:
        if scores.permutations:
            least = smallest_p(len(subjects))
            notes.append(
                f"{len(subjects)} subjects: flips of their signs can't reach a p below "
                f"{least:.2g}, so that each is tested by itself"
            )
        return []
    taken = {place_of(row) for row in rows if row["subject"] == GROUP}
    by_place: dict[Place, dict[str, Row]] = {}
    for row in rows:
        if row["subject"] != GROUP and row["metric"] not in OWN_GROUP and not pd.isna(row["value"]):
            by_place.setdefault(place_of(row), {})[row["subject"]] = row
    complete = {
        place: [found[name] for name in subjects]
        for place, found in by_place.items()
        if len(found) == len(subjects) and place not in taken
    }
    made = []
    for metric in dict.fromkeys(place[-1] for place in complete):
        members = {place: found for place, found in complete.items() if place[-1] == metric}
        made += _of_metric(members, scores, generator(seed, "evaluate", "group", metric), draws)
    return made


def _of_metric(
    members: Mapping[Place, list[Row]],
    scores: Scores,
    rng: np.random.Generator,
    draws: Mapping[Place, Floats] | None,
) -> list[Row]:
    each = list(members.values())
    value = np.array([[row["value"] for row in found] for found in each]).T
    above = value - np.array([[row["chance"] for row in found] for found in each]).T
    n = len(value)
    flips = sign_flip_test(above, scores.permutations, rng)
    sd = value.std(0, ddof=1)
    half = float(stats.t.ppf(0.5 + scores.confidence / 2, n - 1)) * sd / np.sqrt(n)
    low, high = value.mean(0) - half, value.mean(0) + half
    for k, place in enumerate(members):
        if draws and place in draws:
            low[k], high[k] = percentiles(draws[place], scores.confidence)
    effect = _standardised(above)
    made = [
        score_row(
            subject=GROUP,
            session=found[0]["session"],
            target=found[0]["target"],
            unit=found[0]["unit"],
            time=found[0]["time"],
            metric=found[0]["metric"],
            value=float(value[:, k].mean()),
            chance=float(np.mean([row["chance"] for row in found])),
            ceiling=float(np.mean([row["ceiling"] for row in found])),
            p=float(flips.p[k]),
            n=n,
            effect=float(effect[k]),
            between=(float(low[k]), float(high[k])),
        )
        for k, found in enumerate(each)
    ]
    if scores.correction == "max":
        _write(made, flips.p_max)
    elif scores.correction == "cluster" and scores.permutations:
        _write(made, flips.p_max)
        series: dict[tuple[str, str], list[int]] = {}
        for k, row in enumerate(made):
            series.setdefault((row["target"], row["unit"]), []).append(k)
        for columns in series.values():
            here = [made[k] for k in columns]
            if in_time(here):
                order = sorted(columns, key=lambda k: made[k]["time"])
                p = cluster_test(above[:, order], scores.permutations, rng)
                _write([made[k] for k in order], p)
    return made


def _standardised(above: NDArray[Any]) -> Floats:
    """Return Cohen's d_z of each column; NaN where subjects don't differ."""
    mean, sd = above.mean(0), above.std(0, ddof=1)
    varies = sd > 1e-12 * np.abs(mean)
    return np.where(varies, mean / np.where(varies, sd, 1), np.nan)


def _write(rows: list[Row], p: NDArray[Any]) -> None:
    for row, one in zip(rows, p, strict=True):
        row["p_corrected"] = float(one)
