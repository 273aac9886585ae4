"""How unexpected words are, to a language model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fornix.study.features.hub import HubSection


class SurprisalFeatures(HubSection):
    """Surprisal of each word of running text, given the words before it.

    Layers are ``surprisal``, -log2 p(word | words before it), and ``entropy``, of the model's
    guess before the word, both in bits. Of texts that stand alone: the sum over the text's
    tokens, ``mean_surprisal`` a token, and the mean ``entropy``.
    """

    kind: Literal["surprisal"] = Field(description="surprisal of words, from a language model")
    model: str = Field(
        description="a causal language model: hub name (org/name), a local folder, or "
        "package:NAME/FOLDER"
    )
    context: int | None = Field(
        None,
        ge=0,
        description="words before a word that the model reads with it; null: as many as window "
        "holds, and at least half as many",
    )
    window: int = Field(
        1024, ge=4, description="most tokens that the model reads at once; its own limit caps it"
    )

    def describe(self) -> str:
        """Say in a sentence what is computed, for the report's methods."""
        start = "untrained " if self.init == "random" else ""
        read = f"{self.context} words" if self.context is not None else "all words that fit"
        return f"Surprisal and entropy, bits, by {start}{self.model}, given {read} before."
