"""Models of the Hugging Face hub."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from fornix.study.base import Name
from fornix.study.features.base import ModelSection


class HuggingFaceFeatures(ModelSection):
    """A Hugging Face model of pictures, texts, sounds, clips, or pictures with texts.

    Layers are ``embeddings``, ``block1`` to ``blockN`` and ``pooler``; ``attention1`` to
    ``attentionN`` (maps of the heads), ``logits``; and the path of any module, such as
    ``encoder.layer.3.attention.attention.query``. ``all`` is the first three; the others are
    asked for by name or pattern. ``fornix features --list MODEL`` prints them.
    """

    SPEED: ClassVar[frozenset[str]] = ModelSection.SPEED

    kind: Literal["huggingface"] = Field(description="layers of a Hugging Face model")
    model: str = Field(
        description="hub name (org/name), a local folder (${VARIABLE} is expanded), or "
        "package:NAME/FOLDER for weights that an installed Python package brings"
    )
    revision: str | None = Field(None, description="hub revision (commit, tag); pin it")
    checkpoint: str | list[str] | None = Field(
        None,
        description="checkpoint of a training run: a folder in the model's, or a hub revision; a "
        "list makes one section a checkpoint, named <name>_<checkpoint>",
    )
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
        None, description="a name in features, of kind captions: its texts are read instead"
    )
    prompts: dict[Name, str] = Field(
        {},
        description="instructions to a vision-language model, given with every picture: features "
        "of each are layers named <prompt>:<layer>",
    )
    rate: float | None = Field(
        None, gt=0, description="sounds and clips: features a second; null: one for the whole"
    )
    window: float | None = Field(
        None,
        gt=0,
        description="sounds and clips: longest piece that goes through the model at once, s; "
        "null: 30 for sounds, 2 for clips on a time grid",
    )
    trust_remote_code: str | None = Field(
        None,
        description="run code that the model brings: repeat the model's name here to say so",
    )
    pickled: bool = Field(
        False,
        description="take weights that are no safetensors; they are still read with "
        "weights_only, so that no code runs",
    )
    config: dict[str, Any] = Field(
        {},
        description="model config values to override; with init: random and model naming an "
        "architecture (vit, bert, gpt2, ...) no files are needed",
    )

    @model_validator(mode="after")
    def _consistent(self) -> HuggingFaceFeatures:
        if self.init == "pretrained" and self.config:
            msg = "config overrides need init: random; pretrained weights come with their own"
            raise ValueError(msg)
        if self.trust_remote_code not in (None, self.model):
            msg = f"trust_remote_code names {self.trust_remote_code!r}, but the model is "
            raise ValueError(msg + f"{self.model!r}: repeat its name, or leave it out")
        return self
