"""The world of a hierarchy of regions, from local energy to category."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fornix.study.base import Section
from fornix.study.worlds.pictures import PictureWorld

REGIONS = ("V1", "V2", "V3", "V4", "LO", "TO", "IT", "PFC")
"""From the lowest up."""


class MegDesign(Section):
    """How the people of a world are recorded by MEG."""

    n_sensors: int = Field(48, ge=16, le=306, description="magnetometers around the head")
    sampling_frequency: float = Field(100.0, ge=50, description="Hz")
    trial_interval: float = Field(
        0.8, ge=0.5, description="time from one image to the next, s; responses last about that"
    )
    latencies: tuple[float, float] = Field(
        (0.06, 0.3),
        description="onset of the first and of the last region's response, s after the image; "
        "the others' are spread evenly between them",
    )
    strengths: tuple[float, float] = Field(
        (1.0, 1.0),
        description="size of the first and of the last region's response; the others' go from one "
        "to the other in equal ratios. Fields of low regions cancel in part, as their cortex is "
        "folded",
    )
    noise_ceiling: float = Field(
        0.6,
        gt=0,
        lt=1,
        description="share of the variance of a sensor's mean response over all repeats that the "
        "images explain, at the sensor's best time",
    )

    @model_validator(mode="after")
    def _responses_fit(self) -> MegDesign:
        first, last = self.latencies
        if not 0 <= first <= last <= self.trial_interval - 0.2:
            msg = f"latencies: {first} to {last} s must go up, from 0 or later to "
            msg += f"{self.trial_interval - 0.2:g} s (0.2 s before the next image)"
            raise ValueError(msg)
        if min(self.strengths) <= 0:
            msg = f"strengths: {self.strengths} must be above 0"
            raise ValueError(msg)
        return self


class HierarchyWorld(PictureWorld):
    """People look at pictures of objects; eight regions that stand in a row answer.

    Each region is read by voxels (fMRI) and by current dipoles whose field MEG sensors pick up,
    with an onset later than that of the region before it.

    The lowest answers to edges and lines at their place, the next ones to the energy of
    orientations, then to which part is where, and the highest to the category alone. Without
    ``hierarchy`` all of them answer to the same low-resolution pixels, at the same time.
    """

    name: Literal["hierarchy"] = Field(description="name of the simulator")
    n_sessions: int = Field(1, ge=1, description="sessions a person")
    n_images: int = Field(400, ge=16, description="distinct images")
    image_size: int = Field(32, ge=16, multiple_of=4, description="image side, pixels")
    n_voxels: int = Field(20, ge=8, description="voxels a region")
    trial_interval: float = Field(
        4.0,
        ge=3,
        description="time from one image to the next, s; at least a TR, so that each trial can be "
        "estimated",
    )
    modality: Literal["both", "fmri", "meg"] = Field("fmri", description="what is recorded")
    meg: MegDesign = Field(default_factory=MegDesign, description="how MEG is recorded")
    hierarchy: bool = Field(
        True, description="false: a control, in which pixels drive every region alike"
    )

    @property
    def latencies(self) -> dict[str, float]:
        """Return region -> onset of its MEG response, s; one for all without hierarchy."""
        first, last = self.meg.latencies
        step = (last - first) / (len(REGIONS) - 1)
        if not self.hierarchy:
            step, first = 0.0, (first + last) / 2
        return {region: round(first + step * i, 6) for i, region in enumerate(REGIONS)}

    def describe(self) -> str:
        """Say what is planted, for the report's methods."""
        if not self.hierarchy:
            return "low-resolution pixels drive all of " + ", ".join(REGIONS)
        told = "from edges to category along " + ", ".join(REGIONS)
        if self.modality == "fmri":
            return told
        first, last = (1000 * one for one in self.meg.latencies)
        return f"{told}; MEG responses begin after {first:g} to {last:g} ms, in turn"
