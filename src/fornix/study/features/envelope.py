"""Envelopes of sounds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fornix.study.features.time import TimedSection


class EnvelopeFeatures(TimedSection):
    """Amplitude envelope of sounds, and the onsets in it.

    The size of the analytic signal, compressed by a power as the ear does, and the positive part
    of its derivative.
    """

    kind: Literal["envelope"] = Field(description="amplitude envelope and acoustic onsets")
    sampling_rate: int = Field(16_000, ge=100, description="sounds are resampled to this, Hz")
    cutoff: float = Field(25.0, gt=0, description="low-pass of the envelope, Hz")
    power: float = Field(0.6, gt=0, le=1, description="compression: the exponent")

    @model_validator(mode="after")
    def _samples_for_each_row(self) -> EnvelopeFeatures:
        if self.rate is not None and self.rate > self.sampling_rate:
            msg = f"rate: {self.rate:g} rows a second are more than the sampling_rate"
            raise ValueError(msg)
        return self
