"""Texts that a model generates for pictures and clips."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fornix.study.features.hub import HubSection


class CaptionFeatures(HubSection):
    """Captions: texts that a vision-language model generates for each picture or clip.

    They are stored as texts. Sections of kind huggingface read them with ``source``, as many as
    like, and none generates them again.
    """

    kind: Literal["captions"] = Field(description="texts that a model generates for pictures")
    model: str = Field(
        description="a model that writes texts about pictures (BLIP, GIT, LLaVA, SmolVLM, "
        "Qwen-VL, ...): hub name (org/name) or a local folder"
    )
    prompt: str = Field(
        "", description="instruction, or the beginning of the caption; the model goes on from it"
    )
    max_new_tokens: int = Field(40, ge=1, description="most tokens that are generated")
    n_beams: int = Field(
        1, ge=1, description="beams of the search; 1: the likeliest token each time"
    )

    def describe(self) -> str:
        """Say in a sentence what is generated, for the report's methods."""
        start = "untrained " if self.init == "random" else ""
        search = "greedily" if self.n_beams == 1 else f"with {self.n_beams} beams"
        asked = f", asked '{self.prompt}'" if self.prompt else ""
        return f"Captions, generated {search} by {start}{self.model}{asked}."
