"""Time courses of regions to samples: every volume of a cleaned table is one.

As for images, volume ``k`` stands for the time ``StartTime + k * TR`` at which it starts.
"""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from fornix.errors import FornixError, did_you_mean
from fornix.preprocess.cleaning import Signals, clean_signals, cleaning_steps, timing
from fornix.preprocess.confounds import confounds_of
from fornix.preprocess.material import Journal, Material, name_of
from fornix.preprocess.samples import sample_coords, sample_table
from fornix.preprocess.volumes import VOLUMES, volume_events
from fornix.study.compute import Compute
from fornix.study.responses import TimeseriesResponses

SUFFIX = "timeseries"
COMPANIONS = frozenset({"timeseries", "regressors"})


def prepare(
    section: TimeseriesResponses, material: Material, resources: Compute
) -> tuple[xr.Dataset, dict[str, Any]]:
    """Return a subject's responses.

    Parameters
    ----------
    section
        The settings.
    material
        The subject's tables.
    resources
        Unused: these tables are small.

    Returns
    -------
    dataset
        ``responses`` (sample, unit) float32; a unit is a region, and its own ``roi``.
    notes
        Counts for the provenance record.

    Raises
    ------
    FornixError
        If no region is left, runs don't have the same regions, or a run can't be cleaned.
    """
    del resources
    journal = Journal()
    units: list[str] = []
    tables, values = [], []
    for _, recording in material.recordings.iterrows():
        table = _read(recording, section, material)
        if units and list(table.columns) != units:
            problem = f"its regions aren't those of the run before: {', '.join(table.columns)}"
            mend = "choose common ones with `units`, or leave the run out with `select`"
            raise FornixError(problem, where=name_of(recording), mend=mend)
        units = list(table.columns)
        signals, times = _clean(table, recording, section, material, journal)
        values.append(signals)
        tables.append(sample_table(volume_events(times), recording))
    responses = np.concatenate(values)
    names = np.array(units, dtype=np.str_)
    unit = "standard deviations of the run" if section.standardize else "signal (arbitrary)"
    dataset = xr.Dataset(
        {"responses": (("sample", "unit"), responses, {"units": unit})},
        coords=sample_coords(tables) | {"unit": names, "roi": ("unit", names)},
        attrs={
            **{"subject": material.subject, "kind": "timeseries", "units": unit},
            **{"n_trials": len(responses), "samples": VOLUMES, **journal.attrs()},
        },
    )
    counts = {"n_samples": len(responses), "n_units": len(units), "n_runs": len(tables)}
    return dataset, counts | journal.notes()


def _read(recording: pd.Series, section: TimeseriesResponses, material: Material) -> pd.DataFrame:
    """Return the columns that are asked for and vary."""
    where = name_of(recording)
    table = pd.read_csv(material.root / where, sep="\t").astype(np.float64)
    for pattern in section.units:
        if not any(fnmatch(str(name).lower(), pattern.lower()) for name in table.columns):
            problem = f"the time series have no column like '{pattern}'"
            mend = did_you_mean(pattern, map(str, table.columns))
            raise FornixError(problem, where=f"responses: units ({where})", mend=mend)
    kept = [
        name
        for name in table.columns
        if any(fnmatch(str(name).lower(), pattern.lower()) for pattern in section.units)
    ]
    flat = [name for name in kept if np.ptp(table[name]) == 0]
    if flat:
        problem = f"the time course of {', '.join(flat)} is constant"
        mend = "leave the column out with `units`, or the run with `select`"
        raise FornixError(problem, where=where, mend=mend)
    return table[kept]


def _clean(
    table: pd.DataFrame,
    recording: pd.Series,
    section: TimeseriesResponses,
    material: Material,
    journal: Journal,
) -> tuple[Signals, np.ndarray[Any, np.dtype[np.float64]]]:
    """Return the cleaned signals, and the time of each volume (s)."""
    where = name_of(recording)
    repetition, start = timing(recording)
    signals = table.to_numpy(np.float32)
    confounds = confounds_of(
        section.confounds, recording, len(signals), material, journal, required=False
    )
    for step in cleaning_steps(section):
        journal.step(step)
    times = start + repetition * np.arange(len(signals), dtype=np.float64)
    return clean_signals(signals, section, repetition, confounds, where), times
