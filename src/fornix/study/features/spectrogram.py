"""Spectrograms of sounds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fornix.study.features.time import TimedSection


class SpectrogramFeatures(TimedSection):
    """Spectrogram and mel spectrogram of sounds, or of the sound tracks of clips, in dB."""

    kind: Literal["spectrogram"] = Field(description="spectrogram and mel spectrogram")
    sampling_rate: int = Field(16_000, ge=100, description="sounds are resampled to this, Hz")
    frame: float = Field(0.025, gt=0, description="length of the Hann window, s")
    hop: float = Field(0.010, gt=0, description="from one window to the next, s")
    n_mels: int = Field(80, ge=1, description="bands of the mel filter bank (Slaney's)")
    f_min: float = Field(0.0, ge=0, description="lowest frequency of the mel bands, Hz")
    f_max: float | None = Field(
        None, gt=0, description="highest frequency of the mel bands, Hz; null: half the rate"
    )
    floor: float = Field(-80.0, description="smallest value, dB below a full-scale sine")

    @model_validator(mode="after")
    def _bands_fit(self) -> SpectrogramFeatures:
        highest = self.f_max or self.sampling_rate / 2
        if not self.f_min < highest <= self.sampling_rate / 2:
            msg = f"mel bands from {self.f_min:g} to {highest:g} Hz don't fit below half the "
            raise ValueError(msg + f"sampling rate, {self.sampling_rate / 2:g} Hz")
        if self.rate is not None and self.rate * self.hop > 1 + 1e-9:
            msg = f"rate: {self.rate:g} rows a second are more than windows come; "
            raise ValueError(msg + f"hop must be {1 / self.rate:.3g} s or less")
        return self
