"""Models of the Hugging Face hub."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from fornix.study.base import Name, Section
from fornix.study.features.base import ModelSection
from fornix.study.features.hub import HubSection

FIT = "fit:"
"""Begins the name of a model that a fit of the same study trains."""


class HuggingFaceFeatures(HubSection, ModelSection):
    """A Hugging Face model of pictures, texts, sounds, clips, or pictures with texts.

    Layers are ``embeddings``, ``block1`` to ``blockN`` and ``pooler``; ``attention1`` to
    ``attentionN`` (maps of the heads), ``logits``; and the path of any module, such as
    ``encoder.layer.3.attention.attention.query``. ``all`` is the first three; the others are
    asked for by name or pattern. ``fornix features --list MODEL`` prints them.

    ``model: fit:NAME`` is what a pretraining of the same study has trained; ``checkpoint`` is
    then a step at which it was kept (by default the last).
    """

    SPEED: ClassVar[frozenset[str]] = ModelSection.SPEED

    kind: Literal["huggingface"] = Field(description="layers of a Hugging Face model")
    modality: Literal["auto", "image", "text", "audio", "video", "image+text"] = Field(
        "auto", description="what goes in; auto: what the stimuli are"
    )
    text: str | None = Field(
        None, description="a column of the stimulus table that is read as the text"
    )
    context: int | None = Field(
        None,
        ge=0,
        description="words before a word of running text that the model reads with it; null: as "
        "many as it takes",
    )
    source: Name | None = Field(
        None,
        description="a name in features: of kind captions, whose texts are read instead; or whose "
        "tokens are the regions of a picture that VisualBERT and LXMERT read",
    )
    prompts: dict[Name, str] = Field(
        {},
        description="instructions to a vision-language model, given with every picture: features "
        "of each are layers named <prompt>:<layer>",
    )
    rate: float | None = Field(
        None, gt=0, description="sounds and clips: rows a second, Hz; null: one for the whole"
    )
    window: float | None = Field(
        None,
        gt=0,
        description="sounds and clips: longest piece that goes through the model at once, s; "
        "null: 30 for sounds, 2 for clips on a time grid",
    )

    @model_validator(mode="after")
    def _a_fit_is_trained(self) -> Self:
        if trained_by(self) and self.init == "random":
            msg = f"{self.model} is trained here; its untrained twin is the checkpoint 0"
            raise ValueError(msg)
        return self


def trained_by(section: Section) -> str | None:
    """Return the name in fits that trains a section's model; None for any other model.

    Examples
    --------
    >>> trained_by(HuggingFaceFeatures(kind="huggingface", dataset="d", model="fit:vit"))
    'vit'
    """
    model = getattr(section, "model", None)
    return model.removeprefix(FIT) if isinstance(model, str) and model.startswith(FIT) else None
