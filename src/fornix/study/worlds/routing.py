"""The world of objects at random places."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fornix.study.base import Label, Name, joined
from fornix.study.worlds.pictures import CONTROL, PictureWorld

FIELD = "field"
"""What a retinotopic region reads."""


class RoutingWorld(PictureWorld):
    """fMRI of people who look at pictures of cells, with an object of each category somewhere.

    Every cell has a texture of its own; an object is a cell with its category's mark. A region
    that reads a *field* answers to the textures around a fixed place; a region that reads a
    *category* answers to the texture of that category's object, wherever it is.
    """

    name: Literal["routing"] = Field(description="name of the simulator")
    n_sessions: int = Field(1, ge=1, description="sessions a person")
    n_images: int = Field(480, ge=16, description="distinct images")
    n_voxels: int = Field(20, ge=8, description="voxels a region")
    trial_interval: float = Field(
        4.0,
        ge=3,
        description="time from one image to the next, s; at least a TR, so that each trial can be "
        "estimated",
    )
    noise_ceiling: float = Field(
        0.85,
        gt=0,
        lt=1,
        description="share of the variance of a voxel's mean response over all repeats that the "
        "images explain",
    )
    grid: int = Field(6, ge=2, le=16, description="rows and columns of cells")
    cell: int = Field(8, ge=4, description="side of a cell, pixels")
    field_size: float = Field(
        0.12,
        gt=0,
        description="field: standard deviation of its Gaussian, share of the picture's side",
    )
    categories: list[Name] = Field(
        ["face", "place", "body"], min_length=1, max_length=3, description="kinds of objects"
    )
    regions: dict[Label, Name] = Field(
        {"V1": FIELD, "FFA": "face", "PPA": "place", "EBA": "body"},
        min_length=1,
        description="region -> the category whose object it reads, or 'field'",
    )

    @model_validator(mode="after")
    def _regions_read_what_is_there(self) -> RoutingWorld:
        if len(set(self.categories)) < len(self.categories) or FIELD in self.categories:
            msg = f"categories: {', '.join(self.categories)} must differ, and none be '{FIELD}'"
            raise ValueError(msg)
        for region, read in self.regions.items():
            if region.lower() == CONTROL:
                msg = f"regions: '{region}' is the region that answers to nothing; rename yours"
                raise ValueError(msg)
            if read not in (FIELD, *self.categories):
                msg = f"regions: {region} reads '{read}'; there are {FIELD} and "
                raise ValueError(msg + ", ".join(self.categories))
        return self

    def describe(self) -> str:
        """Say what is planted, for the report's methods."""
        read = {FIELD: "a fixed field"}
        texts = [
            f"{region} reads {read.get(what, f'the {what}, wherever it is')}"
            for region, what in self.regions.items()
        ]
        return joined(texts)
