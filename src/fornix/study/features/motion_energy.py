"""Motion energy of clips."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fornix.study.features.time import TimedSection


class MotionEnergyFeatures(TimedSection):
    """Motion energy of clips: a pyramid of spatiotemporal Gabor filters.

    Quadrature pairs at every place, scale, direction and speed, after Nishimoto et al. (2011,
    Curr Biol 21:1641).
    """

    kind: Literal["motion_energy"] = Field(description="spatiotemporal Gabor pyramid")
    size: int = Field(96, ge=8, description="frames are squashed to this side, pixels")
    fps: int = Field(15, ge=1, description="frames are taken at this rate, Hz")
    temporal_frequencies: list[float] = Field(
        [0.0, 2.0, 4.0], min_length=1, description="of the filters, Hz"
    )
    spatial_frequencies: list[float] = Field(
        [0.0, 2.0, 4.0, 8.0, 16.0],
        min_length=1,
        description="of the filters, in units of cycles/picture",
    )
    n_directions: int = Field(8, ge=1, description="directions, evenly spaced over 360 deg")

    @model_validator(mode="after")
    def _frames_for_each_row(self) -> MotionEnergyFeatures:
        if self.rate is not None and self.rate > self.fps:
            msg = f"rate: {self.rate:g} rows a second are more than the {self.fps} frames (fps)"
            raise ValueError(msg)
        if max(self.temporal_frequencies) > self.fps / 2:
            msg = f"temporal_frequencies: {max(self.temporal_frequencies):g} Hz is more than half "
            raise ValueError(msg + f"the {self.fps} frames a second (fps)")
        return self
