"""The files of a BIDS root by pybids: recordings with their entities and inherited metadata."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fornix.errors import FornixError, did_you_mean
from fornix.ingest.listing import EMPTY
from fornix.ingest.listing import entities as named
from fornix.ingest.select import ENTITIES

if TYPE_CHECKING:
    from bids import BIDSLayout

DESCRIPTION = "dataset_description.json"
EXTENSIONS = {
    "bold": (".nii", ".nii.gz"),
    "eeg": (".vhdr", ".edf", ".bdf", ".set"),
    "meg": (".fif",),
    "timeseries": (".tsv",),
}
"""Suffix -> extensions of the files that are recordings."""

CONFOUNDS = "confounds"
"""Description of the time series that are no recordings."""

PYBIDS = {"description": "desc"}
"""Entities that pybids names otherwise."""

IGNORED = ("code", "derivatives", "models", "sourcedata", "stimuli", "logs")


@dataclass(frozen=True)
class BidsFile:
    """A recording's file.

    Attributes
    ----------
    path
        Relative to the root, posix.
    entities
        Every BIDS entity by pybids' long name, as labels of the file name; with ``suffix``,
        ``extension`` and ``datatype``.
    metadata
        What the JSON sidecars say, nearest first (BIDS' inheritance principle).
    """

    path: str
    entities: dict[str, str]
    metadata: dict[str, Any]


def check_root(root: Path) -> None:
    """Raise FornixError if there is no folder, or nothing in it."""
    if not root.is_dir():
        problem = "the dataset's folder doesn't exist"
        mend = "mend `path` in the study, or set the variable it uses (FORNIX_REAL_DATA)"
        raise FornixError(problem, where=str(root), mend=mend)
    if not any(not path.name.startswith(".") for path in root.iterdir()):
        mend = "download the dataset again, or mend `path` in the study"
        problem = "the dataset's folder is empty"
        raise FornixError(problem, where=str(root), mend=mend)


def read_description(root: Path) -> dict[str, Any]:
    """Return ``dataset_description.json``.

    Raises
    ------
    FornixError
        If it isn't there or isn't a JSON object.
    """
    path = root / DESCRIPTION
    if not path.is_file():
        problem = f"not a BIDS dataset: the folder has no {DESCRIPTION}"
        mend = 'give the folder that holds it, or write {"Name": "...", "BIDSVersion": "1.9.0"}'
        raise FornixError(problem, where=str(root), mend=mend)
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        problem = f"not valid JSON: {error}"
        raise FornixError(problem, where=str(path), mend="mend the file") from None
    if not isinstance(found, dict):
        problem = f"a JSON object is expected here, not {type(found).__name__}"
        raise FornixError(problem, where=str(path), mend='write {"Name": ..., "BIDSVersion": ...}')
    return found


def find_recordings(root: Path, subjects: Sequence[str] | None) -> list[BidsFile]:
    """Return the recordings of a BIDS root, raw or derivative, sorted by path.

    Parameters
    ----------
    root
        The root; what lies in its ``derivatives``, ``sourcedata`` or ``code`` is no recording.
    subjects
        Labels without ``sub-``; other subjects' folders aren't entered.

    Raises
    ------
    FornixError
        If there is none: says what there is. If a sidecar isn't valid JSON.
    """
    # Half a second, which jobs that read a finished index needn't wait.
    from bids import BIDSLayout, BIDSLayoutIndexer

    ignore: list[str | re.Pattern[str]] = list(IGNORED)
    if subjects is not None:
        kept = "|".join(re.escape(label) for label in subjects)
        ignore.append(re.compile(rf"^/?sub-(?!(?:{kept})(?:/|_|$))"))
    # Metadata of recordings only: a sidecar that nothing here reads can't stop a study.
    extensions = [extension for group in EXTENSIONS.values() for extension in group]
    indexer = BIDSLayoutIndexer(
        validate=False, ignore=ignore, suffix=list(EXTENSIONS), extension=extensions
    )
    try:
        layout = BIDSLayout(
            root,
            validate=False,
            derivatives=False,
            indexer=indexer,
            config=["bids", "derivatives"],
        )
    except (OSError, ValueError) as error:
        raise _unreadable(root, error) from None
    found = []
    for suffix, allowed in EXTENSIONS.items():
        for file in layout.get(suffix=suffix, extension=list(allowed)):
            entities = {name: str(value) for name, value in file.get_entities().items()}
            path = Path(file.path).relative_to(layout.root).as_posix()
            by_product = entities.get(PYBIDS["description"]) == CONFOUNDS
            # A FIF file beyond 2 GB goes on in others, which belong to the first.
            split = named(Path(path).name).get("split", "")
            by_product |= suffix == "meg" and split.isdigit() and int(split) > 1
            if entities.get("subject", EMPTY) != EMPTY and not by_product:
                found.append(BidsFile(path, entities, dict(file.get_metadata())))
    if not found:
        _reject_unknown(root, subjects)
        raise _no_recordings(root, layout)
    return sorted(found, key=lambda file: file.path)


def labels(file: BidsFile) -> dict[str, str | None]:
    """Return the entities that are columns of the recordings table."""
    return {name: file.entities.get(PYBIDS.get(name, name)) for name in ENTITIES}


def _reject_unknown(root: Path, subjects: Sequence[str] | None) -> None:
    """Raise if the subjects that are asked for have no folder, and others have."""
    there = sorted(path.name.removeprefix("sub-") for path in root.glob("sub-*") if path.is_dir())
    if subjects is None or not there or set(subjects) & set(there):
        return
    problem = f"no recording has subject {', '.join(subjects)}; there are: {', '.join(there[:20])}"
    mend = did_you_mean(subjects[0], there)
    raise FornixError(problem, where=f"{root}: select.subject", mend=mend)


def _unreadable(root: Path, error: Exception) -> FornixError:
    match = re.search(r"from file (.+)$", str(error))
    problem = "a sidecar isn't valid JSON" if match else f"pybids can't read the dataset: {error}"
    where = re.sub(r"^<.*?'(.*)'>$", r"\1", match.group(1)) if match else str(root)
    return FornixError(problem, where=where, mend="mend the file")


def _no_recordings(root: Path, layout: BIDSLayout) -> FornixError:
    others = Counter(
        f"*_{entities['suffix']}{entities['extension']}"
        for file in layout.get(scope="all")
        if {"subject", "suffix", "extension"} <= set(entities := file.get_entities())
        and entities["extension"] != ".json"
    )
    named = ", ".join(f"{count} x {name}" for name, count in others.most_common(6))
    problem = "the dataset has no recording that Fornix reads"
    problem += f"; it has: {named}" if named else "; there is no sub-*/ folder with data in it"
    kinds = "; ".join(f"*_{suffix} ({', '.join(exts)})" for suffix, exts in EXTENSIONS.items())
    mend = f"Fornix reads {kinds}: give a dataset (or a derivative's own folder) that has them"
    return FornixError(problem, where=str(root), mend=mend)
