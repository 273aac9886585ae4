"""Dissimilarity matrices that were measured elsewhere, with the stimuli they compare."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from numpy.lib import format as npy

from fornix.errors import FornixError, did_you_mean
from fornix.ingest.findings import Findings
from fornix.ingest.recordings import recordings_table
from fornix.ingest.stimuli import Properties, describe, read_properties, stimulus_table
from fornix.store.digests import file_digest
from fornix.study.datasets import RdmDataset

ARRAY = "rdm"
TOLERANCE = 1e-5
"""Largest asymmetry, as a share of the largest value: float32 rounding and no more."""


def find_archive(root: Path, pattern: str) -> Path:
    """Return the archive of a folder.

    Raises
    ------
    FornixError
        If no file, or more than one, matches the pattern.
    """
    if not root.is_dir():
        problem = "the dataset's folder doesn't exist"
        mend = "mend `path` in the study, or set the variable it uses (FORNIX_REAL_DATA)"
        raise FornixError(problem, where=str(root), mend=mend)
    found = sorted(path for path in root.glob(pattern) if path.is_file())
    if len(found) == 1:
        return found[0]
    if found:
        problem = f"{len(found)} files match {pattern!r}: {', '.join(p.name for p in found[:5])}"
        raise FornixError(problem, where=str(root), mend="name one of them in `rdms`")
    archives = sorted(path.name for path in root.glob("*.npz"))
    problem = f"no RDM archive: no file matches {pattern!r}"
    mend = "set `rdms` of the dataset; " + (
        did_you_mean(pattern, archives) if archives else "there is no .npz file in the folder"
    )
    raise FornixError(problem, where=str(root), mend=mend)


def rdm_shape(root: Path, pattern: str) -> tuple[int, int, int, int]:
    """Return (subjects, sessions, stimuli, stimuli) from the archive's header alone.

    Raises
    ------
    FornixError
        If there is no such archive, or its array isn't a stack of square matrices.
    """
    path = find_archive(root, pattern)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            if ARRAY not in names:
                problem = f"the archive has no array '{ARRAY}'; it has: {', '.join(names)}"
                raise FornixError(problem, where=str(path), mend=f"save it with {ARRAY}=...")
            with archive.open(f"{ARRAY}.npy") as file:
                version = npy.read_magic(file)
                read = npy.read_array_header_1_0 if version < (2, 0) else npy.read_array_header_2_0
                shape, _, dtype = read(file)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        problem = f"not an .npz archive, or cut short: {error}"
        raise FornixError(problem, where=str(path), mend="fetch or save it again") from None
    if dtype.kind not in "fiu":
        problem = f"the array '{ARRAY}' holds {dtype}, not numbers"
        raise FornixError(problem, where=str(path), mend="save it as float32")
    if len(shape) == 3:
        shape = (shape[0], 1, *shape[1:])
    if len(shape) != 4 or shape[2] != shape[3] or min(shape) < 1 or shape[2] < 3:
        problem = f"the array '{ARRAY}' has shape {'x'.join(map(str, shape))}"
        mend = "give (subject, session, stimulus, stimulus) or (subject, stimulus, stimulus)"
        raise FornixError(problem, where=str(path), mend=mend)
    return shape[0], shape[1], shape[2], shape[3]


def load_rdms(root: Path, pattern: str) -> npt.NDArray[np.float64]:
    """Return the matrices, shape (subject, session, stimulus, stimulus), float64.

    Raises
    ------
    FornixError
        If the archive can't be read, or a matrix isn't symmetric or has missing values.
    """
    path, shape = find_archive(root, pattern), rdm_shape(root, pattern)
    try:
        with np.load(path, allow_pickle=False) as archive:
            rdms: npt.NDArray[np.float64] = archive[ARRAY].astype(np.float64).reshape(shape)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        problem = f"the array '{ARRAY}' can't be read: {error}"
        raise FornixError(problem, where=str(path), mend="fetch or save it again") from None
    for subject in range(shape[0]):
        for session in range(shape[1]):
            where = f"{path}, subject {subject + 1}, session {session + 1}"
            _check_matrix(rdms[subject, session], where)
    return rdms


def _check_matrix(matrix: npt.NDArray[np.float64], where: str) -> None:
    bad = np.argwhere(~np.isfinite(matrix))
    if len(bad):
        i, j = (int(at) + 1 for at in bad[0])
        place = f"diagonal cell {i}" if i == j else f"cell ({i}, {j})"
        problem = f"{place} is {matrix[i - 1, j - 1]} ({len(bad)} such cells)"
        mend = "write 0 on the diagonal, and leave out stimuli or subjects with missing values"
        raise FornixError(problem, where=where, mend=mend)
    gap = np.abs(matrix - matrix.T)
    if gap.max() > TOLERANCE * np.abs(matrix).max():
        i, j = (int(at) for at in np.unravel_index(gap.argmax(), gap.shape))
        problem = f"the matrix isn't symmetric: cell ({i + 1}, {j + 1}) is {matrix[i, j]:g}, "
        problem += f"cell ({j + 1}, {i + 1}) is {matrix[j, i]:g}"
        raise FornixError(problem, where=where, mend="average the two triangles, if that is right")
    off = matrix[~np.eye(len(matrix), dtype=bool)]
    if np.ptp(off) == 0:
        problem = "all pairs of stimuli are equally dissimilar: there is nothing to compare"
        raise FornixError(problem, where=where, mend="leave this subject or session out")


def index_rdms(
    section: RdmDataset, root: Path, findings: Findings, *, digests: bool
) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Index a folder of RDMs.

    Returns
    -------
    dataset
        As in ``dataset.json``.
    recordings
        One row a subject, labelled 01, 02, ...; the archive's own labels (arrays ``subject``
        and ``session``, if it has them) are in ``sidecar``.
    stimuli
        In the order of the table, which is that of the matrices' rows.

    Raises
    ------
    FornixError
        If the archive is wrong, or the table has another number of rows.
    """
    path = find_archive(root, section.rdms)
    rdms = load_rdms(root, section.rdms)
    n_subjects, n_sessions, n_stimuli = rdms.shape[:3]
    if np.abs(np.diagonal(rdms, axis1=2, axis2=3)).max() > TOLERANCE * np.abs(rdms).max():
        findings.warning("the diagonal isn't zero; it is not used", where=path.name)
    properties = read_properties(section.stimuli, root)
    _check_table(properties, n_stimuli, section, root, path)
    digest = file_digest(path) if digests else None
    sidecars = _labels(path, n_subjects)
    rows: list[dict[str, object]] = [
        {
            "recording": path.relative_to(root).as_posix(),
            "subject": f"{i + 1:02d}",
            "suffix": "rdm",
            "extension": ".npz",
            "n_samples": n_stimuli,
            "sampling_frequency": float("nan"),
            "duration": float("nan"),
            "shape": f"{n_sessions}x{n_stimuli}x{n_stimuli}",
            "digest": digest,
            "sidecar": json.dumps(sidecars[i], sort_keys=True),
        }
        for i in range(n_subjects)
    ]
    recordings = recordings_table(rows)
    dataset = {
        "Name": root.name,
        "n_subjects": n_subjects,
        "subjects": [str(row["subject"]) for row in rows],
        "kind": "rdms",
    }
    return dataset, recordings, _stimuli(section, properties, root, findings, digests=digests)


