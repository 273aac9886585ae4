"""A world of pictures that nobody looks at: what networks are trained on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fornix.study.worlds.base import WorldSection

Kind = Literal["objects", "aerial", "cells"]


class ScenesWorld(WorldSection):
    """Pictures alone: objects made of parts, fields from above, or cells under a microscope."""

    name: Literal["scenes"] = Field(description="name of the simulator")
    n_subjects: int = Field(0, ge=0, le=0, description="nobody is measured")
    kind: Kind = Field("objects", description="what the pictures show")
    n_images: int = Field(2000, ge=16, description="distinct images")
    image_size: int = Field(32, ge=8, multiple_of=4, description="image side, pixels")

    def describe(self) -> str:
        """Say what is drawn, for the report's methods."""
        return f"{self.n_images:,} pictures of {self.kind}, {self.image_size} pixels wide"
