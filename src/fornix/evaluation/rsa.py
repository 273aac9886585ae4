"""Judge representational models: comparisons of dissimilarities, with noise ceilings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fornix.evaluation.ceilings import rsa_ceiling
from fornix.evaluation.comparisons import UNCENTRED, null_comparisons
from fornix.evaluation.corrections import HOW as HOW_CORRECTED
from fornix.evaluation.corrections import Corrections
from fornix.evaluation.metrics import Floats
from fornix.evaluation.permutation import null_interval, p_value, widened
from fornix.evaluation.rdm_intervals import Judged, interval_rows
from fornix.evaluation.rdm_models import held_out_models
from fornix.evaluation.rdms import (
    Subject,
    pairs_of,
    read_subject,
    share_stimuli,
    transform_subject,
)
from fornix.evaluation.stimulus_folds import stimulus_folds
from fornix.evaluation.table import GROUP, Evaluated, score_row
from fornix.progress import track
from fornix.seeds import generator
from fornix.study.fits.rsa import RsaFit
from fornix.study.scores import Evaluation, Scores

CEILING = "noise ceiling"

WORDS = {
    "spearman": "Spearman's rho (ties averaged)",
    "rho_a": "rho a (ties broken at random)",
    "kendall": "Kendall's tau a",
    "pearson": "Pearson's r",
    "cosine": "cosine",
    "whitened_cosine": "whitened cosine (Diedrichsen et al. 2020)",
    "whitened_correlation": "whitened correlation (Diedrichsen et al. 2020)",
    "cka": "linear centred kernel alignment",
    "procrustes": "Procrustes similarity (sum of the canonical singular values)",
}

_HOW = {
    "ceiling": "upper noise ceiling of Nili et al. 2014; lower and upper have rows of their own",
    "p": "stimulus labels of the brain's RDM permuted, the same for all layers and subjects",
    "interval": "central interval of that null distribution",
}
_HOW_TIMES = (
    "centre of the window over which patterns are averaged, s from onset; permutations are the "
    "same for all times"
)
_HOW_HELD_OUT = (
    "targets that end in :selected, :weighted or :reweighted learned from other stimuli or "
    "subjects: mean over folds of the comparison of pairs within the test stimuli; their null is "
    "widened by sqrt(2), since folds train on one another"
)


def evaluate(
    section: Evaluation, fits: Mapping[str, xr.Dataset], samples: object = None, *, seed: int
) -> Evaluated:
    """Score every model in every region of every subject, and of the group.

    Parameters
    ----------
    section
        The fit and how it is judged.
    fits
        Subject -> ``rdms.zarr``.
    samples
        Unused: the ceiling comes from the subjects' RDMs.
    seed
        The study's seed.
    """
    fit, scores = section.fit, section.scores
    assert isinstance(fit, RsaFit)  # noqa: S101 - what the stage chose this module by
    text = f"{WORDS[fit.comparison]} of a layer's dissimilarities with a subject's, averaged over "
    text += "sessions; the group row is the mean over subjects"
    found = Evaluated(how={fit.metric: text, **_how(fit, scores)})
    subjects = {name: read_subject(one.load()) for name, one in fits.items()}
    shared = share_stimuli(subjects, found.notes)
    for name, one in subjects.items():
        transform_subject(one, fit.transform)
        flat = [target for target, model in one.models.items() if not np.ptp(model)]
        if flat:
            found.notes.append(
                f"sub-{name}: all pairs of stimuli are equally far apart in {', '.join(flat)}, so "
                "that no correlation is defined"
            )
    units = list(dict.fromkeys(unit for one in subjects.values() for unit in one.brain))
    corrections = {
        name: Corrections(scores.correction, scores.permutations) for name in [*subjects, GROUP]
    }
    pending: dict[str, dict[str, _Series]] = {name: {} for name in corrections}
    for unit in track(units, "regions"):
        here = {name: one for name, one in subjects.items() if unit in one.brain}
        region = _Region(unit, here, fit, scores, shared, seed, corrections, pending)
        rows = region.rows()
        found.rows += rows
        if fit.bootstrap.over != "none":
            known = interval_rows(
                region.judged, unit, fit, scores.confidence, found,
                place=region.place, shared=shared, n_units=len(units), seed=seed,
            )  # fmt: skip
            for row in rows:
                row["lower"], row["upper"] = known.get(
                    (row["subject"], row["target"]), (np.nan, np.nan)
                )
        if region.chosen:
            found.facts.setdefault("chosen", {})[unit] = region.chosen
    for name, family in corrections.items():
        for series in pending[name].values():
            family.add(series.rows, np.array(series.values), np.stack(series.nulls, axis=1))
        family.finish()
    if scores.ceiling and (not shared or len(subjects) < 2):
        found.notes.append("one subject, or no stimuli in common: there is no noise ceiling")
    return found


def _how(fit: RsaFit, scores: Scores) -> dict[str, str]:
    """Return how values, p-values and intervals are computed, in words."""
    how = dict(_HOW)
    if fit.comparison in UNCENTRED:
        how["chance"] = "mean of the null distribution: a cosine of distances is never 0"
    if set(fit.models) != {"fixed"}:
        how["held out"] = _HOW_HELD_OUT
    if fit.window is not None:
        how["time"] = _HOW_TIMES
    if scores.correction != "none":
        how["p_corrected"] = HOW_CORRECTED[scores.correction]
    return how


@dataclass
class _Series:
    """Scores of one subject and target in all regions and at all times."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    nulls: list[Floats] = field(default_factory=list)


