"""Words: rate, length, frequency and phonemes, the baseline of every model of language."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fornix.errors import FornixError, did_you_mean
from fornix.features.extractor import Batched, Context, Layers
from fornix.features.layers import select_layers
from fornix.study.base import digest_of
from fornix.study.features.words import WordFeatures

MODALITIES = ("word", "text")
BATCH = 4096
WHERE = "features (kind: words)"

ROWWISE = False
"""Which phonemes there are is seen from all rows."""

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*|\d+")


@dataclass(frozen=True)
class Measures:
    """What is measured, and the names of what a layer counts.

    Attributes
    ----------
    layers
        Layer -> names of its features.
    """

    section: WordFeatures
    layers: dict[str, list[str]]

    def rows(self, some: pd.DataFrame) -> Layers:
        """Return every layer of some rows, float32 (row, feature)."""
        words = [_words(str(text)) for text in some["text"]]
        found = {
            "rate": _column([len(mine) for mine in words]),
            "length": _column([_mean([_letters(word) for word in mine]) for mine in words]),
            "frequency": self._frequency(some, words),
        }
        if "phonemes" in self.layers:
            found["phonemes"] = self._phonemes(some)
        return {name: found[name] for name in self.layers}

    def _frequency(self, some: pd.DataFrame, words: list[list[str]]) -> np.ndarray:
        if self.section.frequency is not None:
            return _column(some[self.section.frequency].fillna(0.0).tolist())
        from wordfreq import zipf_frequency

        language = self.section.language
        return _column([_mean([zipf_frequency(word, language) for word in mine]) for mine in words])

    def _phonemes(self, some: pd.DataFrame) -> np.ndarray:
        counts = [Counter(_phonemes(cell)) for cell in some[self.section.phonemes]]
        if not self.section.onehot:
            return _column([one.total() for one in counts])
        labels = self.layers["phonemes"]
        return np.array([[one[label] for label in labels] for one in counts], dtype=np.float32)


@contextmanager
def open_extractor(
    section: WordFeatures, rows: pd.DataFrame, context: Context
) -> Iterator[Batched]:
    """Give the layers ``rate``, ``length``, ``frequency`` and ``phonemes``.

    Rows are float32 (1,), or (phoneme,) with ``onehot``. ``phonemes`` is left out, with a note,
    where no column gives them. A word that the frequency list doesn't know counts 0.

    Raises
    ------
    FornixError
        If a stimulus isn't a text, or the language isn't known.
    """
    measures = _measures(section, rows, context.notes)
    if section.frequency is None and "frequency" in measures.layers:
        _note_unknown(section, rows, context.notes)
    shapes = {name: (len(names),) for name, names in measures.layers.items()}
    yield Batched(shapes, measures.rows, BATCH, context)


def table(section: WordFeatures, stimuli: pd.DataFrame, context: Context) -> pd.DataFrame:
    """Return the texts and the columns that are read; the words around a word aren't.

    Raises
    ------
    FornixError
        If the column of frequencies isn't there.
    """
    del context
    if section.frequency is not None and section.frequency not in stimuli:
        problem = f"the stimulus table has no column '{section.frequency}'"
        mend = did_you_mean(section.frequency, map(str, stimuli.columns))
        raise FornixError(problem, where=f"{WHERE}: frequency", mend=mend)
    named = (section.frequency, section.phonemes)
    used = ["text", *(name for name in named if name is not None and name in stimuli)]
    cells = [
        [None if pd.isna(cell) else str(cell) for cell in row]
        for row in stimuli[used].to_numpy(object)
    ]
    digests = [digest_of([used, row]) for row in cells]
    return stimuli[["stimulus", "modality", *used]].assign(digest=digests)


def labels(section: WordFeatures, stimuli: pd.DataFrame) -> dict[str, list[str]]:
    """Return layer -> names of its features."""
    return _measures(section, stimuli, []).layers


def _measures(section: WordFeatures, rows: pd.DataFrame, notes: list[str]) -> Measures:
    others = rows[~rows["modality"].isin(MODALITIES)]
    if len(others):
        found = others["modality"].iloc[0]
        problem = f"words are wanted, but {len(others)} of {len(rows)} stimuli are {found} stimuli"
        mend = "set stimuli.modality of the dataset to word or text, and stimuli.column"
        raise FornixError(problem, where=WHERE, mend=mend)
    layers = {name: [name] for name in ("rate", "length", "frequency")}
    if section.phonemes in rows:
        every = sorted({one for cell in rows[section.phonemes] for one in _phonemes(cell)})
        layers["phonemes"] = every if section.onehot else ["phonemes"]
    else:
        note = f"layer 'phonemes' is left out: the stimulus table has no column {section.phonemes}"
        notes.append(note)
    wanted = select_layers(list(layers), section.layers, where=WHERE)
    return Measures(section, {name: layers[name] for name in wanted})


def _note_unknown(section: WordFeatures, rows: pd.DataFrame, notes: list[str]) -> None:
    """Check the language, and say how many words the list doesn't have."""
    try:
        from wordfreq import available_languages, zipf_frequency
    except ImportError:
        problem = "frequencies need the package wordfreq, which isn't installed"
        mend = "install it (pip install wordfreq), or name a column in `frequency`"
        raise FornixError(problem, where=f"{WHERE}: frequency", mend=mend) from None
    if section.language not in (known := available_languages()):
        problem = f"wordfreq has no frequencies for language '{section.language}'"
        mend = did_you_mean(section.language, known)
        raise FornixError(problem, where=f"{WHERE}: language", mend=mend)
    words = {word for text in rows["text"] for word in _words(str(text))}
    unknown = sorted(word for word in words if zipf_frequency(word, section.language) == 0)
    if unknown:
        shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        notes.append(f"{len(unknown)} words have no frequency and count 0: {shown}")


def _words(text: str) -> list[str]:
    """Return the words of a text, without punctuation.

    Examples
    --------
    >>> _words("Don't panic, Alice!")
    ["Don't", 'panic', 'Alice']
    """
    return _WORD.findall(text)


def _letters(word: str) -> int:
    return sum(one.isalnum() for one in word)


def _mean(values: list[float] | list[int]) -> float:
    return sum(values) / len(values) if values else 0.0


def _phonemes(cell: str | float | None) -> list[str]:
    return [] if cell is None or pd.isna(cell) else str(cell).split()


def _column(values: list[float] | list[int]) -> np.ndarray:
    return np.array(values, dtype=np.float32)[:, None]
