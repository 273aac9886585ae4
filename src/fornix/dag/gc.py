"""Remove artifacts that no study and no result needs.

What goes is shown first. It is set aside by renaming, one folder at a time and only while nobody
makes it, and deleted afterwards: a kill leaves a hidden folder that the next call deletes, never
half an artifact under its name. A run that is going on keeps all that its study needs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from fornix.dag.costs import bytes_of, size
from fornix.dag.graph import FOLDERS, STAGES
from fornix.dag.needed import needed, needed_by
from fornix.errors import FornixError
from fornix.store.artifact import MANIFEST, TWIN
from fornix.store.locks import NoLocksError, open_lock, take

TRASH = ".trash"
DRAFTS = (".partial", ".download")
"""What work that was killed leaves beside the place of its artifact."""
TEMPORARY = "unfinished files"
MAX_SHOWN = 40


@dataclass(frozen=True)
class Item:
    """A folder of the cache that nobody needs.

    Attributes
    ----------
    path
        The folder.
    kind
        Its folder in the cache, such as ``fits``; or what else it is.
    artifacts
        How many artifacts it holds: those of all subjects lie in one folder.
    size
        Bytes of all files.
    """

    path: Path
    kind: str
    artifacts: int
    size: int


@dataclass
class Garbage:
    """What could be removed, and what is kept although no study needs it.

    Attributes
    ----------
    items
        What could be removed.
    kept
        What is kept, and why.
    unfinished
        Runs that were begun and never finished: what they need is needed.
    n_needed
        How many folders are needed.
    """

    items: list[Item] = field(default_factory=list)
    kept: list[tuple[Path, str]] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    n_needed: int = 0


def find(
    cache: Path, studies: Sequence[Path], results: Path, busy: Sequence[str] | None = None
) -> Garbage:
    """Return what no study and no result needs; nothing is changed.

    Parameters
    ----------
    cache
        The folder of the artifacts.
    studies
        Study files, all variants of which count.
    results
        The folder of all results.
    busy
        Names of the results that workflows are working on; None: looks for their locks.

    Raises
    ------
    FornixError
        If there is no cache, no study and no result, or one that can't be read.
    """
    if not cache.is_dir():
        problem = "there is no cache here"
        raise FornixError(problem, where=str(cache), mend="cd to the project's root")
    wanted = {path: set(titles) for path, titles in needed(studies, results, cache).items()}
    if not wanted:
        problem = "no study and no result is known here, so that everything would go"
        mend = "cd to the project's root, or name study files with --keep"
        raise FornixError(problem, where=str(cache.absolute().parent), mend=mend)
    busy = running(cache) if busy is None else busy
    found = Garbage()
    for lock in sorted((cache / "studies").glob(".*.lock")):
        label = lock.name[1 : -len(".lock")]
        files = _resolved(cache, label)
        if label not in busy:  # perhaps begun, and never finished: as it was last begun
            files = [] if (results / label / "study.yaml").exists() else files[-1:]
        mine = needed_by(files, label, cache)
        if label not in busy and files:
            if any(path.parent.name == "reports" and (path / TWIN).exists() for path in mine):
                continue  # finished; its results have been removed since
            found.unfinished.append(label)
        for path, titles in mine.items():
            wanted.setdefault(path, set()).update(titles)
    found.items += _unfinished(cache, busy)
    for kind in dict.fromkeys(FOLDERS[stage] for stage in STAGES):
        if (cache / kind).is_dir():
            for path in sorted((cache / kind).iterdir()):
                _sort(path, kind, wanted, found)
    return found


def _unfinished(cache: Path, busy: Sequence[str]) -> Iterator[Item]:
    """Yield imports, and files of the cache's own, whose writing was killed."""
    for path in sorted(cache.glob(".import-*")):
        label = path.name.removeprefix(".import-").partition(".")[0]
        if path.is_dir() and label not in busy:
            yield Item(path, "imports", 0, bytes_of(path))
    if not busy:  # a run may be writing one now
        for path in sorted(cache.glob("*/.*.tmp")):
            yield Item(path, TEMPORARY, 0, path.stat().st_size)


def _resolved(cache: Path, label: str) -> list[Path]:
    """Return the studies that were run under a name, as they were resolved, the newest last."""
    files = (cache / "studies").glob(f"{label}-*.yaml")
    mine = [file for file in files if file.stem.rpartition("-")[0] == label]
    return sorted(mine, key=lambda file: file.stat().st_mtime_ns)


def _sort(path: Path, kind: str, wanted: dict[Path, set[str]], found: Garbage) -> None:
    """Put one entry of the cache where it belongs."""
    hidden = path.name.startswith(".")
    name = path.stem[1:] if hidden else path.name  # .NAME.partial, .NAME.old, .NAME.trash
    if not path.is_dir() or path.is_symlink():
        return
    if path.with_name(name) in wanted and path.suffix != TRASH:
        found.n_needed += not hidden
        return
    if path.suffix not in (TRASH, *DRAFTS) and (own := _foreign(path)):
        found.kept.append((path, f"holds what Fornix didn't put there: {', '.join(own[:3])}"))
    elif _held(path):
        found.kept.append((path, "is being made"))
    else:
        found.items.append(Item(path, kind, _count(path), bytes_of(path)))


def running(cache: Path) -> list[str]:
    """Return the names of results that a workflow is working on here."""
    with ExitStack() as stack:
        return _busy(cache, stack)


