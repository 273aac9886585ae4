"""What makes a model brain-like: effects of size, training, pictures, and of two together.

A model is a cell of the crossed design ``scores.factors``. The unit of replication is the model,
not the subject: all subjects are compared with the same models, so that their scores are averaged
before an effect is tested. Subjects give the intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from scipy import stats

from fornix.evaluation.corrections import Row
from fornix.evaluation.metrics import Floats
from fornix.evaluation.statistics.anova import anova, effects_of, eta_squared
from fornix.evaluation.statistics.bootstrap import percentiles
from fornix.evaluation.table import ALL, GROUP, score_row
from fornix.seeds import generator
from fornix.study.scores import Scores

METRICS = ("encoding_score", "spatial_score", "temporal_score")
ETA, CHANGE = "eta_squared", "factor_change"
DRAWS = 1000
"""Of the bootstrap over subjects."""

HOW = {
    ETA: "partial eta squared of a factor, or of two together, in an analysis of variance of the "
    "models' scores, averaged over subjects; p: permutation of the residuals of all other effects "
    "(Freedman-Lane); interval: bootstrap over subjects",
    CHANGE: "mean score of the last level of a factor less that of the first, over all levels of "
    "the others; the group's interval: Student's t over subjects",
}


def factor_rows(rows: Sequence[Row], scores: Scores, *, seed: int) -> list[Row]:
    """Return the effects of the factors on each brain-likeness score.

    Parameters
    ----------
    rows
        Scores of models, from :mod:`fornix.evaluation.likeness`.
    scores
        The factors, confidence and draws.
    seed
        The study's seed.

    Returns
    -------
    list of Row
        ``unit`` names the score that is analysed, ``target`` the factor or the two factors.
    """
    found: list[Row] = []
    for metric in METRICS:
        values = {
            (str(row["subject"]), str(row["target"])): float(row["value"])
            for row in rows
            if row["metric"] == metric and row["unit"] == ALL and row["subject"] != GROUP
        }
        cells = _cells(scores, {model for _, model in values})
        subjects = sorted({subject for subject, _ in values})
        if not cells:
            continue
        cube = np.array([_cube(values, cells, scores, subject) for subject in subjects])
        if np.isfinite(cube).all():
            found += _effects(cube, metric, scores, seed)
            found += _changes(cube, metric, scores, subjects)
    return found


def _cells(scores: Scores, models: set[str]) -> dict[tuple[str, ...], str]:
    """Return the design; empty for a fit of some of the models (the study has been checked)."""
    try:
        return scores.cells(models)
    except ValueError:
        return {}


def _cube(
    values: Mapping[tuple[str, str], float],
    cells: Mapping[tuple[str, ...], str],
    scores: Scores,
    subject: str,
) -> Floats:
    """Return a subject's scores with an axis a factor; NaN where one isn't defined."""
    levels = [list(one) for one in scores.factors.values()]
    flat = [values.get((subject, cells[cell]), np.nan) for cell in product(*levels)]
    return np.array(flat).reshape([len(one) for one in levels])


def _effects(cube: Floats, metric: str, scores: Scores, seed: int) -> list[Row]:
    names = list(scores.factors)
    rng = generator(seed, "evaluate", "factors", metric)
    drawn = rng.integers(len(cube), size=(DRAWS, len(cube)))
    means = cube[drawn].mean(1)
    found = []
    for effect in anova(cube.mean(0), scores.permutations, rng):
        low, high = percentiles(eta_squared(means, effect.axes), scores.confidence)
        found.append(
            score_row(
                subject=GROUP,
                target=" x ".join(names[axis] for axis in effect.axes),
                unit=metric,
                metric=ETA,
                value=effect.eta_squared,
                p=effect.p,
                n=cube[0].size,
                between=(float(low), float(high)) if len(cube) > 1 else (np.nan, np.nan),
            )
        )
    return found


def _changes(cube: Floats, metric: str, scores: Scores, subjects: Sequence[str]) -> list[Row]:
    found = []
    for (axis,) in [one for one in effects_of(cube.shape[1:]) if len(one) == 1]:
        name = list(scores.factors)[axis]
        last, first = (np.take(cube, at, axis + 1) for at in (-1, 0))
        change = (last - first).reshape(len(cube), -1).mean(1)
        head = {"target": name, "unit": metric, "metric": CHANGE, "n": cube[0].size}
        found += [
            score_row(subject=subject, value=float(value), **head)
            for subject, value in zip(subjects, change, strict=True)
        ]
        if len(change) > 1:
            error = change.std(ddof=1) / np.sqrt(len(change))
            half = float(stats.t.ppf(0.5 + scores.confidence / 2, len(change) - 1)) * error
            mean = float(change.mean())
            between = (mean - half, mean + half)
            found.append(score_row(subject=GROUP, value=mean, between=between, **head))
    return found
