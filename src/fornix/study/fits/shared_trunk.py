"""A trunk for all subjects, a head for each."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fornix.study.fits.network import NetworkSection
from fornix.study.training import Training


class TrunkTraining(Training):
    """As any training, with larger batches and gradients of moderate size."""

    batch_size: int = Field(32, ge=1, description="samples a step, of one subject")
    clip: float | None = Field(
        1.0, gt=0, description="largest norm of the gradient; null: not clipped"
    )


class SharedTrunkFit(NetworkSection):
    """Encoding: one network of all subjects, with a linear head for each.

    The trunk learns from everybody what to make of the features; a head has as many outputs as its
    subject has units. One job sees all subjects; a stimulus that is held out is held out in all of
    them.
    """

    MODEL: ClassVar[str] = "shared trunk with a head a subject"
    scope: ClassVar[Literal["subject", "cohort"]] = "cohort"

    kind: Literal["shared_trunk"] = Field(
        description="encoding by one network of all subjects, with a head each"
    )
    width: int = Field(256, ge=1, description="of the trunk")
    depth: int = Field(2, ge=1, description="layers of the trunk; from the second on residual")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of activations left out in training")
    training: Training = Field(default_factory=TrunkTraining, description="how it is trained")

    def extras(self) -> list[str]:
        """Return what else the reader should know of the settings, a phrase each."""
        return [f"{self.depth} layers of {self.width}", *super().extras()]
