"""The table of recordings: entities, header and digest of each, and whether they go together."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fornix.errors import FornixError
from fornix.ingest.eeg import read_eeg
from fornix.ingest.findings import Findings
from fornix.ingest.header import Header
from fornix.ingest.layout import BidsFile, labels
from fornix.ingest.meg import read_meg
from fornix.ingest.nifti import read_bold
from fornix.ingest.tables import with_none
from fornix.ingest.timeseries import read_timeseries
from fornix.progress import track
from fornix.store.digests import combine, file_digest

COLUMNS = [
    "recording", "subject", "session", "task", "run", "acquisition", "space", "description",
    "suffix", "datatype", "extension", "n_samples", "sampling_frequency", "duration", "shape",
    "digest", "events", "sidecar",
]  # fmt: skip
TEXT = [name for name in COLUMNS if name not in ("n_samples", "sampling_frequency", "duration")]
PARTS = ("echo", "part", "inv", "split", "chunk")
"""Entities of files that are parts of one acquisition, and no recordings of their own."""


def index_recordings(
    files: Sequence[BidsFile], root: Path, findings: Findings, *, digests: bool
) -> pd.DataFrame:
    """Read every recording's header.

    Parameters
    ----------
    files
        The selected recordings.
    root
        BIDS root.
    findings
        Gets what is wrong or odd.
    digests
        Digest the contents, and decompress images whole to see that they are intact.

    Returns
    -------
    pandas.DataFrame
        Columns as in ``COLUMNS``; recordings that can't be read are left out.
    """
    _reject_parts(files, findings)
    rows: list[dict[str, object]] = []
    for file in track(files, "recordings: headers"):
        header = None
        with findings.collect():
            try:
                header = _read(root / file.path, file, thorough=digests)
            except FornixError as error:
                if not _is_by_product(file, files):
                    raise
                findings.warning(f"left out: {error.problem}", where=file.path)
        if header is None:
            continue
        for text in header.warnings:
            findings.warning(text, where=file.path)
        rows.append(
            {
                "recording": file.path,
                **labels(file),
                "suffix": file.entities["suffix"],
                "datatype": file.entities.get("datatype"),
                "extension": file.entities["extension"],
                "n_samples": header.n_samples,
                "sampling_frequency": header.sampling_frequency,
                "duration": header.duration,
                "shape": header.shape,
                "digest": _digest(header.files) if digests else None,
                "events": None,
                "sidecar": json.dumps(file.metadata, sort_keys=True, default=str),
            }
        )
    table = recordings_table(rows)
    _reject_mixtures(table, findings)
    _warn_of_versions(table, findings)
    return table


def recordings_table(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    """Return rows as a table with all columns, text as Python strings or None."""
    table = pd.DataFrame(list(rows), columns=COLUMNS)
    return with_none(table.astype(dict.fromkeys(TEXT, "object")))


def _read(path: Path, file: BidsFile, *, thorough: bool) -> Header:
    if file.entities["suffix"] == "bold":
        return read_bold(path, file.metadata, thorough=thorough)
    if file.entities["suffix"] == "timeseries":
        return read_timeseries(path, file.metadata)
    if file.entities["suffix"] == "meg":
        return read_meg(path, file.metadata)
    return read_eeg(path, file.metadata)


def _is_by_product(file: BidsFile, files: Sequence[BidsFile]) -> bool:
    """Return whether a table of time series lies beside the images that it was made from."""
    kinds = {one.entities["suffix"] for one in files}
    return file.entities["suffix"] == "timeseries" and len(kinds) > 1


def _digest(files: Sequence[Path]) -> str:
    if len(files) == 1:
        return file_digest(files[0])
    return combine((path.name, file_digest(path)) for path in files)


def _reject_parts(files: Sequence[BidsFile], findings: Findings) -> None:
    """Find echoes, phase images and a file in two formats: they mustn't count as runs."""
    seen: dict[tuple[tuple[str, str], ...], BidsFile] = {}
    for file in files:
        rest = {k: v for k, v in file.entities.items() if k not in (*PARTS, "extension")}
        other = seen.setdefault(tuple(sorted(rest.items())), file)
        if other is not file:
            text = f"the same recording as {other.path}, in parts or in two formats"
            mend = "keep one of them: combine echoes before, leave phase images out of the dataset"
            findings.problem(text, where=str(findings.root / file.path), mend=mend)


def _reject_mixtures(table: pd.DataFrame, findings: Findings) -> None:
    """Find runs of one subject that differ in space (fMRI), in channels or rate (EEG, MEG)."""
    same = ["subject", "task", "acquisition", "space", "description", "suffix"]
    named = table.set_index("recording")
    for _, runs in named.groupby(same, dropna=False, sort=False):
        columns = {"shape": "regions" if runs["suffix"].iloc[0] == "timeseries" else "voxels"}
        if runs["suffix"].iloc[0] in ("eeg", "meg"):
            columns = {"shape": "channels", "sampling_frequency": "Hz"}
        for column, unit in columns.items():
            words = [(str(name), _word(value)) for name, value in runs[column].items()]
            known = [(name, word) for name, word in words if word]
            others = [pair for pair in known if pair[1] != known[0][1]]
            if not others:
                continue
            (first, was), (second, now) = known[0], others[0]
            text = f"{now} {unit}, but {was} {unit} in {first}: "
            text += "runs of one subject must agree"
            mend = "leave one of them out with the dataset's `select` (run, session, acquisition)"
            mend += ", or give the derivative in which they agree"
            findings.problem(text, where=str(findings.root / second), mend=mend)


def _word(value: object) -> str:
    """Return a value to compare: rates to five digits, since intervals in µs are rounded."""
    if isinstance(value, float):
        return f"{value:.5g}" if math.isfinite(value) else ""
    return str(value or "")


def _warn_of_versions(table: pd.DataFrame, findings: Findings) -> None:
    for entity in ("space", "description"):
        found = sorted({str(label) for label in table[entity] if label is not None})
        if len(found) > 1:
            text = f"recordings with several labels of {entity}: {', '.join(found)}; "
            findings.warning(text + "choose one with `select`", where=str(findings.root))
