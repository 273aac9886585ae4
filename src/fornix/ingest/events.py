"""Events: the table that belongs to each recording, checked row by row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from fornix.errors import FornixError, did_you_mean
from fornix.ingest.findings import Findings
from fornix.ingest.listing import entities
from fornix.ingest.tables import Table, free_name, is_missing, read_tsv, typed, with_none

COLUMNS = ("recording", "file", "row", "onset", "duration", "trial_type", "stimulus")


@dataclass
class RawEvents:
    """The events of all recordings, cells as text still.

    Attributes
    ----------
    table
        Columns ``recording, file, row, line, onset, duration, trial_type``.
    cells
        Column of an events file -> its cells, None where a file lacks the column.
    """

    table: pd.DataFrame
    cells: dict[str, list[str | None]] = field(default_factory=dict)

    def finish(self, stimulus: Sequence[str | None]) -> pd.DataFrame:
        """Return ``events.parquet``: the table, stimulus ids and every further column, typed."""
        found = self.table.drop(columns="line")
        found["stimulus"] = pd.Series(list(stimulus), dtype="object", index=found.index)
        for name, cells in self.cells.items():
            if name not in ("onset", "duration", "trial_type"):
                found[free_name(name, COLUMNS)] = typed(cells).set_axis(found.index)
        return found


def find_events(root: Path, recording: str, listed: dict[Path, list[str]]) -> str | None:
    """Return the events file of a recording, by BIDS' inheritance principle.

    The nearest folder wins that has a file whose entities are all the recording's; within a
    folder, the file that shares most of them.

    Parameters
    ----------
    root
        BIDS root.
    recording
        Path relative to it.
    listed
        Memory of folders that were listed before: folder -> names of its events files.
    """
    own = entities(Path(recording).name)
    for folder in (root / recording).parents:
        if folder not in listed:
            listed[folder] = sorted(path.name for path in folder.glob("*events.tsv"))
        shared = {name: entities(name) for name in listed[folder]}
        fits = {
            name: len(found)
            for name, found in shared.items()
            if found["suffix"] == "events"
            and all(
                own.get(key) == label
                for key, label in found.items()
                if key not in ("suffix", "extension")
            )
        }
        if fits:
            best = max(fits, key=lambda name: (fits[name], name))
            return (folder / best).relative_to(root).as_posix()
        if folder == root:
            break
    return None


def index_events(recordings: pd.DataFrame, root: Path, findings: Findings) -> RawEvents:
    """Read the events of every recording, and note each one's file in ``recordings``.

    Parameters
    ----------
    recordings
        As made by ``index_recordings``; its column ``events`` is filled in.
    root
        BIDS root.
    findings
        Gets rows that can't be right: onsets that are missing, no numbers, or outside the
        recording.
    """
    rows: list[dict[str, Any]] = []
    blocks: list[tuple[int, Table]] = []
    listed: dict[Path, list[str]] = {}
    tables: dict[str, Table | None] = {}
    files = []
    for recording in recordings.itertuples():
        name = find_events(root, str(recording.recording), listed)
        files.append(name)
        if name is None:
            _missing(recording, root, findings)
            continue
        if name not in tables:
            tables[name] = _read(root / name, findings)
        table = tables[name]
        if table is not None:
            rows += _rows(table, recording, root / name, name, findings)
            blocks.append((len(table.rows), table))
    recordings["events"] = pd.Series(files, dtype="object", index=recordings.index)
    names = dict.fromkeys(name for _, table in blocks for name in table.columns)
    cells: dict[str, list[str | None]] = {name: [] for name in names}
    for count, table in blocks:
        for name, known in cells.items():
            known.extend(table.column(name) if name in table.columns else [None] * count)
    columns = ["recording", "file", "row", "line", "onset", "duration", "trial_type"]
    found = pd.DataFrame(rows, columns=columns)
    text = ["recording", "file", "trial_type"]
    kinds = {"row": "int64", "line": "int64", "onset": "float64", "duration": "float64"}
    return RawEvents(with_none(found.astype({**dict.fromkeys(text, "object"), **kinds})), cells)


def _missing(recording: Any, root: Path, findings: Findings) -> None:
    if str(recording.task or "").lower().startswith("rest"):
        findings.note("a rest run without events", where=recording.recording)
        return
    stem = recording.recording.removesuffix(recording.extension).rpartition("_")[0]
    text = "the recording has no events.tsv, neither beside it nor in a folder above"
    mend = f"write {stem}_events.tsv (a derivative: copy it from the raw dataset), or leave the "
    mend += "recording out with the dataset's `select`"
    findings.problem(text, where=str(root / recording.recording), mend=mend)


def _read(path: Path, findings: Findings) -> Table | None:
    with findings.collect():
        table = read_tsv(path)
        if "onset" not in table.columns:
            problem = f"the table has no column 'onset'; it has: {', '.join(table.columns)}"
            near = did_you_mean("onset", table.columns)
            mend = "write onsets in seconds, and separate the columns by tabs"
            mend = f"{near} {mend}" if near.startswith("did") else mend
            raise FornixError(problem, where=f"{path}:1", mend=mend)
        if not table.rows:
            problem = "the table has a header and no events"
            mend = "write one row an event, or leave the recording out with `select`"
            raise FornixError(problem, where=str(path), mend=mend)
        name = path.relative_to(findings.root).as_posix()
        if "duration" not in table.columns:
            findings.note("no column 'duration': taken as 0 s", where=name)
        if "trial_type" not in table.columns:
            findings.note("no column 'trial_type'", where=name)
        return table
    return None


def _rows(
    table: Table, recording: Any, path: Path, name: str, findings: Findings
) -> list[dict[str, Any]]:
    count = len(table.rows)
    onsets = table.column("onset")
    durations = table.column("duration") if "duration" in table.columns else ["0"] * count
    types = table.column("trial_type") if "trial_type" in table.columns else ["n/a"] * count
    rows = []
    bad: dict[tuple[str, str], list[str]] = {}
    before = 0
    for i, line in enumerate(table.lines):
        onset, text, mend = _onset(onsets[i], recording.duration)
        length, wrong = _duration(durations[i])
        found = (("onset", text, mend), ("duration", wrong, "write seconds, or n/a"))
        for name_, problem, help_ in found:
            if problem:
                bad.setdefault((problem, help_), []).append(f"{path}:{line} ({name_})")
        before += onset < 0
        rows.append(
            {
                "recording": recording.recording,
                "file": name,
                "row": i,
                "line": line,
                "onset": onset,
                "duration": length,
                "trial_type": None if is_missing(types[i]) else types[i],
            }
        )
    for (problem, help_), places in bad.items():
        more = f" (also in {len(places) - 1} other rows)" if len(places) > 1 else ""
        findings.problem(problem + more, where=places[0], mend=help_)
    if before:
        findings.warning(f"{before} events before the recording's start", where=name)
    return rows


def _onset(cell: str, duration: float) -> tuple[float, str, str]:
    """Return an onset (s), what is wrong with it, and what to do."""
    mend = "write the onset in seconds from the recording's first sample"
    if is_missing(cell):
        return math.nan, "the row has no onset", mend + ", or remove the row"
    try:
        onset = float(cell)
    except ValueError:
        return math.nan, f"onset {cell!r} isn't a number", mend
    if not math.isfinite(onset):
        return math.nan, f"onset {cell!r} isn't a time", mend
    # Events before the start are legal BIDS; one that is a whole recording early is another
    # clock's. NaN durations (EEGLAB without a sidecar) compare as false: nothing is known.
    if onset > duration:
        text = f"onset {onset:g} s lies beyond the recording's end ({duration:g} s)"
        mend = "give seconds, not ms, samples or volumes; " + mend + "; or remove the row"
        return onset, text, mend
    if onset < -duration:
        text = f"onset {onset:g} s lies a whole recording ({duration:g} s) before its start"
        return onset, text, mend
    return onset, "", ""


def _duration(cell: str) -> tuple[float, str]:
    """Return a duration (s), 0 where it isn't known, and what is wrong with it."""
    if is_missing(cell):
        return 0.0, ""
    try:
        length = float(cell)
    except ValueError:
        return math.nan, f"duration {cell!r} isn't a number"
    if not 0 <= length < math.inf:
        return math.nan, f"duration {cell!r} isn't a length of time"
    return length, ""
