"""The transformer brain encoder."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from fornix.study.base import Name
from fornix.study.fits.network import ClippedTraining, NetworkSection
from fornix.study.training import Training


class TransformerEncoderFit(NetworkSection):
    """Encoding: each region's learned query attends to a picture's tokens.

    One layer of cross-attention (keys are tokens with their position, values tokens without it)
    and a linear map from what the query found to the region's units (Adeli, Sun & Kriegeskorte
    2025, NeurIPS). It needs features with their tokens: ``readouts: [tokens]``. Defaults are the
    paper's.
    """

    MODEL: ClassVar[str] = "transformer brain encoder"

    kind: Literal["transformer_encoder"] = Field(
        description="encoding by region queries that attend to tokens"
    )
    width: int | None = Field(
        None, ge=1, description="of the attention; null: the features', without a map before it"
    )
    heads: int = Field(16, ge=1, description="attention heads; they share out the width")
    hidden: int = Field(1024, ge=1, description="width of the layer behind the attention")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of activations left out in training")
    attention: bool = Field(
        True, description="keep how much each region attends to each token of held-out stimuli"
    )
    places: Name | None = Field(
        None,
        description="a name in features (kind: columns): layer <region> has the row and column "
        "that a region should attend to, from 0; then attention_hit is scored",
    )
    training: Training = Field(default_factory=ClippedTraining, description="how it is trained")

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.width is not None and self.width % self.heads:
            msg = f"heads: {self.heads} can't share out a width of {self.width} evenly"
            raise ValueError(msg)
        if self.places is not None and not self.attention:
            msg = "places: where regions should attend to is compared with attention: set it true"
            raise ValueError(msg)
        return self

    def reads(self) -> list[str]:
        """Return the features that are predicted from, and those that say where."""
        return [*self.features, *([self.places] if self.places else [])]

    def extras(self) -> list[str]:
        """Return what else the reader should know of the settings, a phrase each."""
        width = f"width {self.width}" if self.width else "the features' width"
        return [f"{self.heads} heads, {width}", *super().extras()]
