"""A folder of stimuli that nobody was shown: what networks are trained on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from fornix.errors import FornixError
from fornix.ingest.findings import Findings
from fornix.ingest.stimuli import MODALITIES, describe, read_properties, stimulus_table
from fornix.progress import track
from fornix.study.datasets import StimulusSource


def has_stimuli_alone(root: Path, source: StimulusSource) -> bool:
    """Return whether a root has a folder of stimuli, and no subject."""
    return (root / source.folder).is_dir() and not any(root.glob("sub-*/"))


def index_pictures(
    source: StimulusSource, root: Path, findings: Findings, *, digests: bool
) -> pd.DataFrame:
    """Return the stimulus table of a folder: its rows, or all files in it where there is none.

    Parameters
    ----------
    source
        Where the folder and the table are.
    root
        The dataset's folder.
    findings
        Gets missing and unreadable files.
    digests
        Digest the contents.

    Raises
    ------
    FornixError
        If stimuli aren't files, or there are none.
    """
    if source.modality not in ("auto", "file"):
        problem = f"without recordings nothing names stimuli of modality {source.modality}"
        mend = "leave stimuli.modality out: the stimulus folder's files are the stimuli"
        raise FornixError(problem, where=f"{root}: stimuli.modality", mend=mend)
    properties = read_properties(source, root)
    folder = root / source.folder
    known = {ext for group in MODALITIES.values() for ext in group}
    names = list(properties.rows) or sorted(
        one.relative_to(folder).as_posix()
        for one in folder.rglob("*")
        if one.suffix.lower() in known and not one.name.startswith(".")
    )
    if not names:
        problem = "the dataset has neither recordings nor stimuli"
        mend = "put stimuli there, or give a dataset that has sub-*/ folders"
        raise FornixError(problem, where=str(folder), mend=mend)
    rows = {}
    for name in track(sorted(names), "stimuli"):
        with findings.collect():
            row = describe(name, "file", source, root, where=str(folder), digests=digests)
            rows[row["stimulus"]] = row
    return stimulus_table([rows[key] for key in sorted(rows)], properties)
