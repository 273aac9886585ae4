"""Running text as tokens, and the stretches of it that a language model reads at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fornix.features.checkpoints import quiet


@dataclass(frozen=True)
class Passage:
    """A passage as tokens; the same ones whatever part of it is read.

    Attributes
    ----------
    tokens
        int64 (token,), without special tokens.
    first
        int64 (word + 1,): where each word's tokens begin; at the end, the number of tokens.
    """

    tokens: NDArray[np.int64]
    first: NDArray[np.int64]

    def own(self, word: int) -> range:
        """Return the positions of a word's tokens."""
        return range(int(self.first[word]), int(self.first[word + 1]))


@dataclass(frozen=True)
class Window:
    """A stretch of a passage that is read at once.

    Attributes
    ----------
    begin, stop
        Its tokens.
    scored
        The first token whose surprisal is taken from it; all after it are, too.
    """

    begin: int
    stop: int
    scored: int


def tokenize(tokenizer: Any, words: Sequence[str]) -> Passage:
    """Return the words of a passage, a space between each two, as tokens.

    A space belongs to the word after it, as GPT-2 and its kin have it; a token that reaches over
    several words, to the last of them.
    """
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    with quiet():
        found = tokenizer(" ".join(words), add_special_tokens=False, return_offsets_mapping=True)
    stops = np.asarray([stop for _, stop in found["offset_mapping"]], dtype=np.int64)
    # Offsets of bytes that make one character together may repeat, but never go back.
    word = np.searchsorted(ends, np.maximum.accumulate(stops), side="left")
    first = np.searchsorted(word, np.arange(len(words) + 1), side="left")
    return Passage(np.asarray(found["input_ids"], dtype=np.int64), first)


def sliding(passage: Passage, words: Iterable[int], room: int) -> Iterator[Window]:
    """Yield windows of ``room`` tokens that score some words, each overlapping the last by half.

    They lie where they lie whatever is asked for, and whatever comes after.
    """
    step = room // 2
    numbers = {max(0, at - room + step) // step for word in words for at in passage.own(word)}
    for number in sorted(numbers):
        begin = number * step
        stop = min(begin + room, len(passage.tokens))
        yield Window(begin, stop, begin + room - step if number else 0)


def fixed(passage: Passage, words: Iterable[int], context: int, room: int) -> Iterator[Window]:
    """Yield for each word the window of itself and so many words before it, if they fit."""
    for word in words:
        own = passage.own(word)
        if not own:
            continue
        begin = max(int(passage.first[max(0, word - context)]), own.stop - room)
        yield Window(begin, own.stop, max(begin, own.start))
