"""Colours of pictures and clips."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fornix.study.features.time import TimedSection


class ColourFeatures(TimedSection):
    """Colours in CIELAB: their mean, their mean over a grid of places, their histogram."""

    kind: Literal["colour"] = Field(description="colours in CIELAB")
    size: int = Field(64, ge=1, description="pictures are squashed to this side, pixels")
    grid: int = Field(4, ge=1, description="places a side at which colours are averaged")
    bins: int = Field(8, ge=1, description="bins of each channel's histogram")

    @model_validator(mode="after")
    def _places_fit(self) -> ColourFeatures:
        if self.grid > self.size:
            msg = f"grid: {self.grid} places a side are more than the {self.size} pixels"
            raise ValueError(msg)
        return self
