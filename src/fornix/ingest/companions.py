"""Companions: masks, label images, confounds and sensor tables that preprocessing may use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from fornix.errors import FornixError
from fornix.ingest.listing import entities
from fornix.ingest.tables import with_none
from fornix.store.digests import file_digest

SUFFIXES = {
    "mask": (".nii", ".nii.gz"),
    "dseg": (".nii", ".nii.gz", ".tsv"),
    "probseg": (".nii", ".nii.gz"),
    "boldref": (".nii", ".nii.gz"),
    "timeseries": (".tsv", ".tsv.gz"),
    "regressors": (".tsv",),
    "motion": (".tsv",),
    "channels": (".tsv",),
    "electrodes": (".tsv",),
    "coordsystem": (".json",),
}
"""Suffix -> extensions. ``regressors`` is what fMRIPrep called confounds before version 20.2."""

KEYS = {
    "subject": "sub", "session": "ses", "task": "task", "run": "run", "acquisition": "acq",
    "space": "space", "description": "desc", "resolution": "res", "hemisphere": "hemi",
    "label": "label", "atlas": "atlas", "segmentation": "seg",
}  # fmt: skip
"""Column -> key in a file name."""

COLUMNS = ["path", "suffix", "extension", *KEYS, "pipeline", "digest"]
SKIPPED = {"code", "derivatives", "logs", "models", "sourcedata", "stimuli"}


def index_companions(root: Path, subjects: Sequence[str], *, digests: bool) -> pd.DataFrame:
    """Return the companions in a BIDS root and in the folders of its ``derivatives``.

    Parameters
    ----------
    root
        BIDS root.
    subjects
        Labels of the subjects in use; files of others are left out, files of none are kept.
    digests
        Digest the contents.

    Returns
    -------
    pandas.DataFrame
        Columns as in ``COLUMNS``, text or None, sorted by path. ``pipeline`` is the folder's
        name in ``derivatives``, None in the root itself.

    Raises
    ------
    FornixError
        If a file can't be read.
    """
    rows = []
    for path in _files(root, subjects):
        found = entities(path.name)
        if found["extension"] not in SUFFIXES.get(found["suffix"], ()):
            continue
        relative = path.relative_to(root)
        row: dict[str, str | None] = {"path": relative.as_posix()}
        row |= {name: found[name] for name in ("suffix", "extension")}
        row |= {column: found.get(key) for column, key in KEYS.items()}
        row["pipeline"] = relative.parts[1] if relative.parts[0] == "derivatives" else None
        row["digest"] = _digest(path) if digests else None
        rows.append(row)
    table = with_none(pd.DataFrame(rows, columns=COLUMNS))
    return table.sort_values("path", ignore_index=True)


def _files(root: Path, subjects: Sequence[str]) -> Iterator[Path]:
    yield from _walk(root, subjects)
    derivatives = root / "derivatives"
    if derivatives.is_dir():
        for folder in sorted(derivatives.iterdir()):
            if folder.is_dir() and not folder.name.startswith("."):
                yield from _walk(folder, subjects)


def _walk(top: Path, subjects: Sequence[str]) -> Iterator[Path]:
    for path in sorted(top.iterdir()):
        subject = path.name.partition("_")[0].removeprefix("sub-").partition(".")[0]
        if path.name.startswith(".") or (path.name.startswith("sub-") and subject not in subjects):
            continue
        if not path.is_dir():
            yield path
        elif path.name not in SKIPPED and path.suffix != ".zarr":
            yield from _walk(path, subjects)


def _digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        problem = f"a file of the dataset can't be read: {error.strerror}"
        mend = "fetch its content (`datalad get`), or remove the file"
        raise FornixError(problem, where=str(path), mend=mend) from None
