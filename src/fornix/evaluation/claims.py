"""Claims: what the scores say about the paper's sentences.

A verdict is ``supported``, ``not supported``, or ``not testable here`` when the scores hold no
row that the claim is about. The unit of replication is the subject; rows about the group are
left out unless a claim asks for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from fornix.evaluation.paired import effect_in_words, p_in_words, pair_rows
from fornix.evaluation.statistics.signs import ENOUGH as MANY
from fornix.evaluation.table import GROUP, KEYS
from fornix.study.claims import (
    AboveChance,
    AtChance,
    AtLeast,
    Best,
    Claim,
    Greater,
    Near,
    ScoreSelect,
    Tie,
    Trend,
)

SUPPORTED, REFUTED, UNTESTABLE = "supported", "not supported", "not testable here"
ROUNDING = 1e-9
"""A mean of 0.4 must reach a threshold of 0.4, however its sum was rounded."""


@dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Attributes
    ----------
    text, test
        The claim's sentence and the kind of its test.
    verdict
        ``supported``, ``not supported`` or ``not testable here``.
    numbers
        The numbers behind it, in a sentence.
    n_rows
        Rows of the score table that it rests on.
    """

    text: str
    test: str
    verdict: str
    numbers: str
    n_rows: int


class _Untestable(Exception):  # noqa: N818 - a message between functions, not an error
    """Raised with the reason why a claim can't be tested here."""


def judge(
    claim: Claim,
    scores: pd.DataFrame,
    intervals: pd.DataFrame | None = None,
    *,
    confidence: float = 0.95,
) -> Verdict:
    """Test a claim.

    Parameters
    ----------
    claim
        One of the study's claims.
    scores
        The study's score table.
    intervals
        Null intervals of the scores (columns of the score table's keys, low, high), if any.
    confidence
        Level of these intervals.
    """
    test: Callable[..., tuple[bool, str, int]] = _TESTS[type(claim)]
    try:
        nulls = None if intervals is None else intervals.assign(sd=_null_sd(intervals, confidence))
        holds, numbers, n_rows = test(claim, scores, nulls)
    except _Untestable as reason:
        return Verdict(claim.text, claim.test, UNTESTABLE, str(reason), 0)
    verdict = SUPPORTED if holds else REFUTED
    return Verdict(claim.text, claim.test, verdict, numbers, n_rows)


def select(rows: pd.DataFrame, wanted: ScoreSelect) -> pd.DataFrame:
    """Return the rows of a score table that a claim is about.

    Raises
    ------
    _Untestable
        If there is none; the message says what was looked for and what there is.
    """
    found = rows[(rows["fit"] == wanted.fit) & (rows["metric"] == wanted.metric)]
    if found.empty:
        known = sorted(set(rows.loc[rows["fit"] == wanted.fit, "metric"]))
        reason = f"no scores of {wanted.fit} by {wanted.metric}"
        raise _Untestable(reason + (f"; there are {', '.join(known)}" if known else ""))
    for key in ("subject", "target", "unit"):
        pattern = getattr(wanted, key)
        if pattern is None:
            continue
        matches = [fnmatch(str(value).lower(), pattern.lower()) for value in found[key]]
        if not any(matches):
            known = sorted(set(map(str, found[key])))
            msg = f"no scores with {key} {pattern}; there are {', '.join(known[:8])}"
            raise _Untestable(msg)
        found = found[matches]
    if wanted.subject is None or wanted.subject.lower() != GROUP:
        found = found[found["subject"] != GROUP]
    if wanted.time is not None:
        low, high = wanted.time
        found = found[found["time"].between(low - 1e-9, high + 1e-9)]
    found = found[found["value"].notna()]
    if found.empty:
        raise _Untestable("no scores at these times" if wanted.time else "no scores of a subject")
    return found


def _by_subject(found: pd.DataFrame, wanted: ScoreSelect, column: str = "value") -> pd.Series[Any]:
    """Return one number a subject: the best row's, or the mean over rows."""
    if wanted.best:
        found = found.loc[found.groupby("subject")["value"].idxmax()]
    numbers: pd.Series[Any] = found.groupby("subject")[column].mean().dropna()
    if numbers.empty:
        msg = f"the scores have no {column}"
        raise _Untestable(msg)
    return numbers


