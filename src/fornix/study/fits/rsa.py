"""Representational similarity."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fornix.study.base import Name, joined
from fornix.study.fits.base import FitSection


class RsaFit(FitSection):
    """RSA: dissimilarities of the features against those of the brain."""

    task: ClassVar[str] = "rsa"
    kind: Literal["rsa"] = Field(description="comparison of dissimilarities")
    features: list[Name] = Field(description="names in features", min_length=1)
    distance: Literal["correlation", "euclidean", "cityblock"] = Field(
        "correlation",
        description="of features; layers of one or two numbers use their difference, indicator "
        "layers (columns) use disagreement",
    )
    brain_distance: Literal["correlation", "euclidean"] = Field(
        "correlation", description="of responses (unused where they are RDMs already)"
    )
    shuffle: bool = Field(False, description="control: permute the stimuli of the features")

    def reads(self) -> list[str]:
        """Return the names in features that the fit needs."""
        return list(self.features)

    def describe(self, held_out: str = "") -> str:
        """Say in a sentence what was compared, for the report's methods."""
        control = " Control: stimuli were shuffled." if self.shuffle else ""
        return (
            f"representational similarity: {self.distance} distances of {joined(self.features)} "
            f"against {self.responses}.{control}"
        )
