"""Histograms of oriented gradients."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fornix.study.features.time import TimedSection


class HogFeatures(TimedSection):
    """Histogram of oriented gradients of pictures or frames (Dalal and Triggs 2005, CVPR)."""

    kind: Literal["hog"] = Field(description="histogram of oriented gradients")
    size: int = Field(128, ge=8, description="pictures are resized to this side, pixels")
    n_orientations: int = Field(9, ge=1, description="orientations over 180 deg")
    cell: int = Field(16, ge=2, description="side of a cell, pixels")
    block: int = Field(2, ge=1, description="side of a block that is normalised, in units of cells")

    @model_validator(mode="after")
    def _blocks_fit(self) -> HogFeatures:
        if self.cell * self.block > self.size:
            msg = f"a block of {self.cell * self.block} pixels is larger than the picture"
            raise ValueError(msg)
        return self
