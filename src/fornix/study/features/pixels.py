"""The pixels themselves."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fornix.study.features.base import FeatureSection


class PixelFeatures(FeatureSection):
    """The pixels themselves, as grey or colour values of a shrunken image."""

    kind: Literal["pixels"] = Field(description="pixels of the images")
    size: int = Field(32, ge=2, description="side of the shrunken image, pixels")
    colour: bool = Field(False, description="keep the three colour channels")
    grid: bool = Field(
        False, description="keep places, (row, column, colour), for models that look at pictures"
    )

    def describe(self) -> str:
        """Say in a sentence what is computed."""
        return f"{'colour' if self.colour else 'grey'} pixels, {self.size} by {self.size}."