class _Set(NamedTuple):
    """Models of one subject that are judged on the same pairs of stimuli."""

    models: dict[str, Floats]
    blocks: list[NDArray[np.intp]]
    learned: bool


@dataclass
class _Region:
    """One region, at one time, of all subjects who have it."""

    unit: str
    subjects: Mapping[str, Subject]
    fit: RsaFit
    scores: Scores
    shared: bool
    seed: int
    corrections: Mapping[str, Corrections]
    pending: Mapping[str, dict[str, _Series]]
    judged: dict[str, list[Judged]] = field(default_factory=dict)
    chosen: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> tuple[str, float]:
        """Region and time (s)."""
        return next(iter(self.subjects.values())).place(self.unit)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of every subject, of the group, and of the noise ceiling."""
        rows: list[dict[str, Any]] = []
        values: dict[str, dict[str, float]] = {}
        nulls: dict[str, dict[str, Floats]] = {}
        for name, sets in self._sets().items():
            values[name], nulls[name] = {}, {}
            for one in sets:
                self._judge(name, one, values[name], nulls[name])
            rows += [
                self._row(name, target, value, nulls[name][target])
                for target, value in values[name].items()
            ]
        if not self.shared or len(self.subjects) < 2:
            return rows
        # Layers that not every subject has (a correlation that wasn't defined) get no group row.
        for target in next(iter(values.values())):
            if all(target in one for one in values.values()):
                value = float(np.mean([one[target] for one in values.values()]))
                null = np.mean([one[target] for one in nulls.values()], axis=0)
                rows.append(self._row(GROUP, target, value, null))
        return rows + self._ceiling_rows()

    def _sets(self) -> dict[str, list[_Set]]:
        """Return the models of each subject, by the stimuli that they are judged on."""
        found: dict[str, list[_Set]] = {name: [] for name in self.subjects}
        for name, one in self.subjects.items():
            if "fixed" in self.fit.models:
                found[name].append(_Set(one.models, [np.arange(len(one.stimuli))], learned=False))
            if one.reweighted.get(self.unit) and one.fold is not None:
                blocks = [np.flatnonzero(one.fold == k) for k in np.unique(one.fold)]
                models = {f"{k}:reweighted": v for k, v in one.reweighted[self.unit].items()}
                found[name].append(_Set(models, [b for b in blocks if len(b) > 2], learned=True))
        if {"selected", "weighted"} & set(self.fit.models):
            for name, held_out in self._learned().items():
                found[name].append(held_out)
        return found

    def _learned(self) -> dict[str, _Set]:
        """Return the selected and weighted models of each subject."""
        several = self.shared and len(self.subjects) > 1
        over = self.fit.held_out.over
        over = ("both" if several else "stimuli") if over == "auto" else over
        if over != "stimuli" and not several:
            over = "stimuli"
        found = {}
        groups = [self.subjects] if self.shared else [{k: v} for k, v in self.subjects.items()]
        for group in groups:
            folds = None
            if over != "subjects":
                n = len(next(iter(group.values())).stimuli)
                rng = generator(self.seed, "evaluate", "rsa folds")
                where = f"region {self.unit}"
                folds = stimulus_folds(n, self.fit.held_out.n_splits, rng, where=where)
            learned = held_out_models(
                self.fit, self.unit, group, over_subjects=over != "stimuli", folds=folds
            )
            for name, one in learned.items():
                found[name] = _Set(one.models, one.blocks, learned=True)
                self.chosen[name] = one.chosen
        return {name: one for name, one in found.items() if one.models}

    def _judge(
        self, name: str, one: _Set, values: dict[str, float], nulls: dict[str, Floats]
    ) -> None:
        """Add the value and the null of every target."""
        how, n = self.fit.comparison, len(self.subjects[name].stimuli)
        brain = self.subjects[name].brain[self.unit][:, None]
        models = np.stack(list(one.models.values()), axis=1)
        # A constant prediction explains nothing.
        constant = 0.0 if one.learned and how not in UNCENTRED else np.nan
        judged = Judged(list(one.models), brain, models, one.blocks, constant)
        self.judged.setdefault(name, []).append(judged)
        null = []
        for block in one.blocks:
            pairs = slice(None) if len(block) == n else pairs_of(block, n)
            order = self._permutations(len(block), name)
            null.append(null_comparisons(brain[pairs], models[pairs], how, order)[:, 0])
        draws = np.mean(np.where(np.isnan(null), constant, null), axis=0)
        draws = widened(draws) if one.learned else draws
        values |= dict(zip(one.models, judged.value(how).tolist(), strict=True))
        nulls |= dict(zip(one.models, draws.T, strict=True))

    @cached_property
    def ceiling(self) -> tuple[float, float]:
        """The lower and upper noise ceiling; NaN where there is none."""
        if not (self.shared and self.scores.ceiling):
            return float("nan"), float("nan")
        brain = np.stack([one.brain[self.unit] for one in self.subjects.values()], axis=1)
        return rsa_ceiling(brain, self.fit.comparison)

    def _ceiling_rows(self) -> list[dict[str, Any]]:
        n = len(next(iter(self.subjects.values())).brain[self.unit])
        return [
            score_row(
                subject=GROUP,
                target=CEILING,
                unit=self.place[0],
                time=self.place[1],
                metric=f"noise_ceiling_{bound}",
                value=level,
                n=n,
            )
            for bound, level in zip(("lower", "upper"), self.ceiling, strict=True)
            if np.isfinite(level)
        ]

    def _permutations(self, n: int, subject: str) -> NDArray[np.intp]:
        rng = generator(self.seed, "evaluate", "rsa", *([] if self.shared else [subject]))
        return np.argsort(rng.random((self.scores.permutations, n)), axis=1)

    def _row(self, subject: str, target: str, value: float, null: Floats) -> dict[str, Any]:
        if np.isnan(value):
            null = null[:0]
        low, high = null_interval(null, self.scores.confidence)
        chance = 0.0
        if self.fit.comparison in UNCENTRED:
            chance = float(null.mean()) if len(null) else float("nan")
        one = next(iter(self.subjects.values())) if subject == GROUP else self.subjects[subject]
        row = score_row(
            subject=subject,
            target=target,
            unit=self.place[0],
            time=self.place[1],
            metric=self.fit.metric,
            value=value,
            chance=chance,
            ceiling=self.ceiling[1],
            p=float(p_value(null, value)),
            n=len(one.brain[self.unit]),
            interval=(float(low), float(high)),
        )
        if len(null) and self.scores.correction == "cluster":  # known when all times are
            series = self.pending[subject].setdefault(target, _Series())
            series.rows.append(row)
            series.values.append(value)
            series.nulls.append(null)
        elif len(null):
            self.corrections[subject].add([row], np.array([value]), null[:, None])
        return row
