"""Models of the Hugging Face hub."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fornix.study.base import Name
from fornix.study.features.base import ModelSection
from fornix.study.features.hub import HubSection


class HuggingFaceFeatures(HubSection, ModelSection):
    """A Hugging Face model of pictures, texts, sounds, clips, or pictures with texts.

    Layers are ``embeddings``, ``block1`` to ``blockN`` and ``pooler``; ``attention1`` to
    ``attentionN`` (maps of the heads), ``logits``; and the path of any module, such as
    ``encoder.layer.3.attention.attention.query``. ``all`` is the first three; the others are
    asked for by name or pattern. ``fornix features --list MODEL`` prints them.
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
