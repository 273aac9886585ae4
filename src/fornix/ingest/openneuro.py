"""Fetch subjects of an OpenNeuro dataset, by openneuro-py."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from fornix.errors import FornixError, did_you_mean
from fornix.ingest.layout import DESCRIPTION
from fornix.study.datasets import OpenNeuroDataset

DATASET_FILES = "/*.*"
"""Files of the root folder: description, participants, inherited sidecars and events."""


def fetch(section: OpenNeuroDataset, folder: Path) -> None:
    """Download a dataset's root files, its stimuli and some subjects; resume if begun before.

    Parameters
    ----------
    section
        Accession, snapshot, subjects and further files.
    folder
        Becomes the BIDS root. Files that are there and whole aren't fetched again.

    Raises
    ------
    FornixError
        If openneuro-py isn't installed, the server can't be reached, or it has no such dataset,
        snapshot, subject or file.
    """
    subjects = [f"/sub-{label}/**" for label in section.subjects]
    wanted = [DATASET_FILES, *subjects, *section.include]
    stimuli = f"/{section.stimuli.folder.strip('/')}/**"
    try:
        _download(section, folder, [*wanted, stimuli])
    except _NotThereError as error:
        if error.pattern != stimuli:
            raise _unknown(section, error.pattern) from None
        try:  # many datasets have no stimuli
            _download(section, folder, wanted)
        except _NotThereError as again:
            raise _unknown(section, again.pattern) from None
    _check(section, folder)


class _NotThereError(Exception):
    """The dataset has no file that matches a pattern."""

    def __init__(self, pattern: str) -> None:
        super().__init__(pattern)
        self.pattern = pattern


def _download(section: OpenNeuroDataset, folder: Path, include: Sequence[str]) -> None:
    try:
        import openneuro
    except ImportError:
        problem = "openneuro-py, which fetches from OpenNeuro, isn't installed"
        mend = 'pip install "fornix[openneuro]"'
        raise FornixError(problem, where=section.accession, mend=mend) from None
    try:
        openneuro.download(
            dataset=section.accession,
            tag=section.tag,
            target_dir=folder,
            include=list(include),
            verify_hash="auto",  # large files too, by the checksums of a mirror
        )
    except Exception as error:  # its HTTP library's errors share no base with its own
        match = re.search(r"Could not find path in the dataset:\s*-\s*(\S+)", str(error))
        if match:
            raise _NotThereError(match.group(1)) from None
        text = str(error).strip() or type(error).__name__
        problem = f"snapshot {section.tag} can't be fetched: {text}"
        mend = "check the network, the accession and the tag; what has arrived is kept, so run "
        mend += "again to go on, or download the dataset by other means and use source: local"
        raise FornixError(problem, where=section.accession, mend=mend) from error


def _unknown(section: OpenNeuroDataset, pattern: str) -> FornixError:
    subject = pattern.removeprefix("/sub-").removesuffix("/**")
    is_subject = subject in section.subjects
    problem = f"snapshot {section.tag} has no file that matches {pattern!r}"
    if is_subject:
        problem = f"snapshot {section.tag} has no subject {subject!r}"
    field = "subjects" if is_subject else "include"
    mend = f"see https://openneuro.org/datasets/{section.accession}/versions/{section.tag}"
    return FornixError(problem, where=f"{section.accession}: {field}", mend=mend)


def _check(section: OpenNeuroDataset, folder: Path) -> None:
    """Check that what was asked for has arrived."""
    missing = [label for label in section.subjects if not (folder / f"sub-{label}").is_dir()]
    if missing:
        there = [path.name.removeprefix("sub-") for path in folder.glob("sub-*")]
        problem = f"nothing has arrived for subject {', '.join(missing)}"
        mend = did_you_mean(missing[0], there)
        raise FornixError(problem, where=f"{section.accession}: subjects", mend=mend)
    if not (folder / DESCRIPTION).is_file():
        problem = f"the download has no {DESCRIPTION}"
        raise FornixError(problem, where=section.accession, mend="run again, or choose another tag")
