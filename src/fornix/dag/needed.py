"""Which folders of the cache some study or result needs: by settings alone, without any data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from fornix.dag.graph import Graph
from fornix.dag.sources import Contents, Sources
from fornix.errors import FornixError
from fornix.study.base import Section, Select
from fornix.study.load import load_study
from fornix.study.study import Study

ANYBODY = "anybody"
"""Stands for the subjects: they share a folder, and who they are is known from the data alone."""


class Anywhere(Sources):
    """Data that may be anywhere: nothing of them is looked at."""

    def listing(self, name: str) -> None:
        """Return no files."""
        del name

    def root(self, name: str) -> Path:
        """Return no folder."""
        del name
        return Path()

    def subjects(self, name: str, suffix: str, select: Select) -> list[str]:
        """Return a stand-in for all subjects."""
        del name, suffix, select
        return [ANYBODY]

    def weights(self, section: Section, where: str) -> Contents:
        """Return nothing."""
        del section, where
        return ()


class Folders(Graph):
    """The jobs of a study whose data may be anywhere: only their folders count.

    A folder's name has the digest of settings, never of contents. So a disk that isn't mounted
    makes no artifact look as if nobody needed it.
    """

    def __init__(self, study: Study, label: str, cache: Path) -> None:
        super().__init__(study, label, cache)
        self.sources = Anywhere(study, cache)

    def folders(self) -> Iterator[Path]:
        """Yield the folder of every job, that of all subjects together."""
        for job in self.jobs.values():
            yield job.folder.parent if job.subject else job.folder


def needed(files: Iterable[Path], results: Path, cache: Path) -> dict[Path, set[str]]:
    """Return folder of the cache -> the studies and results that need it.

    Parameters
    ----------
    files
        Study files; each counts with all of its variants.
    results
        The folder of all results; each counts as the study that it was made by.
    cache
        The folder of the artifacts.

    Raises
    ------
    FornixError
        If one of them can't be read: then nobody knows what it needs.
    """
    found: dict[Path, set[str]] = {}
    for file in files:
        for variant in (None, *_variants(file)):
            label = f"{file.stem}-{variant}" if variant else file.stem
            _add(found, file, variant, label, cache)
    for file in sorted(results.glob("*/study.yaml")):
        _add(found, file, None, str(file.parent), cache, label=file.parent.name)
    return found


def needed_by(files: Iterable[Path], label: str, cache: Path) -> dict[Path, set[str]]:
    """Return folder -> who needs it, of studies as they were resolved for a run."""
    found: dict[Path, set[str]] = {}
    for file in files:
        _add(found, file, None, f"the run of {label}", cache, label=label)
    return found


def _add(
    found: dict[Path, set[str]],
    file: Path,
    variant: str | None,
    title: str,
    cache: Path,
    *,
    label: str = "",
) -> None:
    try:
        study = load_study(file, variant)
    except FornixError as error:
        problem = f"what {title} needs isn't known: {error.problem}"
        mend = "mend it, or move it away"
        raise FornixError(problem, where=error.where or str(file), mend=mend) from None
    own = label or (f"{study.name}-{variant}" if variant else study.name)
    for folder in Folders(study, own, cache).folders():
        found.setdefault(folder, set()).add(title)


def _variants(file: Path) -> list[str]:
    try:
        raw: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):  # load_study says what is wrong
        return []
    variants = raw.get("variants") if isinstance(raw, Mapping) else None
    return [str(name) for name in variants] if isinstance(variants, Mapping) else []
