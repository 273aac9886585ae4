"""``scores``: how fits are judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatch
from itertools import product
from typing import Literal, Self

from pydantic import Field, model_validator

from fornix.study.base import Glob, Name, Section
from fornix.study.fits.union import Fit

CeilingKind = Literal["repeats", "split_half", "explainable_variance", "subjects", "models"]
"""Where an encoding model's ceiling comes from.

- ``repeats``: NSD's noise ceiling, from the variance over repeats
- ``split_half``: correlation of random halves of the repeats, Spearman-Brown corrected
- ``explainable_variance``: variance that repeats share, corrected for their number
- ``subjects``: the mean of the other subjects, who met the same (a lower bound)
- ``models``: the best of the fit's own targets, place by place (a lower bound)
"""

Correction = Literal["none", "fdr", "max", "cluster"]
"""What p-values are corrected by, for all regions, times and targets of a subject and metric.

- ``fdr``: Benjamini and Hochberg's false discovery rate
- ``max``: the largest score of each permutation (family-wise error)
- ``cluster``: clusters of neighbouring times, for all times and regions of a target; ``max`` where
  there are no times. In maps: clusters of voxels, or of sensors and times
"""


class Scores(Section):
    """Metrics' chance levels, ceilings and p-values, the same for all fits of a study."""

    permutations: int = Field(
        1000, ge=0, description="draws of the null distribution; 0: no p-values"
    )
    ceiling: bool | CeilingKind = Field(
        True,
        description="noise ceilings: repeats, split_half, explainable_variance, subjects, models; "
        "true: repeats for trials, subjects for continuous responses and RSA, where there are some",
    )
    minimum_ceiling: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="units below this ceiling are left out of region means (share of variance)",
    )
    confidence: float = Field(0.95, gt=0, lt=1, description="level of the intervals")
    correction: Correction = Field(
        "none", description="of p for many regions, times and targets: none, fdr, max, cluster"
    )
    bootstrap: int = Field(
        0,
        ge=0,
        description="draws of the bootstrap; 0: intervals by the jackknife over stimuli, and by "
        "Student's t over subjects",
    )
    resample: Literal["subjects", "stimuli", "both"] = Field(
        "both", description="what is drawn anew for the intervals of the group"
    )
    group: bool = Field(
        True, description="from six subjects on, rows of their mean, tested by flips of its signs"
    )
    maps: bool = Field(
        False,
        description="encoding and searchlights, from six subjects on: every voxel in a space that "
        "they share, or every sensor and time, tested over subjects, with `correction`",
    )
    windows: dict[Name, tuple[float, float]] = Field(
        {},
        description="encoding of epochs: name -> from and to, s from onset; one more score "
        "(window_r) for each, over all its times",
    )
    compare: list[tuple[Glob, Glob]] = Field(
        [], description="encoding: pairs of targets, [better, than]; patterns may match several"
    )
    brain_likeness: bool = Field(
        False, description="encoding: encoding, spatial and temporal score of each model's layers"
    )
    hierarchy: list[str] | dict[str, float] = Field(
        [],
        description="brain_likeness: regions from the lowest up, or region -> position (mm)",
    )
    window: tuple[float, float] | None = Field(
        None, description="brain_likeness: times that count, from and to, s"
    )

    trajectories: list[Name] = Field(
        [],
        description="brain_likeness: names of features whose checkpoints, <name>_<step>, are "
        "followed along training: half-times of each score and region",
    )
    factors: dict[Name, dict[str, Glob]] = Field(
        {},
        description="brain_likeness: factor -> level -> pattern of models (names of features); "
        "their effects on each score, alone and two together, are told by an analysis of variance",
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.correction != "none" and not self.permutations:
            msg = f"correction: {self.correction} corrects p-values, and permutations: 0 gives none"
            raise ValueError(msg)
        if self.maps and not self.permutations:
            msg = "maps are tested by flips of signs, and permutations: 0 draws none"
            raise ValueError(msg)
        if twice := [name for name, n in Counter(list(self.hierarchy)).items() if n > 1]:
            msg = f"hierarchy names {twice[0]} twice; a region has one place"
            raise ValueError(msg)
        for name, (start, stop) in self.windows.items():
            if start > stop:
                msg = f"windows: {name} ends ({stop:g} s) before it begins ({start:g} s)"
                raise ValueError(msg)
        if self.window is not None and self.window[0] >= self.window[1]:
            msg = f"window ends ({self.window[1]:g} s) before it begins ({self.window[0]:g} s)"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _likeness_is_asked_for(self) -> Self:
        for name in ("trajectories", "factors"):
            if getattr(self, name) and not self.brain_likeness:
                msg = f"{name} are of brain-likeness scores: set brain_likeness: true"
                raise ValueError(msg)
        if self.factors and (
            len(self.factors) < 2 or any(len(v) < 2 for v in self.factors.values())
        ):
            msg = "factors: give two factors or more, with two levels or more each"
            raise ValueError(msg)
        return self

    def cells(self, models: Iterable[str]) -> dict[tuple[str, ...], str]:
        """Return cell (a level of each factor) -> model; empty where no model is in any cell.

        Raises
        ------
        ValueError
            If a cell has no model, or several.
        """
        found: dict[tuple[str, ...], str] = {}
        for model in sorted(models):
            cell = []
            for levels in self.factors.values():
                cell += [level for level, at in levels.items() if fnmatch(model, at)][:1]
            if not self.factors or len(cell) < len(self.factors):
                continue
            if (twin := found.setdefault(tuple(cell), model)) != model:
                msg = f"factors: {twin} and {model} are in one cell, {' x '.join(cell)}"
                raise ValueError(msg)
        empty = [one for one in product(*self.factors.values()) if one not in found]
        if found and empty:
            msg = f"factors: no model is in the cell {' x '.join(empty[0])}"
            raise ValueError(msg)
        return found

    def positions(self) -> dict[str, float]:
        """Return each region's position in the hierarchy."""
        if isinstance(self.hierarchy, dict):
            return dict(self.hierarchy)
        return {region: float(rank) for rank, region in enumerate(self.hierarchy)}


class Evaluation(Section):
    """What one evaluate job is made from: a fit and how fits are judged."""

    fit: Fit
    scores: Scores