def _above_chance(
    claim: AboveChance, scores: pd.DataFrame, intervals: object
) -> tuple[bool, str, int]:
    found = select(scores, claim.scores)
    values = _by_subject(found, claim.scores)
    # The best of many times lies above chance by itself: only p-values that pay for it count.
    if len(values) >= MANY and not claim.scores.best:
        over = (found["value"] - found["chance"]).to_numpy(dtype=np.float64)
        text, p_over = effect_in_words(
            over, found["subject"].to_numpy(), 1 - claim.alpha, mixed=claim.over == "rows"
        )
        return p_over < claim.alpha, f"{_list(values)}; above chance by {text}", len(found)
    # Several rows a subject are several chances to be significant: the smallest p pays for them.
    tests = found.groupby("subject")["p"].agg(["min", "count"])
    p = (tests["min"] * tests["count"]).clip(upper=1)
    if p.isna().any():
        msg = "the scores have no p (scores.permutations is 0)"
        raise _Untestable(msg)
    more = (
        f" (corrected for {tests['count'].max()} scores each)" if tests["count"].max() > 1 else ""
    )
    if len(values) >= MANY:
        together = float(stats.combine_pvalues(p, method="fisher").pvalue)
        numbers = (
            f"{_list(values)}; permutation p of all subjects combined, {p_in_words(together)}{more}"
        )
        return together < claim.alpha, numbers, len(found)
    per = ", ".join(p_in_words(one) for one in p)
    return bool((p < claim.alpha).all()), f"{_list(values)}; permutation {per}{more}", len(found)


def _at_chance(
    claim: AtChance, scores: pd.DataFrame, intervals: pd.DataFrame | None
) -> tuple[bool, str, int]:
    found = select(scores, claim.scores)
    if found["p"].notna().sum() == 0:
        msg = "the scores have no p (scores.permutations is 0)"
        raise _Untestable(msg)
    # Two-sided; a permutation p alone never gets below 1 / (draws + 1), however far off a score
    # is, so that among very many scores none could ever be too far off.
    p: pd.Series[Any] = 2 * found["p"].where(found["p"] < 0.5, 1 - found["p"]).dropna()
    within = ""
    if intervals is not None and len(intervals):
        keys = [key for key in KEYS if key != "study"]
        joined = found.merge(intervals.drop(columns="study"), on=keys, how="inner")
        inside = joined["value"].between(joined["low"], joined["high"])
        within = f"; {inside.sum()} of {len(joined)} within the null's interval"
        if len(joined) == len(found) and (joined["sd"] > 0).all():
            z = (joined["value"] - (joined["low"] + joined["high"]) / 2) / joined["sd"]
            p = pd.Series(2 * stats.norm.sf(z.abs()))
    corrected = min(1.0, float(p.min()) * len(p))
    numbers = f"mean {found['value'].mean():.3g} (chance {found['chance'].mean():.3g}), "
    numbers += f"smallest two-sided {p_in_words(corrected)}"
    numbers += f" corrected for {len(p)} scores" if len(p) > 1 else ""
    return corrected >= claim.alpha, numbers + within, len(found)


def _null_sd(intervals: pd.DataFrame, confidence: float) -> pd.Series[Any]:
    """Return the SD of normal null distributions that have these central intervals."""
    width: pd.Series[Any] = intervals["high"] - intervals["low"]
    return width / (2 * float(stats.norm.ppf(0.5 + confidence / 2)))


def _at_least(claim: AtLeast, scores: pd.DataFrame, intervals: object) -> tuple[bool, str, int]:
    found = select(scores, claim.scores)
    values = _by_subject(found, claim.scores)
    mean = float(values.mean())
    holds = mean >= claim.threshold - ROUNDING
    return holds, f"{_list(values)}; threshold {claim.threshold:g}", len(found)


def _near(claim: Near, scores: pd.DataFrame, intervals: object) -> tuple[bool, str, int]:
    found = select(scores, claim.scores)
    values = _by_subject(found, claim.scores, claim.column)
    off = float(values.mean()) - claim.expected
    numbers = f"{_list(values)}; expected {claim.expected:g} within {claim.tolerance:g}"
    return abs(off) <= claim.tolerance + ROUNDING, f"{numbers}, off by {off:+.3f}", len(found)


def _greater(claim: Greater, scores: pd.DataFrame, intervals: object) -> tuple[bool, str, int]:
    pairs, means, n_rows = _pairs(claim, scores)
    wins = int((means["one"] - means["other"] > claim.by).sum())
    margin = f" by more than {claim.by:g}" if claim.by else ""
    numbers = f"{_list(means['one'])} against {_list(means['other'])}; "
    numbers += f"greater{margin} in {wins} of {len(means)}"
    if len(pairs) > len(means):
        numbers += f" (paired in {len(pairs)} units or times)"
    text, p = effect_in_words(
        (pairs["one"] - pairs["other"]).to_numpy(dtype=np.float64),
        pairs["subject"].to_numpy(),
        1 - claim.alpha,
        against=claim.by,
        mixed=claim.over == "rows",
    )
    holds = wins == len(means) if len(means) < MANY else p < claim.alpha
    return holds, f"{numbers}; difference {text}", n_rows


