"""Models of timm."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from fornix.study.features.base import ModelSection


class TimmFeatures(ModelSection):
    """A model of timm, of pictures.

    Layers are ``embeddings``, ``block1`` to ``blockN`` (stages of a convolutional network count
    as blocks) and ``pooler``; ``logits`` and the path of any module, such as
    ``blocks.3.attn.qkv``, are asked for by name or pattern.
    """

    SPEED: ClassVar[frozenset[str]] = ModelSection.SPEED

    kind: Literal["timm"] = Field(description="layers of a timm model")
    model: str = Field(
        description="timm name, best with its tag (resnet50.a1_in1k), or hf-hub:org/name"
    )
    revision: str | None = Field(None, description="hub revision (commit, tag); pin it")
    weights: str | None = Field(
        None, description="local .safetensors file of weights; ${VARIABLE} is expanded"
    )
    config: dict[str, Any] = Field(
        {},
        description="arguments of the model (img_size, num_classes, ...), with init: random or "
        "weights of your own",
    )

    @model_validator(mode="after")
    def _consistent(self) -> TimmFeatures:
        if self.init == "pretrained" and self.config and self.weights is None:
            msg = "config needs init: random or weights: the published weights come with their own"
            raise ValueError(msg)
        if self.init == "random" and self.weights is not None:
            msg = "weights is given, but init: random draws them: take one of the two"
            raise ValueError(msg)
        return self
