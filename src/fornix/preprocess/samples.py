"""The sample table: which coordinates a sample carries, and z-scores over a session's samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fornix.preprocess.material import text

TAKEN = {
    *("sample", "unit", "channel", "time", "responses"),
    *("i", "j", "k", "x", "y", "z", "roi", "channel_x", "channel_y", "channel_z"),
}
"""Names of dimensions and coordinates; an events column called so gets ``event_`` before it."""

NOT_KEPT = {"file", "subject"}
FIRST = ("session", "run", "recording", "onset", "duration", "trial_type", "stimulus", "trial")
STRINGS = {"session", "run", "recording", "trial_type", "stimulus"}


def sample_table(events: pd.DataFrame, recording: pd.Series) -> pd.DataFrame:
    """Return the sample coordinates of one recording's events.

    Parameters
    ----------
    events
        One row a sample.
    recording
        Row of the recordings' table.

    Returns
    -------
    DataFrame
        ``session``, ``run``, ``recording``, ``onset``, ``duration``, ``trial_type``,
        ``stimulus`` and all other columns of the events.
    """
    table = events.drop(columns=[name for name in NOT_KEPT if name in events])
    table = table.rename(columns={name: f"event_{name}" for name in TAKEN if name in table})
    for key in ("session", "run", "recording"):
        table[key] = text(recording.get(key))
    for key in ("trial_type", "stimulus"):
        if key not in table:
            table[key] = ""
    return table


def sample_coords(tables: Sequence[pd.DataFrame]) -> dict[str, Any]:
    """Join the tables of all recordings into coordinates along ``sample``.

    Missing strings become ``""``; missing numbers stay NaN. ``trial`` counts the samples.

    Returns
    -------
    dict
        Coordinate name -> (``"sample"``, values, attributes).
    """
    table = pd.concat(tables, ignore_index=True)
    table["trial"] = np.arange(len(table))
    names = [*FIRST, *(name for name in table.columns if name not in FIRST)]
    units = {"onset": {"units": "s"}, "duration": {"units": "s"}}
    return {
        name: ("sample", _values(table[name], name in STRINGS), units.get(name, {}))
        for name in names
    }


def _values(column: pd.Series, as_text: bool) -> npt.NDArray[Any]:
    if not as_text and pd.api.types.is_bool_dtype(column.dtype):
        return column.to_numpy(dtype=np.int64, na_value=0)
    if not as_text and pd.api.types.is_integer_dtype(column.dtype) and not column.hasnans:
        return column.to_numpy(dtype=np.int64)
    if not as_text and pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.array([text(value) for value in column], dtype=np.str_)


def zscore_by_session(
    values: npt.NDArray[np.float32], sessions: npt.NDArray[Any]
) -> npt.NDArray[np.float32]:
    """Z-score each unit over the samples of each session (Allen et al. 2022, Nat Neurosci 25).

    Parameters
    ----------
    values : array (sample, unit)
        Responses.
    sessions : array (sample,)
        Session of each sample.

    Returns
    -------
    array (sample, unit)
        Mean 0 and sample standard deviation 1 in every session; a unit that doesn't vary in a
        session is 0 there.
    """
    out = np.empty_like(values)
    for session in np.unique(sessions):
        mine = sessions == session
        part = values[mine].astype(np.float64)
        part -= part.mean(axis=0)
        spread = part.std(axis=0, ddof=1) if len(part) > 1 else np.zeros(part.shape[1])
        flat = spread <= np.finfo(np.float32).eps
        out[mine] = np.where(flat, 0.0, part / np.where(flat, 1.0, spread))
    return out