def _tie(claim: Tie, scores: pd.DataFrame, intervals: object) -> tuple[bool, str, int]:
    _, means, n_rows = _pairs(claim, scores)
    difference = means["one"] - means["other"]
    close = int((difference.abs() < claim.within).sum())
    text, _ = effect_in_words(
        difference.to_numpy(dtype=np.float64), means.index.to_numpy(), 1 - 2 * claim.alpha
    )
    numbers = f"{_list(means['one'])} against {_list(means['other'])}; mean difference {text}, "
    numbers += f"within {claim.within:g} in {close} of {len(means)}"
    holds = close == len(means)
    if len(means) >= MANY:
        above = stats.ttest_1samp(difference, -claim.within, alternative="greater")
        below = stats.ttest_1samp(difference, claim.within, alternative="less")
        p = max(float(above.pvalue), float(below.pvalue))
        numbers += f"; equivalence {p_in_words(p)}"
        holds = p < claim.alpha
    return holds, numbers, n_rows


def _pairs(claim: Greater | Tie, scores: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Return pairs, both means of every subject that has both, and how many rows they rest on."""
    first, second = select(scores, claim.scores), select(scores, claim.than)
    pairs = pair_rows(first, second, (claim.scores, claim.than))
    if pairs.empty:
        msg = "the two fits have no subject in common"
        raise _Untestable(msg)
    means = pairs.groupby("subject")[["one", "other"]].mean()
    return pairs, means, len(first) + len(second)


def _best(claim: Best, scores: pd.DataFrame, intervals: object) -> tuple[bool, str, int]:
    found = select(scores, claim.scores)
    means = found.pivot_table(index="subject", columns="target", values="value")
    if claim.winner not in means:
        known = ", ".join(map(str, means.columns[:8]))
        msg = f"no scores of {claim.winner}; there are {known}"
        raise _Untestable(msg)
    others = means.drop(columns=claim.winner)
    if others.empty or others.shape[1] == 0:
        msg = f"{claim.winner} has no competitor"
        raise _Untestable(msg)
    wins = int((means[claim.winner] > others.max(axis=1)).sum())
    runner = others.mean().idxmax()
    numbers = f"{claim.winner} {means[claim.winner].mean():.3f}, next {runner} "
    numbers += f"{others[runner].mean():.3f}; first in {wins} of {len(means)} subjects"
    ahead = (means[claim.winner] - others[runner]).dropna()
    text, _ = effect_in_words(ahead.to_numpy(), ahead.index.to_numpy(), 1 - claim.alpha)
    numbers += f"; ahead by {text}"
    return wins == len(means), numbers, len(found)


def _trend(claim: Trend, scores: pd.DataFrame, intervals: object) -> tuple[bool, str, int]:
    found = select(scores, claim.scores)
    order = list(dict.fromkeys(found["target"]))
    if len(order) < 3:
        msg = f"a trend needs three targets, and there are {len(order)}"
        raise _Untestable(msg)
    means = found.pivot_table(index="subject", columns="target", values="value")[order]
    third = max(1, len(order) // 3)
    change = means.iloc[:, -third:].mean(axis=1) - means.iloc[:, :third].mean(axis=1)
    numbers = f"from the first to the last {third} of {len(order)}: {_list(change)}"
    if claim.direction == "flat":
        return (
            abs(float(change.mean())) < claim.by,
            f"{numbers}; less than {claim.by:g}",
            len(found),
        )
    signed = change if claim.direction == "rises" else -change
    agree = int((signed >= max(claim.by, np.finfo(float).tiny)).sum())
    numbers += f"; {claim.direction} by {claim.by:g} or more in {agree} of {len(signed)}"
    holds = agree == len(signed)
    if len(signed) >= MANY:
        text, p = effect_in_words(signed.to_numpy(), signed.index.to_numpy(), 1 - claim.alpha)
        numbers += f"; {text}"
        holds = bool(p < claim.alpha and signed.mean() >= claim.by)
    return holds, numbers, len(found)


_TESTS: dict[type[Any], Callable[..., tuple[bool, str, int]]] = {
    AboveChance: _above_chance,
    AtChance: _at_chance,
    AtLeast: _at_least,
    Near: _near,
    Greater: _greater,
    Tie: _tie,
    Best: _best,
    Trend: _trend,
}


def _list(values: pd.Series[Any]) -> str:
    """Return ``mean 0.52 of 3 subjects (0.48, 0.53, 0.55)``."""
    each = ", ".join(f"{value:.3f}" for value in values)
    if len(values) == 1:
        whose = {GROUP: " (mean over subjects)", "": ""}  # an analysis has no subject
        return each + whose.get(str(values.index[0]), " (one subject)")
    few = f" ({each})" if len(values) <= MANY else f" ({values.min():.3f} to {values.max():.3f})"
    return f"mean {np.mean(values):.3f} of {len(values)} subjects{few}"