def _check_table(
    properties: Properties, n_stimuli: int, section: RdmDataset, root: Path, archive: Path
) -> None:
    source = section.stimuli
    if properties.path is None:
        problem = f"the folder has no stimulus table {source.table}"
        mend = f"write it, one row a stimulus in the matrices' order, in {root}"
        raise FornixError(problem, where=str(root), mend=mend)
    if len(properties.rows) != n_stimuli:
        problem = f"the table has {len(properties.rows)} stimuli, the matrices of {archive.name} "
        problem += f"have {n_stimuli} rows"
        mend = "write one row a stimulus, in the matrices' order"
        raise FornixError(problem, where=str(properties.path), mend=mend)


def _labels(path: Path, n_subjects: int) -> list[dict[str, Any]]:
    """Return what the archive says of each subject."""
    with np.load(path, allow_pickle=False) as archive:
        known = {
            name: archive[name].astype(str).tolist()
            for name in ("subject", "session")
            if name in archive and archive[name].dtype.kind in "UiufS" and archive[name].ndim == 1
        }
    subjects = known.get("subject", [])
    found: list[dict[str, Any]] = [{} for _ in range(n_subjects)]
    for i, one in enumerate(found):
        if len(subjects) == n_subjects:
            one["subject"] = subjects[i]
        if "session" in known:
            one["sessions"] = known["session"]
    return found


def _stimuli(
    section: RdmDataset, properties: Properties, root: Path, findings: Findings, *, digests: bool
) -> pd.DataFrame:
    source = section.stimuli
    modality = source.modality
    if modality == "auto":
        modality = "file" if "stim_file" in properties.columns else "label"
    rows = []
    for i, name in enumerate(properties.rows):
        with findings.collect():
            where = f"{properties.path}, row {i}"
            rows.append(describe(name, modality, source, root, where=where, digests=digests))
    return stimulus_table(rows, properties)
