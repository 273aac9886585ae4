"""Judge representational models: comparisons of dissimilarities, with noise ceilings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fornix.evaluation.ceilings import rsa_ceiling
from fornix.evaluation.comparisons import compare, null_comparisons
from fornix.evaluation.metrics import Floats
from fornix.evaluation.permutation import null_interval, p_value
from fornix.evaluation.rdms import Subject, read_subject, share_stimuli, transform_subject
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
UNCENTRED = ("cosine", "whitened_cosine", "cka", "procrustes")
"""Comparisons that aren't 0 for models that know nothing."""

_HOW = {
    "ceiling": "upper noise ceiling of Nili et al. 2014; lower and upper have rows of their own",
    "p": "stimulus labels of the brain's RDM permuted, the same for all layers and subjects",
    "interval": "central interval of that null distribution",
}


def evaluate(
    section: Evaluation, fits: Mapping[str, xr.Dataset], samples: object = None, *, seed: int
) -> Evaluated:
    """Score every layer in every region of every subject, and of the group.

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
    found = Evaluated(how={fit.metric: text, **_HOW})
    if fit.comparison in UNCENTRED:
        found.how["chance"] = "mean of the null distribution: a cosine of distances is never 0"
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
    for unit in track(units, "regions"):
        here = {name: one for name, one in subjects.items() if unit in one.brain}
        found.rows += _Region(unit, here, fit, scores, shared, seed).rows()
    if scores.ceiling and (not shared or len(subjects) < 2):
        found.notes.append("one subject, or no stimuli in common: there is no noise ceiling")
    return found


@dataclass
class _Region:
    """One region of all subjects who have it."""

    unit: str
    subjects: Mapping[str, Subject]
    fit: RsaFit
    scores: Scores
    shared: bool
    seed: int

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of every subject, of the group, and of the noise ceiling."""
        rows: list[dict[str, Any]] = []
        values: dict[str, dict[str, float]] = {}
        nulls: dict[str, dict[str, Floats]] = {}
        for name, one in self.subjects.items():
            values[name], nulls[name] = self._subject(name, one)
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
        for bound, level in zip(("lower", "upper"), self.ceiling, strict=True):
            if np.isfinite(level):
                rows.append(
                    score_row(
                        subject=GROUP,
                        target=CEILING,
                        unit=self.unit,
                        metric=f"noise_ceiling_{bound}",
                        value=level,
                        n=len(self.brain),
                    )
                )
        return rows

    @cached_property
    def brain(self) -> Floats:
        """Dissimilarities of subjects who share their stimuli, (pair, subject)."""
        return np.stack([one.brain[self.unit] for one in self.subjects.values()], axis=1)

    @cached_property
    def ceiling(self) -> tuple[float, float]:
        """The lower and upper noise ceiling; NaN where there is none."""
        if not (self.shared and self.scores.ceiling):
            return float("nan"), float("nan")
        return rsa_ceiling(self.brain, self.fit.comparison)

    def _subject(self, name: str, one: Subject) -> tuple[dict[str, float], dict[str, Floats]]:
        """Return the value and the null of every target."""
        how = self.fit.comparison
        brain = one.brain[self.unit][:, None]
        models = np.stack(list(one.models.values()), axis=1)
        permutations = self._permutations(len(one.stimuli), name)
        values = compare(brain, models, how)[0]
        null = null_comparisons(brain, models, how, permutations)[:, 0]
        targets = list(one.models)
        return (
            dict(zip(targets, values.tolist(), strict=True)),
            dict(zip(targets, null.T, strict=True)),
        )

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
        return score_row(
            subject=subject,
            target=target,
            unit=self.unit,
            metric=self.fit.metric,
            value=value,
            chance=chance,
            ceiling=self.ceiling[1],
            p=float(p_value(null, value)),
            n=len(one.brain[self.unit]),
            interval=(float(low), float(high)),
        )