def _busy(cache: Path, stack: ExitStack) -> list[str]:
    """Hold the locks of all results until the stack is left; return the names of those held."""
    locks = sorted((cache / "studies").glob(".*.lock"))
    return [path.name[1 : -len(".lock")] for path in locks if not _take(path, stack)]


def remove(
    garbage: Garbage, cache: Path, studies: Sequence[Path], results: Path
) -> tuple[list[Item], list[Path]]:
    """Remove what was found, but for what somebody has come to need or make since.

    Parameters
    ----------
    garbage
        From :func:`find`, with the same ``cache``, ``studies`` and ``results``.

    Returns
    -------
    removed, left
        What has gone, and the folders that were left.
    """
    removed, left, aside = [], [], []
    with ExitStack() as stack:
        # From here on no workflow begins. Those that began since the first look are seen now.
        busy = _busy(cache, stack)
        still = {item.path for item in find(cache, studies, results, busy).items}
        for item in garbage.items:
            with ExitStack() as own:
                locks = _locks(item.path)
                if item.path not in still or not all(_take(lock, own) for lock in locks):
                    left.append(item.path)
                    continue
                if item.kind == TEMPORARY:
                    item.path.unlink(missing_ok=True)
                else:
                    aside.append(_set_aside(item.path))
                removed.append(item)
    for trash in aside:
        shutil.rmtree(trash, ignore_errors=True)
    return removed, left


def _set_aside(path: Path) -> Path:
    """Rename a folder, so that it is gone at once and whole; return its new name."""
    if path.suffix == TRASH:
        return path
    trash = path.with_name(f".{path.name.lstrip('.')}{TRASH}")
    shutil.rmtree(trash, ignore_errors=True)
    return path.rename(trash)


def lines(garbage: Garbage) -> Iterator[str]:
    """Yield what would go, by stage, and what is kept and why."""
    shown = garbage.items[:MAX_SHOWN]
    width = max((len(str(item.path)) for item in shown), default=0)
    for item in shown:
        yield f"{item.path!s:<{width}}  {size(item.size):>7}"
    if len(garbage.items) > len(shown):
        yield f"... and {len(garbage.items) - len(shown)} folders more"
    if garbage.items:
        yield ""
    kinds = dict.fromkeys(item.kind for item in garbage.items)
    for kind in kinds:
        yield _sum(kind, [item for item in garbage.items if item.kind == kind])
    yield _sum("nobody needs", garbage.items)
    yield f"needed: {garbage.n_needed} folders"
    for label in garbage.unfinished:
        yield f"kept: what {label} needs, which never finished (to forget it, remove its"
        yield f"      files cache/studies/{label}-*.yaml)"
    for path, why in garbage.kept:
        yield f"kept: {path} {why}"


def _sum(title: str, items: Sequence[Item]) -> str:
    count = sum(item.artifacts for item in items)
    noun = "artifact" if count == 1 else "artifacts"
    return f"{title}: {count} {noun}, {size(sum(item.size for item in items))}"


def _artifacts(folder: Path) -> Iterator[Path]:
    """Yield the artifacts in a folder: itself, or those of the subjects in it."""
    if _parts(folder) is not None:
        yield folder
    for path in sorted(folder.glob("sub-*")):
        if path.is_dir() and not path.is_symlink():
            yield path


def _count(folder: Path) -> int:
    return len(list(_artifacts(folder)))


def _parts(folder: Path) -> set[str] | None:
    """Return the names of an artifact's parts; None: there is no artifact."""
    for name in (TWIN, MANIFEST):
        try:
            found = json.loads((folder / name).read_text(encoding="utf-8"))
            return set(found["parts"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _foreign(folder: Path) -> list[str]:
    """Return what lies in a folder and isn't Fornix's; of a folder without artifacts, all."""
    parts = _parts(folder)
    own = {TWIN, MANIFEST, *(parts or ())}
    found = []
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".sub-") and path.suffix in (".lock", TRASH, *DRAFTS)
        if path.name in own or hidden:
            continue
        is_subject = path.name.startswith("sub-") and path.is_dir() and not path.is_symlink()
        if parts is None and is_subject and _parts(path) is not None:
            found += [f"{path.name}/{one}" for one in _foreign(path)]
        else:
            found.append(path.name)
    return found


def _locks(path: Path) -> list[Path]:
    """Return the locks that whoever makes something in a folder holds."""
    name = path.stem.lstrip(".") if path.name.startswith(".") else path.name
    beside = path.with_name(f".{name}.lock")
    return [one for one in (beside, *sorted(path.glob(".*.lock"))) if one.exists()]


def _held(path: Path) -> bool:
    return any(_is_held(lock) for lock in _locks(path))


def _is_held(lock: Path) -> bool:
    with ExitStack() as stack:
        return not _take(lock, stack)


def _take(lock: Path, stack: ExitStack) -> bool:
    """Take a lock until the stack is left; return False if another process has it.

    Raises
    ------
    FornixError
        On a file system without locks: nobody knows there what is being made.
    """
    try:
        return take(stack.enter_context(open_lock(lock)))
    except NoLocksError as error:
        problem = f"this file system has no locks, by which runs are seen: {error.strerror}"
        mend = "stop all runs, and delete the folders that --dry-run names"
        raise FornixError(problem, where=str(lock), mend=mend) from None


def studies_in(folders: Iterable[Path]) -> list[Path]:
    """Return the study files in some folders, or named themselves."""
    found: list[Path] = []
    for folder in folders:
        if folder.is_dir():
            found += sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
        else:
            found.append(folder)
    return found
