"""What every section of a model of the Hugging Face hub has."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from fornix.study.features.base import NetworkSection


class HubSection(NetworkSection):
    """Which checkpoint it is, and how its files may be read."""

    model: str = Field(
        description="hub name (org/name), a local folder (${VARIABLE} is expanded), or "
        "package:NAME/FOLDER for weights that an installed Python package brings"
    )
    revision: str | None = Field(None, description="hub revision (commit, tag); pin it")
    checkpoint: str | list[str | int] | None = Field(
        None,
        description="checkpoint of a training run: a folder in the model's, or a hub revision; a "
        "list makes one section a checkpoint, named <name>_<checkpoint>",
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
    def _consistent(self) -> Self:
        if self.init == "pretrained" and self.config:
            msg = "config overrides need init: random; pretrained weights come with their own"
            raise ValueError(msg)
        if self.trust_remote_code not in (None, self.model):
            msg = f"trust_remote_code names {self.trust_remote_code!r}, but the model is "
            raise ValueError(msg + f"{self.model!r}: repeat its name, or leave it out")
        return self
