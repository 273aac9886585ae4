"""Colours of pictures."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fornix.study.features.base import FeatureSection


class ColourFeatures(FeatureSection):
    """Colours in CIELAB: their mean, their mean over a grid of places, their histogram."""

    kind: Literal["colour"] = Field(description="colours in CIELAB")
    size: int = Field(64, ge=1, description="pictures are resized to this side, pixels")
    grid: int = Field(4, ge=1, description="places a side at which colours are averaged")
    bins: int = Field(8, ge=1, description="bins of each channel's histogram")
