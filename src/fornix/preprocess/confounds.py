"""Confounds: nuisance time courses beside a run."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch

import numpy as np
import numpy.typing as npt
import pandas as pd

from fornix.errors import FornixError, did_you_mean
from fornix.preprocess.companions import matching
from fornix.preprocess.material import Journal, Material, name_of

AUTO = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z", "white_matter", "csf")
"""fMRIPrep's names of the six motion parameters and the two tissue signals."""


def confounds_of(
    wanted: Sequence[str] | str,
    recording: pd.Series,
    n_volumes: int,
    material: Material,
    journal: Journal,
    *,
    required: bool = True,
) -> npt.NDArray[np.float64] | None:
    """Return the confounds of a run.

    A missing value (the first row of a derivative) becomes the mean of its column, which is
    neutral once the column is centred. Columns that don't vary are left out.

    Parameters
    ----------
    wanted
        Patterns of column names, or ``auto``.
    recording
        Row of the recordings' table.
    n_volumes
        Volumes of the run.
    material, journal
        The subject's tables; what was done.
    required
        Whether named columns must have a table; else its lack is noted.

    Returns
    -------
    array (volume, confound) or None
        None if there is nothing to regress out.

    Raises
    ------
    FornixError
        If named columns don't exist or the table's length isn't the run's.
    """
    if not wanted:
        return None
    # Before version 20.2, fMRIPrep called the file desc-confounds_regressors.tsv.
    tables = [
        matching(
            material.companions, recording, suffix, extensions=(".tsv",), description="confounds"
        )
        for suffix in ("timeseries", "regressors")
    ]
    found = tables[1] if tables[0].empty else tables[0]
    if found.empty:
        if wanted == "auto" or not required:
            journal.step("confounds: the dataset has no table")
            return None
        problem = f"no confounds table belongs to {name_of(recording)}"
        mend = "add a *_desc-confounds_timeseries.tsv, or set `confounds: []`"
        raise FornixError(problem, where="responses: confounds", mend=mend)
    path = str(found["path"].iloc[0])
    table = pd.read_csv(material.root / path, sep="\t", na_values=["n/a"])
    if len(table) != n_volumes:
        problem = f"the table has {len(table)} rows and its run {n_volumes} volumes"
        mend = "give one row a volume, dummy scans included"
        raise FornixError(problem, where=f"{path} and {name_of(recording)}", mend=mend)
    names = _columns(wanted, list(table.columns), path)
    values = table[names].apply(pd.to_numeric, errors="coerce").astype(np.float64)
    # An infinite value would make every voxel of the run infinite.
    values = values.replace([np.inf, -np.inf], np.nan)
    values = values.fillna(values.mean()).dropna(axis=1)
    values = values.loc[:, values.max() > values.min()]
    if lost := sorted(set(names) - set(values.columns)):
        detail = f"empty or constant: {', '.join(lost)}"
        journal.exclude(name_of(recording), "confound", len(lost), detail)
    if values.empty or not len(values.columns):
        return None
    journal.step(f"confounds regressed out: {', '.join(values.columns)}")
    return np.asarray(values.to_numpy(), dtype=np.float64)


def _columns(wanted: Sequence[str] | str, columns: list[str], path: str) -> list[str]:
    if wanted == "auto":
        return [name for name in AUTO if name in columns]
    for pattern in wanted:
        if not any(fnmatch(name.lower(), pattern.lower()) for name in columns):
            problem = f"no confound is called like '{pattern}'"
            raise FornixError(problem, where=path, mend=did_you_mean(pattern, columns))
    return [n for n in columns if any(fnmatch(n.lower(), p.lower()) for p in wanted)]
