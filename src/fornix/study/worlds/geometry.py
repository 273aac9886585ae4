"""The world of regions whose geometries change little by little."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fornix.study.worlds.pictures import PictureWorld


class GeometryWorld(PictureWorld):
    """fMRI of a chain of areas, each with patterns much like those of the area before it.

    The patterns of all pictures in an area are points in a few dimensions, the same in everybody;
    the voxels of each person read them through random weights of their own. So people share the
    geometry of an area and nothing else, and neighbouring areas are easily taken for one another.

    With ``outliers``, some pictures are far from all others in a way that is each person's own:
    their large distances, with a heavy tail, tell nothing about the area.
    """

    name: Literal["geometry"] = Field(description="name of the simulator")
    n_subjects: int = Field(8, ge=1, le=99, description="people")
    n_sessions: int = Field(1, ge=1, description="sessions a person")
    n_images: int = Field(40, ge=16, description="distinct images")
    n_voxels: int = Field(40, ge=8, description="voxels an area")
    trial_interval: float = Field(
        4.0,
        ge=3,
        description="time from one image to the next, s; at least a TR, so that each trial can be "
        "estimated",
    )
    noise_ceiling: float = Field(
        0.45,
        gt=0,
        lt=1,
        description="share of the variance of a voxel's mean response over all repeats that the "
        "images explain (without outliers)",
    )
    n_regions: int = Field(8, ge=2, le=40, description="areas")
    n_dimensions: int = Field(10, ge=2, description="dimensions of an area's patterns")
    step: float = Field(
        0.2, gt=0, le=1, description="share of the variance of patterns that each area changes"
    )
    outliers: float = Field(
        0.0, ge=0, lt=1, description="share of the pictures, drawn anew in each person and area"
    )
    outlier_size: float = Field(
        6.0,
        ge=0,
        description="of outliers' patterns, in units of the standard deviation of signals; times "
        "the size of Student's t with two degrees of freedom",
    )

    def regions(self) -> list[str]:
        """Return the names of the areas, in the order of the chain."""
        return [f"area{k + 1:02d}" for k in range(self.n_regions)]

    def describe(self) -> str:
        """Say what is planted, for the report's methods."""
        outliers = f", {self.outliers:.0%} of the pictures outliers" if self.outliers else ""
        return (
            f"a chain of {self.n_regions} areas whose patterns, of {self.n_dimensions} dimensions, "
            f"change by {self.step:.0%} from one to the next{outliers}"
        )
