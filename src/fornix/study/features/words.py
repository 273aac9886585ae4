"""Words: how many, how long, how frequent."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fornix.study.features.base import FeatureSection


class WordFeatures(FeatureSection):
    """What is known of a word without a model of language, one layer each.

    - ``rate``: 1 a word; aligned in time, the rate of words;
    - ``length``: letters;
    - ``frequency``: on the Zipf scale, log10 of occurrences in a billion words (van Heuven et al.
      2014), from the wordfreq package or a column;
    - ``phonemes``: how many, or how often each, where a column gives them.

    A text of several words has their number, and the mean length and frequency.
    """

    kind: Literal["words"] = Field(description="rate, length, frequency and phonemes of words")
    language: str = Field("en", description="of the frequencies: a code that wordfreq knows")
    frequency: str | None = Field(
        None, description="column of the stimulus table with Zipf frequencies; null: wordfreq"
    )
    phonemes: str = Field(
        "phonemes",
        description="column of the stimulus table with each word's phonemes, separated by spaces",
    )
    onehot: bool = Field(False, description="phonemes: count each phoneme on its own")

    def describe(self) -> str:
        """Say in a sentence what is computed."""
        frequency = f"wordfreq ({self.language})"
        if self.frequency is not None:
            frequency = f"the column {self.frequency}"
        return f"words: {self.layers_in_words()}; frequency (Zipf) from {frequency}."
