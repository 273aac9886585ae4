"""The world of drawn shapes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from fornix.study.base import Label
from fornix.study.worlds.pictures import CONTROL, PictureWorld

PlantedLayer = Annotated[
    str, StringConstraints(pattern=r"^(gabor/level[1-6]|content/(category|position))$")
]
"""A layer that a world can plant: a level of the Gabor pyramid, or the content of the images."""


class ShapesWorld(PictureWorld):
    """fMRI of people who look at procedurally drawn shapes.

    Each region's voxels answer linearly to one planted layer of the stimuli (a level of the
    Gabor pyramid, the category, the position); every trial adds independent noise, so that the
    noise ceiling of the mean over repeats is known.
    """

    name: Literal["shapes"] = Field(description="name of the simulator")
    image_size: int = Field(
        64, ge=32, description="image side, pixels; give Gabor features the same size"
    )
    planted: dict[Label, PlantedLayer] = Field(
        {
            "V1": "gabor/level1",
            "V2": "gabor/level3",
            "LOC": "content/category",
            "IPS": "content/position",
        },
        description="region -> the layer that drives it",
    )

    @model_validator(mode="after")
    def _can_be_recovered(self) -> ShapesWorld:
        # As for the features: the coarsest level needs a whole cycle a picture.
        coarsest = (self.image_size // 4).bit_length()
        for region, layer in self.planted.items():
            if region.lower() == CONTROL:
                msg = f"planted: '{region}' is the region that answers to nothing; rename yours"
                raise ValueError(msg)
            level = int(layer[-1]) if layer.startswith("gabor/") else 1
            if level > coarsest:
                msg = f"planted: {region} answers to {layer}, but images of {self.image_size} "
                msg += f"pixels have room for {coarsest} levels"
                raise ValueError(msg)
        return self

    def describe(self) -> str:
        """Say what is planted, for the report's methods."""
        return ", ".join(f"{region} by {layer}" for region, layer in self.planted.items())
