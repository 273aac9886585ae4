"""A trainable backbone with a linear readout."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from fornix.study.base import Glob
from fornix.study.fits.network import NetworkSection
from fornix.study.training import Training


class BackboneTraining(Training):
    """As any training, with gradients of moderate size."""

    clip: float | None = Field(
        1.0, gt=0, description="largest norm of the gradient; null: not clipped"
    )


class BackboneFit(NetworkSection):
    """Encoding: a linear readout of a vision model that learns with it.

    The features are the pictures themselves (``kind: pixels`` with ``grid: true``, of the size
    that the model takes). What ``freeze`` names stays as it is: ``["*"]`` learns the readout
    alone.
    """

    MODEL: ClassVar[str] = "trainable backbone with a linear readout"

    kind: Literal["backbone"] = Field(
        description="encoding by a vision model that is trained end to end, or in part"
    )
    model: str = Field(
        description="hub name, local folder or package:NAME/FOLDER of a Hugging Face vision model; "
        "with init: random an architecture (vit, resnet, ...)"
    )
    revision: str | None = Field(None, description="hub revision (commit, tag); pin it")
    init: Literal["pretrained", "random"] = Field(
        "pretrained",
        description="random: drawn from the study's seed, to learn from brains alone",
    )
    config: dict[str, Any] = Field({}, description="init: random: model config values to override")
    layer: int = Field(-1, description="hidden state that is read; 0: the embeddings, -1: the last")
    readout: Literal["cls", "mean", "flatten"] = Field(
        "mean", description="of the layer's tokens or places"
    )
    freeze: list[Glob] = Field(
        [], description="patterns of the model's parameters that stay as they are"
    )
    backbone_rate: float = Field(
        0.1, gt=0, description="the backbone's learning rate, share of the readout's"
    )
    training: Training = Field(default_factory=BackboneTraining, description="how it is trained")

    @model_validator(mode="after")
    def _config_needs_random(self) -> Self:
        if self.init == "pretrained" and self.config:
            msg = "config overrides need init: random; pretrained weights come with their own"
            raise ValueError(msg)
        return self

    def extras(self) -> list[str]:
        """Return what else the reader should know of the settings, a phrase each."""
        start = "drawn at random" if self.init == "random" else "pretrained"
        frozen = f"frozen: {', '.join(self.freeze)}" if self.freeze else "nothing frozen"
        return [f"{self.model}, {start}, {frozen}", *super().extras()]
