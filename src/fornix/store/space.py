"""Disks that are full, and folders in which nothing can be written, in words for the user."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from fornix.errors import FornixError

PARTIAL = ".partial"
"""Ending of the folder of an artifact in the making."""

FULL = (errno.ENOSPC, errno.EDQUOT)
CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
WORDS = ("no space left on device", "os error 28", "disk quota exceeded", "os error 122")
"""What libraries that hide the system's number say of a full disk."""


def told(error: BaseException, folder: Path) -> FornixError | None:
    """Return what is wrong with the disk, if that is what an error came from; None: it isn't.

    Parameters
    ----------
    error
        What was raised. Libraries raise errors of their own for the system's: those that it came
        from count as well.
    folder
        What was being written, or the folder it was to be in.
    """
    for one in _chain(error):
        number = one.errno if isinstance(one, OSError) else None
        reason = one.strerror if isinstance(one, OSError) else None
        if number in FULL or any(word in str(one).lower() for word in WORDS):
            problem = f"the disk is full: {_megabytes(_free(folder))} are free"
            if folder.suffix == PARTIAL and (held := _held(folder)):
                problem += f", and {_megabytes(held)} of this had been written"
            mend = "make room (`fornix gc` removes what nobody needs), and run again"
            return FornixError(problem, where=_place(one, folder), mend=mend)
        if number in CLOSED and _inside(one, folder):
            problem = f"nothing can be written here: {reason}"
            mend = (
                "let this user write there (for a cache that a group shares: `chmod -R g+rwX`, and "
                "`umask 002` before each run), or run where `cache/` is a folder of your own"
            )
            return FornixError(problem, where=_place(one, folder), mend=mend)
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _place(error: BaseException, folder: Path) -> str:
    """Return the folder of an artifact in the making, or of the file that an error names."""
    name = getattr(error, "filename", None)
    named = folder.suffix != PARTIAL and isinstance(name, str | Path)
    return str(Path(str(name)).parent.absolute() if named else folder.absolute())


def _inside(error: BaseException, folder: Path) -> bool:
    """Tell whether an error is about a file in a folder, or one of the folders above it."""
    name = getattr(error, "filename", None)
    if not isinstance(name, str | Path):
        return False
    path, folder = Path(name).absolute(), folder.absolute()
    return path.is_relative_to(folder) or folder.is_relative_to(path)


def _free(folder: Path) -> int:
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    return shutil.disk_usage(there).free


def _held(folder: Path) -> int:
    return sum(one.stat().st_blocks * 512 for one in folder.rglob("*") if one.is_file())


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.3g} MB"
