"""Stimuli: what events name, as files, texts or labels, each with an id and a digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from fornix.errors import FornixError, did_you_mean
from fornix.ingest.events import RawEvents
from fornix.ingest.findings import Findings
from fornix.ingest.media import check_clip, check_sound
from fornix.ingest.tables import Table, free_name, is_missing, read_tsv, typed, with_none
from fornix.ingest.words import index_words
from fornix.progress import track
from fornix.store.digests import file_digest
from fornix.study.datasets import StimulusSource

COLUMNS = ("stimulus", "modality", "path", "text", "digest")
KEYS = ("stim_file", "stimulus_id")
"""Columns of a stimulus table that may name its rows, the first one found."""

MODALITIES = {
    "image": (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"),
    "audio": (".wav", ".flac", ".mp3", ".ogg", ".m4a", ".aac"),
    "video": (".mp4", ".avi", ".mov", ".mkv", ".webm"),
    "text": (".txt",),
}
_BY_EXTENSION = {ext: kind for kind, group in MODALITIES.items() for ext in group}
MAX_ID = 64
"""Characters of a text that is its own id; longer ones go by their digest."""


@dataclass
class Properties:
    """The optional table of stimulus properties.

    Attributes
    ----------
    path
        The table's file; None if there is none.
    rows
        Stimulus id -> its cells.
    """

    path: Path | None = None
    columns: list[str] = field(default_factory=list)
    rows: dict[str, list[str]] = field(default_factory=dict)


def index_stimuli(
    events: RawEvents, source: StimulusSource, root: Path, findings: Findings, *, digests: bool
) -> tuple[pd.DataFrame, list[str | None]]:
    """Find the stimuli that events name.

    Parameters
    ----------
    events
        Events of all recordings.
    source
        How they name their stimuli.
    root
        BIDS root.
    findings
        Gets missing, unreadable and outlying files.
    digests
        Digest the contents of files, and decode JPEG images whole.

    Returns
    -------
    stimuli
        Columns as in ``COLUMNS`` and those of the stimulus table; sorted by id.
    named
        Stimulus id of each event, None where it names none.
    """
    column, modality = _resolve(events, source, findings)
    if column is None:
        return stimulus_table([], Properties()), [None] * len(events.table)
    if modality == "word":
        words, of_event = index_words(events, column, findings)
        return stimulus_table(
            sorted(words, key=lambda row: row["stimulus"]), Properties()
        ), of_event
    cells = [None if is_missing(cell) else cell for cell in events.cells[column]]
    places: dict[str, str] = {}
    for cell, file, line in zip(cells, events.table["file"], events.table["line"], strict=True):
        if cell is not None:
            places.setdefault(cell, f"{root / file}:{line}")
    ids: dict[str, str] = {}
    rows: dict[str, dict[str, Any]] = {}
    for cell in track(sorted(places), "stimuli"):
        with findings.collect():
            where = f"{places[cell]} ({column})"
            row = describe(cell, modality, source, root, where=where, digests=digests)
            if modality == "label":
                row[free_name(column, COLUMNS)] = cell
            ids[cell] = row["stimulus"]
            rows[row["stimulus"]] = row
    properties = Properties()
    with findings.collect():
        properties = read_properties(source, root)
    _compare(rows, properties, findings)
    named = [ids.get(cell) if cell is not None else None for cell in cells]
    return stimulus_table([rows[key] for key in sorted(rows)], properties), named


def _resolve(
    events: RawEvents, source: StimulusSource, findings: Findings
) -> tuple[str | None, str]:
    """Return the events column that names stimuli, and what its cells are."""
    column, modality = source.column, source.modality
    filled = any(not is_missing(cell) for cell in events.cells.get(column, ()))
    default = StimulusSource().column
    if filled:
        if modality == "auto":
            modality = "file" if column == default else "label"
        return column, modality
    if (modality == "auto" and column == default) or not len(events.table):
        conditions = not events.table["trial_type"].isna().all()
        return ("trial_type", "label") if conditions else (None, "label")
    state = "is empty in every events table" if column in events.cells else "is in no events table"
    problem = f"the column '{column}', which should name the stimuli, {state}"
    mend = f"set stimuli.column of the dataset; {did_you_mean(column, events.cells)}"
    findings.problem(problem, where=str(findings.root), mend=mend)
    return None, "label"


def describe(
    cell: str, modality: str, source: StimulusSource, root: Path, *, where: str, digests: bool
) -> dict[str, Any]:
    """Return one stimulus as a row of the table.

    Raises
    ------
    FornixError
        If it is a file that is missing, can't be read, or lies outside the dataset.
    """
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    if modality != "file":
        digest = hashlib.blake2b(cell.encode(), digest_size=16).hexdigest()
        name = cell if len(cell) <= MAX_ID or modality == "label" else digest[:16]
        text = cell if modality == "text" else None
        return row | {"stimulus": name, "modality": modality, "text": text, "digest": digest}
    path = locate(cell, source.folder, root, where=where)
    kind = _BY_EXTENSION.get(path.suffix.lower())
    if kind is None:
        problem = f"the stimulus {cell!r} is of no kind that is known"
        mend = "allowed: " + ", ".join(sorted(_BY_EXTENSION))
        raise FornixError(problem, where=where, mend=mend)
    text = _open(path, kind, where=where, thorough=digests)
    return row | {
        "stimulus": stimulus_id(cell, source.folder),
        "modality": kind,
        "path": path.relative_to(root).as_posix(),
        "text": text,
        "digest": file_digest(path) if digests else None,
    }


def stimulus_id(cell: str, folder: str) -> str:
    """Return the id of a file stimulus: its path below the stimulus folder.

    Examples
    --------
    >>> stimulus_id("stimuli/faces/./a.png", "stimuli")
    'faces/a.png'
    """
    name = Path(cell).as_posix()
    return name.removeprefix(f"{Path(folder).as_posix()}/")


def locate(cell: str, folder: str, root: Path, *, where: str) -> Path:
    """Return the file that an event names, inside the dataset.

    Raises
    ------
    FornixError
        If the name leads outside the dataset, also by a symbolic link, or to nothing.
    """
    inside = "put the stimulus below the dataset's stimulus folder and name it from there"
    if Path(cell).is_absolute() or ".." in Path(cell).parts or "\\" in cell or ":" in cell[:2]:
        problem = f"the stimulus {cell!r} points outside the dataset's folder '{folder}/'"
        raise FornixError(problem, where=where, mend=inside)
    path = root / folder / stimulus_id(cell, folder)
    if not path.is_file():
        problem = f"the stimulus {cell!r} isn't there: {path}"
        near = _near(path)
        mend = f"{near} " if near else ""
        raise FornixError(problem, where=where, mend=f"{mend}{inside}")
    if not path.resolve().is_relative_to(root.resolve()):
        problem = f"the stimulus {cell!r} is a link out of the dataset, to {path.resolve()}"
        raise FornixError(problem, where=where, mend="copy the file into the dataset")
    return path


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f"the folder {path.parent} doesn't exist;"
    hint = did_you_mean(path.name, (one.name for one in path.parent.iterdir()))
    return hint if hint.startswith("did") else ""


def _open(path: Path, kind: str, *, where: str, thorough: bool) -> str | None:
    """Check that a file can be read as what it is; return the text of a text."""
    try:
        if kind == "text":
            return path.read_text(encoding="utf-8-sig").rstrip("\r\n")
        if kind == "image":
            with Image.open(path) as image:
                image.verify()  # header and checksums; JPEG has none, so that it is decoded
                is_jpeg = image.format == "JPEG"
            if thorough and is_jpeg:
                with Image.open(path) as image:
                    image.draft("RGB", (1, 1))
                    image.load()
        elif not path.stat().st_size:
            msg = "the file is empty"
            raise OSError(msg)
        elif kind == "audio":
            check_sound(path)
        elif kind == "video":
            check_clip(path)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        problem = f"the stimulus {path.name!r} can't be read as {kind}: {error}"
        raise FornixError(problem, where=where, mend=f"restore or replace {path}") from None
    return None


def read_properties(source: StimulusSource, root: Path) -> Properties:
    """Read the stimulus table, looked for in the stimulus folder and then in the root.

    Raises
    ------
    FornixError
        If it has no column that names stimuli, or names one twice.
    """
    places = (root / source.folder / source.table, root / source.table)
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return Properties()
    table = read_tsv(path)
    key = _key(table, source, path)
    rows: dict[str, list[str]] = {}
    for cell, row, line in zip(table.column(key), table.rows, table.lines, strict=True):
        if is_missing(cell):
            problem, mend = f"the row has no {key}", "name the stimulus, or remove the row"
            raise FornixError(problem, where=f"{path}:{line}", mend=mend)
        name = stimulus_id(cell, source.folder)
        if name in rows:
            problem = f"the stimulus {cell!r} is named twice"
            mend = "keep one row a stimulus"
            raise FornixError(problem, where=f"{path}:{line} ({key})", mend=mend)
        rows[name] = row
    return Properties(path, table.columns, rows)


def _key(table: Table, source: StimulusSource, path: Path) -> str:
    for name in (*KEYS, source.column):
        if name in table.columns:
            return name
    problem = f"the stimulus table has no column {' or '.join(KEYS)}; "
    problem += f"it has: {', '.join(table.columns)}"
    raise FornixError(problem, where=f"{path}:1", mend="add the column that names each stimulus")


def stimulus_table(rows: Sequence[dict[str, Any]], properties: Properties) -> pd.DataFrame:
    """Return stimuli as a table, with the columns of the stimulus table after Fornix's own."""
    extra = dict.fromkeys(name for row in rows for name in row if name not in COLUMNS)
    found = with_none(pd.DataFrame(list(rows), columns=[*COLUMNS, *extra]))
    for at, name in enumerate(properties.columns):
        empty = ["n/a"] * len(properties.columns)
        cells = [properties.rows.get(key, empty)[at] for key in found["stimulus"]]
        free = free_name(name, COLUMNS)
        if free not in extra:
            found[free] = typed(cells)
    return found


def _compare(rows: Iterable[str], properties: Properties, findings: Findings) -> None:
    if properties.path is None:
        return
    shown, listed = set(rows), set(properties.rows)
    where = properties.path.relative_to(findings.root).as_posix()
    if lacking := sorted(shown - listed):
        named = ", ".join(lacking[:3])
        text = f"{len(lacking)} stimuli of the events aren't in the stimulus table ({named}, ...)"
        findings.warning(text, where=where)
    if unused := len(listed - shown):
        findings.note(f"{unused} of its {len(listed)} stimuli are in no event", where=where)
