"""What sections of sounds and clips share."""

from __future__ import annotations

from pydantic import Field

from fornix.study.features.base import FeatureSection


class TimedSection(FeatureSection):
    """What every kind of sounds or clips has."""

    rate: float | None = Field(
        None, gt=0, description="rows a second, Hz; null: one row, the mean over the stimulus"
    )
