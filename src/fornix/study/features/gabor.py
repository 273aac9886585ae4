"""Gabor pyramid."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fornix.study.features.base import FeatureSection


class GaborFeatures(FeatureSection):
    """Gabor pyramid: oriented energy at ``n_levels`` scales, an octave apart.

    Layer ``level1`` is the finest. Each level is the square root of the summed squares of a
    quadrature pair (complex-cell energy), averaged over a grid of ``grid`` x ``grid`` places.
    """

    kind: Literal["gabor"] = Field(description="energy of a Gabor pyramid")
    size: int = Field(64, ge=16, description="images are resized to this side, pixels")
    n_levels: int = Field(4, ge=1, le=8, description="scales; the finest has 0.25 cycles/pixel")
    n_orientations: int = Field(4, ge=1, description="orientations, evenly spaced over 180 deg")
    grid: int = Field(8, ge=1, description="places a side at which energy is averaged")

    @model_validator(mode="after")
    def _fits_the_size(self) -> GaborFeatures:
        # The coarsest level needs a whole cycle a picture, and a place at least a pixel.
        most = (self.size // 4).bit_length()
        if self.n_levels > most:
            msg = f"n_levels: {self.n_levels} needs size {2 ** (self.n_levels + 1)} or more; "
            raise ValueError(msg + f"size {self.size} has room for {most}")
        if self.grid > self.size:
            msg = f"grid: {self.grid} places a side are more than the {self.size} pixels"
            raise ValueError(msg)
        return self

    def describe(self) -> str:
        """Say in a sentence what is computed."""
        return (
            f"Gabor energy at {self.n_levels} scales and {self.n_orientations} orientations, over "
            f"{self.grid} by {self.grid} places."
        )
