"""Dissimilarity matrices measured elsewhere, as they are."""

from __future__ import annotations

import zipfile
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from fornix.errors import FornixError
from fornix.preprocess.material import Journal, Material, name_of
from fornix.study.compute import Compute
from fornix.study.responses import RdmResponses

SUFFIX = "rdm"
COMPANIONS: frozenset[str] = frozenset()
TOLERANCE = 1e-4
"""Largest asymmetry, and largest diagonal, relative to the largest dissimilarity."""


def prepare(
    section: RdmResponses, material: Material, resources: Compute
) -> tuple[xr.Dataset, dict[str, Any]]:
    """Return one subject's matrices.

    Parameters
    ----------
    section, resources
        Unused: there is nothing to choose.
    material
        The subject's row of the recordings' table, and the stimuli in the order of the rows.

    Returns
    -------
    dataset
        ``rdm`` (session, stimulus, stimulus_2) float32; pairs without a value stay NaN.
    notes
        Counts for the provenance record.

    Raises
    ------
    FornixError
        If the archive isn't what a section of ``source: rdms`` describes.
    """
    del section, resources
    journal = Journal()
    path = name_of(material.recordings.iloc[0])
    rdm = _of_subject(_read(material, path), material, path)
    stimuli = material.stimuli["stimulus"].astype(str).to_numpy(dtype=np.str_)
    if rdm.shape[1:] != (len(stimuli), len(stimuli)):
        problem = f"the matrices are {rdm.shape[1]} x {rdm.shape[2]} for {len(stimuli)} stimuli"
        mend = "give the stimulus table one row for each row of the matrices, in the same order"
        raise FornixError(problem, where=path, mend=mend)
    _check(rdm, path)
    gaps = np.asarray(np.isnan(rdm).any(axis=0))
    missing = int(gaps[np.triu_indices(len(stimuli), 1)].sum())
    journal.exclude(path, "pair", missing, "not measured in some session")
    journal.step("taken as they are")
    sessions = np.array([f"{i + 1:02d}" for i in range(len(rdm))], dtype=np.str_)
    dataset = xr.Dataset(
        {"rdm": (("session", "stimulus", "stimulus_2"), rdm, {"units": "dissimilarity"})},
        coords={"session": sessions, "stimulus": stimuli, "stimulus_2": stimuli},
        attrs={
            "subject": material.subject,
            "kind": "rdms",
            "units": "dissimilarity",
            **journal.attrs(),
        },
    )
    return dataset, {"n_sessions": len(rdm), "n_stimuli": len(stimuli)} | journal.notes()


def _read(material: Material, path: str) -> npt.NDArray[np.float32]:
    mend = "save it with numpy.savez(file, rdm=array), of numbers only"
    try:
        with np.load(material.root / path, allow_pickle=False) as archive:
            if "rdm" not in archive:
                problem = f"the archive has no array 'rdm'; it has {sorted(archive)}"
                raise FornixError(problem, where=path, mend=mend)
            rdm = np.asarray(archive["rdm"], dtype=np.float32)
    except (OSError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        problem = f"the archive can't be read: {error}"
        raise FornixError(problem, where=path, mend=mend) from None
    if rdm.ndim == 3:
        rdm = rdm[:, None]
    if rdm.ndim != 4 or rdm.shape[2] != rdm.shape[3]:
        problem = f"'rdm' has the shape {rdm.shape}"
        mend = "make it (subject, session, stimulus, stimulus) or (subject, stimulus, stimulus)"
        raise FornixError(problem, where=path, mend=mend)
    return rdm


def _of_subject(
    rdms: npt.NDArray[np.float32], material: Material, path: str
) -> npt.NDArray[np.float32]:
    """Subjects are called 01, 02, ... in the order of the array's rows."""
    row = int(material.subject) - 1 if material.subject.isdigit() else -1
    if not 0 <= row < len(rdms):
        problem = f"there is no subject {material.subject}: the archive has {len(rdms)}"
        raise FornixError(problem, where=path, mend=f"choose from 01 to {len(rdms):02d}")
    return np.asarray(rdms[row])


def _check(rdm: npt.NDArray[np.float32], path: str) -> None:
    top = float(np.nanmax(np.abs(rdm), initial=0.0))
    limit = TOLERANCE * top
    skew = float(np.nanmax(np.abs(rdm - rdm.swapaxes(1, 2)), initial=0.0))
    diagonal = float(np.nanmax(np.abs(np.diagonal(rdm, axis1=1, axis2=2)), initial=0.0))
    if not np.isfinite(top) or top == 0 or skew > limit or diagonal > limit:
        problem = "the matrices aren't dissimilarities: they must be finite, symmetric and "
        problem += f"0 on the diagonal (asymmetry {skew:.3g}, diagonal {diagonal:.3g})"
        mend = "save dissimilarities (1 - correlation, distance), not similarities"
        raise FornixError(problem, where=path, mend=mend)
