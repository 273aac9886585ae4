"""Two groups of scores of the same subjects, compared pair by pair, for claims."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fornix.evaluation.statistics.effects import effect_of
from fornix.evaluation.statistics.mixed import mixed_mean
from fornix.evaluation.statistics.signs import ENOUGH, smallest_p
from fornix.study.claims import ScoreSelect

Pairs = pd.DataFrame
"""``subject``, ``one`` and ``other``, a row a pair."""


def pair_rows(
    first: pd.DataFrame, second: pd.DataFrame, wanted: tuple[ScoreSelect, ScoreSelect]
) -> Pairs:
    """Return pairs of scores: of the same subject, unit and time where both sides ask for these.

    Parameters
    ----------
    first, second
        Rows of the score table; several targets of one unit and time are averaged.
    wanted
        What they were selected by. Different units or times (V1 against IT) are compared as means
        of each subject, and so are best times.

    Returns
    -------
    Pairs
        Units and times that one side lacks are left out of both.
    """
    one, other = wanted
    alike = one.unit == other.unit and one.time == other.time and not (one.best or other.best)
    keys = ["subject", "unit", "time"] if alike else ["subject"]

    def means(rows: pd.DataFrame, select: ScoreSelect) -> pd.Series[Any]:
        if select.best:
            rows = rows.loc[rows.groupby("subject")["value"].idxmax()]
        return rows.groupby(keys, dropna=False)["value"].mean()

    both = pd.concat([means(first, one), means(second, other)], axis=1, keys=["one", "other"])
    return both.dropna().reset_index()


def effect_in_words(
    values: NDArray[Any],
    subjects: NDArray[Any],
    confidence: float,
    *,
    against: float = 0.0,
    mixed: bool = False,
) -> tuple[str, float]:
    """Return an effect over subjects with its interval, size and test, and the p.

    Parameters
    ----------
    values
        Differences, or scores less chance, one a row.
    subjects
        Whose each is.
    confidence
        Level of the intervals.
    against
        What the effect is tested against; its size and interval are told from 0.
    mixed
        Test all rows by a mixed model, instead of the subjects' means by Student's t.

    Returns
    -------
    str
        Such as ``0.051 [0.020, 0.082], d_z = 1.21 [0.42, 1.96], t(7) = 3.42, p = 0.006``.
    float
        One-sided p of an effect above ``against``; NaN with fewer than six subjects.
    """
    means = pd.Series(values).groupby(np.asarray(subjects)).mean().to_numpy()
    found = effect_of(means, confidence)
    if len(means) < 2:
        return f"{found.mean:+.3f}", float("nan")
    tested = effect_of(means - against, confidence)
    low, high, mean = found.low, found.high, found.mean
    t, p, df, how = tested.t, tested.p, tested.n - 1, ""
    if mixed and len(values) > len(means):
        fitted = mixed_mean(values - against, subjects, confidence)
        low, high, mean = (bound + against for bound in (fitted.low, fitted.high, fitted.mean))
        t, p, df = fitted.t, fitted.p, fitted.df
        how = f"mixed model of {len(values)} scores, "
    text = f"{mean:+.3f} [{low:.3f}, {high:.3f}]"
    if not np.isnan(found.d):
        text += f", d_z = {found.d:.2f} [{found.d_low:.2f}, {found.d_high:.2f}]"
    if len(means) < ENOUGH:
        least = smallest_p(len(means))
        return f"{text}; {len(means)} subjects' signs reach p = {least:.2g} at best", float("nan")
    if np.isnan(p):
        return f"{mean:+.3f} in every subject", 0.0 if mean > against else 1.0
    return f"{text}, {how}t({df}) = {t:.2f}, {p_in_words(p)}", p


def p_in_words(value: float) -> str:
    """Return ``p = 0.012``, or ``p < 0.001``."""
    return f"p = {value:.3f}" if value >= 0.001 else "p < 0.001"
