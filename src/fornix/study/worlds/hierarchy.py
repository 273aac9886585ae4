"""The world of a hierarchy of regions, from local energy to category."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fornix.study.worlds.pictures import PictureWorld

REGIONS = ("V1", "V2", "V3", "V4", "LO", "TO", "IT", "PFC")
"""From the lowest up."""


class HierarchyWorld(PictureWorld):
    """fMRI of people who look at pictures of objects, in eight regions that stand in a row.

    The lowest answers to edges and lines at their place, the next ones to the energy of
    orientations, then to textures and outlines, and the highest to the category alone. Without
    ``hierarchy`` all of them answer to the same low-resolution pixels.
    """

    name: Literal["hierarchy"] = Field(description="name of the simulator")
    n_sessions: int = Field(1, ge=1, description="sessions a person")
    n_images: int = Field(400, ge=16, description="distinct images")
    image_size: int = Field(32, ge=16, description="image side, pixels")
    n_voxels: int = Field(20, ge=8, description="voxels a region")
    trial_interval: float = Field(
        4.0,
        ge=3,
        description="time from one image to the next, s; at least a TR, so that each trial can be "
        "estimated",
    )
    hierarchy: bool = Field(
        True, description="false: a control, in which pixels drive every region alike"
    )

    def describe(self) -> str:
        """Say what is planted, for the report's methods."""
        if not self.hierarchy:
            return "low-resolution pixels drive all of " + ", ".join(REGIONS)
        return "from edges to category along " + ", ".join(REGIONS)
