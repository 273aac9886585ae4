"""What the worlds have in which people look at pictures in a scanner."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from fornix.study.worlds.base import WorldSection

CONTROL = "control"
"""The region that answers to nothing; every such world has one."""


class PictureWorld(WorldSection):
    """fMRI of people who look at pictures, each once a run."""

    n_sessions: int = Field(2, ge=1, description="sessions a person")
    n_runs: int = Field(2, ge=1, description="runs a session; each shows every image once")
    n_images: int = Field(96, ge=16, description="distinct images")
    n_voxels: int = Field(60, ge=8, description="voxels a region")
    repetition_time: float = Field(2.0, gt=0, description="TR, s")
    trial_interval: float = Field(
        6.0,
        ge=3,
        description="time from one image to the next, s; at least a TR, so that each trial can be "
        "estimated",
    )
    noise_ceiling: float = Field(
        0.6,
        gt=0,
        lt=1,
        description="share of the variance of a voxel's mean response over all repeats that the "
        "images explain",
    )

    @model_validator(mode="after")
    def _trials_can_be_told_apart(self) -> Self:
        if self.trial_interval < self.repetition_time:
            msg = f"trial_interval ({self.trial_interval} s) is less than repetition_time "
            msg += f"({self.repetition_time} s): there would be fewer volumes than trials"
            raise ValueError(msg)
        return self
