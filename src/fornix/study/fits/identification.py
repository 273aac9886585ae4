"""Identification of regions (or people) by their dissimilarities."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from fornix.study.fits.base import BrainFitSection
from fornix.study.fits.rsa import BrainDistance, RsaBootstrap


class IdentificationFit(BrainDistance, BrainFitSection):
    """Which region is it? By the nearest mean of the other subjects' dissimilarities.

    Lin & Kriegeskorte (2023, arXiv:2309.11028): the dissimilarity matrix of a region of a subject
    who is left out is correlated with the mean matrix of each region in all others; the largest
    correlation names it. Matrices are ranked, then pass a geo-topological transform: all pairs of
    quantiles of a grid. Targets are these cells (``l0.1-u0.6``), the ranks alone (``rank``), and
    the mean over the cells of a regime: ``geometry`` (bounds 0.8 or more apart), ``topology``
    (both from 0.4 to 0.6), ``local`` (others up to 0.6), ``global`` (others from 0.4),
    ``intermediate`` (the rest).
    """

    task: ClassVar[str] = "identification"
    metric: ClassVar[str] = "accuracy"
    kind: Literal["identification"] = Field(description="regions told by their dissimilarities")
    what: Literal["regions", "subjects"] = Field(
        "regions",
        description="regions, across subjects; or subjects, across sessions of their first region",
    )
    quantiles: list[float] = Field(
        [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0],
        min_length=2,
        description="grid of the transform's lower and upper bounds, share of the pairs",
    )
    bootstrap: RsaBootstrap = Field(
        default_factory=RsaBootstrap, description="confidence intervals, comparisons of transforms"
    )
    shuffle: bool = Field(
        False,
        description="control: permute the regions of every subject (the stimuli of every session)",
    )

    @model_validator(mode="after")
    def _quantiles_rise(self) -> Self:
        rising = self.quantiles == sorted(set(self.quantiles))
        if not rising or self.quantiles[0] < 0 or self.quantiles[-1] > 1:
            msg = "quantiles must rise, from 0 or more to 1 or less"
            raise ValueError(msg)
        return self

    def cells(self) -> dict[str, tuple[float, float]]:
        """Return the cells of the grid; those that would level everything aren't there."""
        return {
            f"l{lower:g}-u{upper:g}": (lower, upper)
            for lower in self.quantiles
            for upper in self.quantiles
            if lower <= upper and upper > 0 and lower < 1
        }

    def describe(self, held_out: str = "") -> str:
        """Say in a sentence what was told apart, for the report's methods."""
        over = {"regions": "one subject left out", "subjects": "one session left out"}[self.what]
        shuffled = {"regions": "regions", "subjects": "stimuli"}[self.what]
        control = f" Control: {shuffled} were shuffled." if self.shuffle else ""
        return (
            f"{self.what} of {self.responses} identified by the nearest mean of "
            f"{self.brain_distance} dissimilarities, {over} at a time, after "
            f"{len(self.cells())} geo-topological transforms.{control}"
        )


def regime(lower: float, upper: float) -> str:
    """Return what a cell of the grid is called; see :class:`IdentificationFit`."""
    rounding = 1e-9
    if upper - lower >= 0.8 - rounding:
        return "geometry"
    if lower >= 0.4 - rounding and upper <= 0.6 + rounding:
        return "topology"
    if upper <= 0.6 + rounding:
        return "local"
    if lower >= 0.4 - rounding:
        return "global"
    return "intermediate"
