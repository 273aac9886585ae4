"""The last step of an artifact: its draft takes its place, and a kill can't leave half of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

TEMPORARY = (".tmp", ".partial")
"""Endings of files that aren't whole yet: ours, and those of zarr's stores."""


def sync(folder: Path, *, since_ns: int = 0) -> None:
    """Flush a folder's files to the disk, so that what is said of them can't outrun them.

    Parameters
    ----------
    folder
        The folder.
    since_ns
        Only files that were written after this time, ns since the epoch.
    """
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_mtime_ns >= since_ns:
            with path.open("rb") as file:
                os.fsync(file.fileno())


def put_in_place(draft: Path, path: Path, *, own: Sequence[str]) -> None:
    """Replace an artifact by its draft, keeping what a user put beside the old one's parts.

    The old folder is set aside whole, so that no half-deleted one ever has the artifact's name,
    and is deleted only when the user's files have moved. A kill leaves the old artifact, none,
    or the new one; the next commit clears up.

    Parameters
    ----------
    draft
        The finished folder.
    path
        Where it goes.
    own
        Files of the store itself; the first of them names the parts.
    """
    aside, trash = _beside(path, "old"), _beside(path, "trash")
    if path.exists():
        _clear(aside, path, own, trash=trash)
        path.rename(aside)
    draft.rename(path)
    _clear(aside, path, own, trash=trash)


def clear_up(path: Path, *, own: Sequence[str]) -> None:
    """Delete what killed processes left beside an artifact that is whole; keep a user's files.

    Parameters
    ----------
    path
        The artifact; nobody else may be making it.
    own
        Files of the store itself, as for :func:`put_in_place`.
    """
    _clear(_beside(path, "old"), path, own, trash=_beside(path, "trash"))
    shutil.rmtree(_beside(path, "partial"), ignore_errors=True)
    remove_temporaries(path.glob(".*.tmp"))


def remove_temporaries(files: Iterable[Path]) -> None:
    """Delete files that were being written when their process was killed."""
    for file in files:
        if file.suffix in TEMPORARY:
            file.unlink(missing_ok=True)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f".{path.name}.{ending}")


def _clear(aside: Path, path: Path, own: Sequence[str], *, trash: Path) -> None:
    """Delete a folder that was set aside, by this commit or by one that was killed."""
    shutil.rmtree(trash, ignore_errors=True)
    if aside.exists():
        _keep_foreign_files(aside, path, own)
        aside.rename(trash)  # what is deleted only in part must not be taken for the user's
        shutil.rmtree(trash, ignore_errors=True)


def _keep_foreign_files(old: Path, new: Path, own: Sequence[str]) -> None:
    try:
        parts = json.loads((old / own[0]).read_text(encoding="utf-8"))["parts"]
    except (OSError, ValueError):  # not an artifact: all of it is the user's
        parts = {}
    for path in old.iterdir():
        if path.name not in {*parts, *own} and not (new / path.name).exists():
            path.rename(new / path.name)
