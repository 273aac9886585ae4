"""Which rows a model's features have, and what each row's numbers follow from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pandas as pd

from fornix.errors import FornixError, did_you_mean
from fornix.features.extractor import Context
from fornix.store.artifact import Artifact
from fornix.study.base import digest_of
from fornix.study.features.huggingface import HuggingFaceFeatures

KEPT = ("stimulus", "modality", "path", "text", "digest")


def stimulus_rows(
    section: HuggingFaceFeatures, stimuli: pd.DataFrame, context: Context
) -> pd.DataFrame:
    """Return one line a row of the features.

    Parameters
    ----------
    section
        What is read of the stimuli: the stimulus itself, a column of the table as a text, a text
        that another section has generated, a word with those before it, stretches of time.
    stimuli
        The stimulus table.
    context
        The artifacts of other sections; the folder of sounds and clips.

    Raises
    ------
    FornixError
        If a column or a generated text isn't there.
    """
    where = f"features (kind: huggingface, model: {section.model})"
    rows = stimuli[[name for name in KEPT if name in stimuli]].copy()
    if section.source is not None and _has_texts(context.sources[section.source]):
        return _generated(rows, context.sources[section.source], section, where)
    if section.text is not None:
        return _column(rows, stimuli, section, where)
    modality = str(stimuli["modality"].iloc[0])
    if modality == "word":
        return _words(stimuli, section.context)
    if modality in ("audio", "video") and section.rate is not None:
        from fornix.features.timegrid import frames_table

        return frames_table(rows, context.root, section.rate)
    return rows


def _has_texts(source: Artifact) -> bool:
    """Tell whether a section gives texts; another's tokens are read beside the stimuli."""
    return "texts.parquet" in source.manifest["parts"]


def _generated(
    rows: pd.DataFrame, source: Artifact, section: HuggingFaceFeatures, where: str
) -> pd.DataFrame:
    name = section.source
    texts = source.table("texts").set_index("stimulus")["text"]
    lacking = [one for one in rows["stimulus"] if one not in texts.index]
    if lacking:
        problem = f"features.{name} has no text for {len(lacking)} stimuli, such as {lacking[0]!r}"
        mend = f"give features.{name} the same dataset"
        raise FornixError(problem, where=f"{where}: source", mend=mend)
    return _worded(rows, [str(texts[one]) for one in rows["stimulus"]], section)


def _column(
    rows: pd.DataFrame, stimuli: pd.DataFrame, section: HuggingFaceFeatures, where: str
) -> pd.DataFrame:
    column = str(section.text)
    if column not in stimuli:
        problem = f"the stimulus table has no column '{column}'"
        mend = did_you_mean(column, map(str, stimuli.columns))
        raise FornixError(problem, where=f"{where}: text", mend=mend)
    missing = stimuli[column].isna()
    if missing.any():
        first = stimuli.loc[missing, "stimulus"].iloc[0]
        problem = f"{int(missing.sum())} stimuli have no {column}, such as {first!r}"
        mend = "fill the column of the stimulus table"
        raise FornixError(problem, where=f"{where}: text", mend=mend)
    return _worded(rows, stimuli[column].astype(str).tolist(), section)


def _worded(rows: pd.DataFrame, text: list[str], section: HuggingFaceFeatures) -> pd.DataFrame:
    """Return rows with these texts: beside what they show, or instead of it."""
    if section.modality == "image+text" or section.prompts:
        digests = [digest_of([a, b], 32) for a, b in zip(rows["digest"], text, strict=True)]
        return rows.assign(text=text, digest=digests)
    return rows.assign(text=text, modality="text", digest=[digest_of(one, 32) for one in text])


def _words(stimuli: pd.DataFrame, context: int | None) -> pd.DataFrame:
    """Return words with the digest of what is read with each: those before it, as many as asked."""
    rows = stimuli[[*KEPT[:2], "text", "digest", "passage", "position"]].copy()
    if context is not None:
        digests: dict[Any, str] = {}
        for _, group in rows.groupby("passage"):
            ordered = group.sort_values("position")
            words = ordered["text"].astype(str).tolist()
            found = [_window(words, at, context) for at in range(len(words))]
            digests |= dict(zip(ordered.index, found, strict=True))
        rows["digest"] = [digests[label] for label in rows.index]
    return rows


def _window(words: Sequence[str], at: int, context: int) -> str:
    text = "\0".join(words[max(0, at - context) : at + 1])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
