"""Words of running text: each occurrence is a stimulus, since a model reads it in its context."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pandas as pd

from fornix.ingest.events import RawEvents
from fornix.ingest.findings import Findings
from fornix.ingest.listing import entities
from fornix.ingest.tables import free_name, is_missing, typed

OWN = ("stimulus", "modality", "path", "text", "digest", "passage", "position", "word_onset",
       "word_duration")  # fmt: skip
SAME_S = 1e-3
"""Onsets of a passage that differ by less than this are the same presentation."""

_UNSAFE = re.compile(r"[^a-z0-9]+")


def index_words(
    events: RawEvents, column: str, findings: Findings
) -> tuple[list[dict[str, Any]], list[str | None]]:
    """Return the words of every recording, numbered.

    Recordings in which the same words follow one another share a passage, and its stimuli. A
    word's digest is that of all words up to it, so that text added at the end leaves the
    features of what comes before as they are.

    Parameters
    ----------
    events
        Events of all recordings.
    column
        Their column with the words.
    findings
        Gets the events without a word, and passages that were timed differently.

    Returns
    -------
    rows
        One row a word of a passage: ``stimulus`` (``<passage>-<position>-<word>``), ``modality``
        (``word``), ``text``, ``digest``, ``passage``, ``position`` (from 0), ``word_onset`` and
        ``word_duration`` (s, in the first recording), and the further columns of its event.
    named
        Stimulus of each event, None where it has no word.
    """
    table, cells = events.table, events.cells[column]
    named: list[str | None] = [None] * len(table)
    names: dict[str, str] = {}
    passages: dict[str, list[dict[str, Any]]] = {}
    further = _further(events, column)
    for recording, mine in table.groupby("recording", sort=False):
        spoken = mine[[not is_missing(cells[at]) for at in mine.index]]
        where = f"{mine['file'].iloc[0]} ({column})"
        if silent := len(mine) - len(spoken):
            findings.note(f"{silent} events have no word; they are left out", where=where)
        if spoken.empty:
            continue
        # By onset; equal onsets stay in the order of the file.
        order = spoken.sort_values("onset", kind="stable").index
        words = [str(cells[at]) for at in order]
        digests = rolling_digests(words)
        task = _safe(entities(str(recording)).get("task", ""))
        passage = names.setdefault(digests[-1], f"{task or 'text'}-{digests[-1][:6]}")
        timed = table.loc[order, ["onset", "duration"]].set_axis(
            ["word_onset", "word_duration"], axis=1
        )
        if passage not in passages:
            described = pd.concat([timed, further.loc[order]], axis=1).to_dict("records")
            passages[passage] = [
                _row(passage, position, *texts) | {str(key): value for key, value in more.items()}
                for position, (*texts, more) in enumerate(
                    zip(words, digests, described, strict=True)
                )
            ]
        elif _differ(timed["word_onset"], passages[passage]):
            text = f"the words of passage {passage} come at other times than in the first "
            findings.note(text + "recording that has it", where=str(recording))
        for at, row in zip(order, passages[passage], strict=True):
            named[table.index.get_loc(at)] = row["stimulus"]
    return [row for rows in passages.values() for row in rows], named


def rolling_digests(words: list[str]) -> list[str]:
    """Return a digest of each word and all words before it."""
    digest = hashlib.blake2b(digest_size=16)
    found = []
    for word in words:
        digest.update(word.encode() + b"\0")
        found.append(digest.copy().hexdigest())
    return found


def _row(passage: str, position: int, word: str, digest: str) -> dict[str, Any]:
    name = f"{passage}-{position:05d}-{_safe(word)}".rstrip("-")
    return {
        **{"stimulus": name, "modality": "word", "path": None, "text": word, "digest": digest},
        **{"passage": passage, "position": position},
    }


def _further(events: RawEvents, column: str) -> pd.DataFrame:
    """Return the other columns of the events, which may describe the words (a part of speech)."""
    known = {"onset", "duration", "trial_type", column}
    columns = {
        free_name(name, OWN): typed(cells).set_axis(events.table.index)
        for name, cells in events.cells.items()
        if name not in known
    }
    return pd.DataFrame(columns, index=events.table.index)


def _differ(onsets: pd.Series[Any], rows: list[dict[str, Any]]) -> bool:
    pairs = zip(onsets, rows, strict=True)
    return any(abs(onset - row["word_onset"]) > SAME_S for onset, row in pairs)


def _safe(word: str) -> str:
    """Return a word as letters and digits that any path and pattern takes."""
    return _UNSAFE.sub("", word.lower())[:24]
