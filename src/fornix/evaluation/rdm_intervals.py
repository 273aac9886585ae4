"""Confidence intervals of representational models, and comparisons of each two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from fornix.evaluation.comparisons import compare, n_stimuli
from fornix.evaluation.metrics import Floats
from fornix.evaluation.rdm_bootstrap import (
    interval,
    resample,
    spread,
    stimulus_draws,
    two_sided,
)
from fornix.evaluation.rdms import pairs_of
from fornix.evaluation.table import GROUP, Evaluated
from fornix.seeds import generator
from fornix.study.fits.rsa import WEIGHTED, RsaFit

MAX_PAIRS = 50_000
"""Pairs of stimuli up to which stimuli are drawn, unless a study asks for it."""

MAX_PAIRS_IN_TIME = 500_000
"""Pairs times windows of the epoch up to which stimuli are drawn, likewise."""


class Judged(NamedTuple):
    """Models of one subject, and the pairs of stimuli that they were judged on.

    Attributes
    ----------
    targets
        Names.
    brain, models
        Dissimilarities, (pair, 1) and (pair, model).
    blocks
        Stimuli that are judged together; a score is the mean over blocks.
    constant
        Comparison with a model that is the same for all pairs: 0 for predictions that could have
        been better, NaN for a model that was given.
    """

    targets: list[str]
    brain: Floats
    models: Floats
    blocks: list[NDArray[np.intp]]
    constant: float

    def value(self, how: str) -> Floats:
        """Return the mean comparison over blocks, (model,)."""
        n = n_stimuli(len(self.brain))
        found = []
        for block in self.blocks:
            pairs = slice(None) if len(block) == n else pairs_of(block, n)
            one = compare(self.brain[pairs], self.models[pairs], how)[0]
            found.append(np.where(np.isnan(one), self.constant, one))
        return np.asarray(np.mean(found, axis=0))


def interval_rows(
    judged: Mapping[str, Sequence[Judged]],
    unit: str,
    fit: RsaFit,
    confidence: float,
    found: Evaluated,
    *,
    place: tuple[str, float],
    shared: bool,
    n_units: int,
    seed: int,
) -> dict[tuple[str, str], tuple[float, float]]:
    """Add lines to the tables ``bootstrap`` and ``differences``.

    Predictions of models that learned are taken as they are; their training isn't repeated in
    every draw.

    Parameters
    ----------
    judged
        Subject -> its models.
    unit
        Region, at a time; names the randomness.
    fit
        Its bootstrap and comparison.
    confidence
        Level of the intervals.
    found
        Gets the lines, and notes.
    place
        Region and time (s; NaN without times).
    shared
        Whether subjects saw the same stimuli: then intervals are those of their mean.
    n_units
        Number of regions and times.
    seed
        The study's seed.

    Returns
    -------
    dict
        Subject (or group) and target -> interval of the value.
    """
    bounds: dict[tuple[str, str], tuple[float, float]] = {}
    groups = (
        {GROUP: judged} if shared and len(judged) > 1 else {k: {k: v} for k, v in judged.items()}
    )
    for label, mine in groups.items():
        over = _over(fit, mine, found, n_times=1 if np.isnan(place[1]) else n_units)
        if not over:
            continue
        rng = generator(seed, "evaluate", "bootstrap", unit, label)
        targets, values, draws, n = _values(mine, fit, over, rng)
        resampled = resample(
            values, draws, fit.bootstrap.n_draws, rng, over_subjects=over != "stimuli"
        )
        se = spread(resampled, len(mine), n)
        mean = values.mean(0)
        low, high = interval(mean, se.error, se.degrees, confidence)
        shown = {"subject": label, "unit": place[0], "time": place[1], "metric": fit.metric}
        for k, target in enumerate(targets):
            bounds[label, target] = float(low[k]), float(high[k])
            line = {"value": mean[k], "se": se.error[k], "low": low[k], "high": high[k]}
            found.tables.setdefault("bootstrap", []).append(
                shown | {"target": target, **_floats(line), "over": over}
            )
        pairs = list(combinations(range(len(targets)), 2))
        if not pairs:
            continue
        first, second = np.array(pairs).T
        difference, error = mean[first] - mean[second], se.difference[first, second]
        low, high = interval(difference, error, se.degrees, confidence)
        p = two_sided(difference, error, se.degrees)
        known = np.isfinite(p)
        fdr = np.full(len(p), np.nan)
        fdr[known] = false_discovery_control(p[known]) if known.any() else np.nan
        for k, (i, j) in enumerate(pairs):
            line = {"difference": difference[k], "se": error[k], "low": low[k], "high": high[k]}
            line |= {"p": p[k], "p_fdr": fdr[k]}
            found.tables.setdefault("differences", []).append(
                shown | {"target": targets[i], "other": targets[j], **_floats(line), "over": over}
            )
    return bounds


def _over(
    fit: RsaFit, judged: Mapping[str, Sequence[Judged]], found: Evaluated, *, n_times: int
) -> str:
    """Return what is drawn: what was asked for, as far as the data and the comparison allow."""
    over, why = fit.bootstrap.over, ""
    stimuli, subjects = fit.comparison in WEIGHTED, len(judged) > 1
    if over == "auto":
        n_pairs = max(len(one.brain) for sets in judged.values() for one in sets)
        if stimuli and n_times > 1 and n_pairs * n_times > MAX_PAIRS_IN_TIME:
            why = f"stimuli weren't drawn at {n_times} times of {n_pairs:,} pairs (ask for it with "
            why += "bootstrap: {over: both}); intervals take the stimuli as given"
            stimuli = False
        elif stimuli and n_pairs > MAX_PAIRS:
            why = f"stimuli weren't drawn: there are more than {MAX_PAIRS:,} pairs (ask for it "
            why += "with bootstrap: {over: both}); intervals take the stimuli as given"
            stimuli = False
        elif not stimuli:
            why = f"stimuli can't be drawn for {fit.comparison}; intervals take them as given"
    else:
        stimuli, subjects = stimuli and over != "subjects", subjects and over != "stimuli"
        if not subjects and over != "stimuli":
            why = "there is one subject: intervals take the subject as given"
    if not (stimuli or subjects):
        why = "no confidence intervals: there is one subject, and stimuli weren't drawn"
    if why and why not in found.notes:
        found.notes.append(why)
    return {(True, True): "both", (True, False): "stimuli", (False, True): "subjects"}.get(
        (stimuli, subjects), ""
    )


def _values(
    judged: Mapping[str, Sequence[Judged]], fit: RsaFit, over: str, rng: np.random.Generator
) -> tuple[list[str], Floats, Floats | None, int]:
    """Return targets, values (subject, model), draws (draw, subject, model), and stimuli."""
    n = n_stimuli(len(next(iter(judged.values()))[0].brain))
    # One draw of stimuli for all models and subjects, so that their differences are paired.
    copies = rng.multinomial(n, np.full(n, 1 / n), size=fit.bootstrap.n_draws)
    names, values, draws = [], [], []
    for sets in zip(*judged.values(), strict=True):  # models of one kind, subject by subject
        targets = [one for one in sets[0].targets if all(one in other.targets for other in sets)]
        mine = [
            one._replace(models=one.models[:, [one.targets.index(name) for name in targets]])
            for one in sets
        ]
        names += targets
        values.append(np.stack([one.value(fit.comparison) for one in mine]))
        if over != "subjects":
            joined = [mine] if _alike(mine) else [[one] for one in mine]
            each = [
                stimulus_draws(
                    np.concatenate([one.brain for one in group], axis=1),
                    group[0].models,
                    group[0].blocks,
                    copies,
                    fit.comparison,
                    constant=group[0].constant,
                )
                for group in joined
            ]
            draws.append(np.concatenate(each, axis=1))
    return (
        names,
        np.concatenate(values, axis=1),
        np.concatenate(draws, axis=2) if draws else None,
        n,
    )


def _alike(sets: Sequence[Judged]) -> bool:
    """Return whether subjects have the same models, judged on the same pairs."""
    first = sets[0]
    return all(
        np.array_equal(first.models, one.models, equal_nan=True)
        and len(first.blocks) == len(one.blocks)
        and all(map(np.array_equal, first.blocks, one.blocks))
        for one in sets[1:]
    )


def _floats(line: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in line.items()}
