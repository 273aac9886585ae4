"""Models of open_clip."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from fornix.study.features.base import ModelSection


class OpenClipFeatures(ModelSection):
    """A model of open_clip; the stimuli decide whether its image or its text tower is read.

    Layers are ``embeddings``, ``block1`` to ``blockN`` and ``joint``, the space that pictures
    and texts share (not normalised); the path of any module of the tower is given when asked for
    by name or pattern. Of texts, tokens after the end token never count.
    """

    SPEED: ClassVar[frozenset[str]] = ModelSection.SPEED

    kind: Literal["open_clip"] = Field(description="layers of an open_clip model")
    model: str = Field(description="open_clip name, such as ViT-B-32")
    pretrained: str | None = Field(
        None,
        description="tag of the weights, such as laion2b_s34b_b79k, or a local .safetensors "
        "file; ${VARIABLE} is expanded",
    )
    revision: str | None = Field(None, description="hub revision (commit, tag); pin it")
    config: dict[str, Any] = Field(
        {},
        description="values of the model's config to override (embed_dim, vision_cfg, text_cfg), "
        "with init: random or a local file",
    )

    @model_validator(mode="after")
    def _consistent(self) -> OpenClipFeatures:
        if self.init == "pretrained" and self.pretrained is None:
            msg = "pretrained names no weights: give their tag or file, or take init: random"
            raise ValueError(msg)
        return self
