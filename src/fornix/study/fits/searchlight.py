"""Representational similarity in a sphere around every voxel."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fornix.study.base import Name, joined
from fornix.study.fits.base import BrainFitSection
from fornix.study.fits.rsa import METRICS


class SearchlightFit(BrainFitSection):
    """RSA in a searchlight: where the brain shares a model's geometry.

    Kriegeskorte, Goebel & Bandettini (2006, PNAS 103:3863): around every voxel, the dissimilarities
    of the patterns within a sphere are compared with those of each layer. A map has the score at
    the sphere's centre; the score table has the mean over the spheres that are centred in a region.

    - ``correlation``: 1 - Pearson's r; ``euclidean``: both averaged over sessions;
    - ``crossnobis``: squared euclidean, cross-validated over independent parts of the trials,
      without whitening.
    """

    task: ClassVar[str] = "searchlight"
    kind: Literal["searchlight"] = Field(description="comparison of dissimilarities in spheres")
    features: list[Name] = Field(description="names in features", min_length=1)
    radius: float = Field(10.0, gt=0, description="of the spheres, mm")
    n_voxels: int = Field(
        10, ge=2, description="spheres with fewer voxels in the mask have no score"
    )
    distance: Literal["correlation", "euclidean", "cityblock"] = Field(
        "correlation",
        description="of features; layers of one or two numbers use their difference, indicator "
        "layers (columns) use disagreement",
    )
    brain_distance: Literal["correlation", "euclidean", "crossnobis"] = Field(
        "correlation", description="of responses"
    )
    partitions: Literal["auto", "run", "session", "repeat"] = Field(
        "auto", description="crossnobis: what it is cross-validated over"
    )
    comparison: Literal[
        "spearman", "rho_a", "pearson", "cosine", "whitened_cosine", "whitened_correlation"
    ] = Field("spearman", description="how dissimilarities are compared")
    shuffle: bool = Field(False, description="control: permute the stimuli of the features")

    @property
    def metric(self) -> str:
        """Name of the score."""
        return METRICS[self.comparison]

    def reads(self) -> list[str]:
        """Return the names in features that the fit needs."""
        return list(self.features)

    def describe(self, held_out: str = "") -> str:
        """Say in a sentence what was compared, for the report's methods."""
        control = " Control: stimuli were shuffled." if self.shuffle else ""
        return (
            f"representational similarity ({self.metric.replace('_', ' ')}) in spheres of "
            f"{self.radius:g} mm around every voxel: {self.distance} distances of "
            f"{joined(self.features)} against {self.brain_distance} distances of "
            f"{self.responses}.{control}"
        )
