"""What lies in a dataset's folder: every file with a digest of its content.

Content is the truth; size, times and inode are the fast path. A file whose stamp is the one in
the cache isn't read again, so parsing a workflow costs one ``stat`` a file; a file that was
touched is read once and found to be the same.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fornix.errors import FornixError
from fornix.progress import track
from fornix.store.digests import combine, file_digest
from fornix.store.draft import write_atomically

SKIPPED = {"sourcedata", "code", "logs"}
LOCK = ".lock"
"""Ending of files that other tools put beside those they read; they come and go."""
EMPTY = "emptyroom"
READERS = 4
TICK_S = 0.1
COARSE_TICK_S = 2.1
"""Longest time in which two changes of a file get one time stamp, s: most file systems tick every
few ms, and those whose stamps are whole seconds every one or two."""

_ENTITY = re.compile(r"([a-zA-Z0-9]+)-([a-zA-Z0-9+]+)")


@dataclass(frozen=True)
class Listing:
    """The files of a folder.

    Attributes
    ----------
    root
        The folder.
    files
        Path relative to the root (posix) -> content digest.
    """

    root: Path
    files: dict[str, str]

    @cached_property
    def digest(self) -> str:
        """Digest of all names and contents."""
        return combine(self.files.items())

    def recordings(self, suffix: str) -> list[dict[str, str]]:
        """Return the BIDS entities of the files with a suffix, such as ``bold``, by their names.

        The key ``subject`` is always there; ``datatype`` folders and formats aren't looked at.
        Confounds are time series too, and no recordings; MEG of an empty room is of nobody.
        """
        found = (entities(Path(name).name) for name in self.files)
        ours = (
            one for one in found if one.get("suffix") == suffix and one.get("sub", EMPTY) != EMPTY
        )
        return [one for one in ours if one.get("desc") != "confounds"]


def entities(name: str) -> dict[str, str]:
    """Return the BIDS entities of a file name, with its suffix and extension.

    Examples
    --------
    >>> entities("sub-01_task-rest_bold.nii.gz")
    {'sub': '01', 'task': 'rest', 'suffix': 'bold', 'extension': '.nii.gz'}
    """
    stem, dot, extension = name.partition(".")
    *pairs, suffix = stem.split("_")
    found = {match[1]: match[2] for pair in pairs if (match := _ENTITY.fullmatch(pair))}
    return {**found, "suffix": suffix, "extension": dot + extension}


def scan(
    root: Path,
    cache: Path | None,
    subjects: Sequence[str] | None = None,
    *,
    only: str | None = None,
) -> Listing:
    """List a dataset's folder.

    Parameters
    ----------
    root
        BIDS root, or any folder.
    cache
        Folder that keeps the digests between calls; None reads every file.
    subjects
        Labels without ``sub-``; the folders of other subjects are left out.
    only
        The one file of the folder to list.

    Raises
    ------
    FornixError
        If the folder isn't there, or a file in it can't be read.
    """
    if not root.is_dir():
        problem = "the dataset's folder doesn't exist"
        mend = "mend `path` in the study, or set the variable it uses (FORNIX_REAL_DATA)"
        raise FornixError(problem, where=str(root), mend=mend)
    notes = cache / f"{combine([('root', str(root.resolve()))])[:12]}.json" if cache else None
    known = _read(notes) if notes else {}
    if only is None:
        stamps = {
            path.relative_to(root).as_posix(): stamp for path, stamp in _walk(root, root, subjects)
        }
    else:
        stamps = {only: _stamp((root / only).stat())}
    fresh = [name for name, stamp in stamps.items() if known.get(name, {}).get("stamp") != stamp]

    def read(name: str) -> str:
        try:
            return file_digest(root / name)
        except OSError as error:
            problem = f"a file of the dataset can't be read: {error.strerror}"
            mend = "fetch its content (`datalad get`), restore it, or remove it"
            raise FornixError(problem, where=str(root / name), mend=mend) from None

    if notes and fresh:
        # What is read below can't change again without another stamp: whatever clock the file
        # system goes by, it has ticked since the stamps were taken.
        coarse = all(stamps[name][2] % 1_000_000_000 == 0 for name in fresh)
        time.sleep(COARSE_TICK_S if coarse else TICK_S)
    with ThreadPoolExecutor(READERS) as pool:
        digests = track(pool.map(read, fresh), f"reading {root.name}: files", len(fresh))
        new: dict[str, dict[str, object]] = {
            name: {"stamp": stamps[name], "digest": digest}
            for name, digest in zip(fresh, digests, strict=True)
        }
    merged = known | new
    if notes and new:
        with suppress(OSError):  # what can't be noted is read again next time
            notes.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(notes, json.dumps(merged, sort_keys=True))
    return Listing(root, {name: str(merged[name]["digest"]) for name in sorted(stamps)})


def _walk(
    folder: Path, root: Path, subjects: Sequence[str] | None
) -> Iterator[tuple[Path, list[int]]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        problem = f"a folder of the dataset can't be read: {error.strerror}"
        raise FornixError(problem, where=str(folder), mend="mend its permissions") from None
    for entry in entries:
        name = entry.name
        if name.startswith(".") or name.endswith(LOCK) or (folder == root and name in SKIPPED):
            continue
        if _is_dir(entry):
            label = name.removeprefix("sub-")
            if subjects is None or label == name or label in subjects:
                _refuse_circle(entry, root)
                yield from _walk(Path(entry.path), root, subjects)
            continue
        try:
            found = entry.stat()
        except OSError:
            problem = "a link of the dataset leads nowhere: its content isn't here"
            mend = "fetch it (`datalad get`), or leave its subject out in `select`"
            raise FornixError(problem, where=entry.path, mend=mend) from None
        yield Path(entry.path), _stamp(found)


def _stamp(found: os.stat_result) -> list[int]:
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _refuse_circle(entry: os.DirEntry[str], root: Path) -> None:
    """Raise if a link leads to a folder that contains it: it would be walked without end."""
    if not entry.is_symlink():
        return
    here, target = Path(entry.path), Path(entry.path).resolve()
    if target in {one.resolve() for one in here.parents if one.is_relative_to(root)}:
        problem = "a link of the dataset leads back to a folder that contains it"
        raise FornixError(problem, where=entry.path, mend="remove the link")


def _read(path: Path) -> dict[str, dict[str, object]]:
    try:
        notes = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    rows = notes.items() if isinstance(notes, dict) else ()
    return {key: note for key, note in rows if isinstance(note, dict) and "digest" in note}
