"""Samples that are means over volumes: blocks, and windows after events."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from fornix.preprocess.material import Journal, text
from fornix.study.responses import FmriSamples

EPSILON_S = 1e-6
"""Onsets and volume times are sums of decimals: 7 * 2.5 s may come out as 17.499999."""


def merge_blocks(events: pd.DataFrame, condition: str, merge_gap: float) -> pd.DataFrame:
    """Merge consecutive events of one condition into blocks.

    Parameters
    ----------
    events
        One run's events by onset; a missing duration counts as 0 s.
    condition
        Column that names the condition.
    merge_gap
        Largest gap between an event's end and the next one's onset, s.

    Returns
    -------
    DataFrame
        One row a block: ``onset`` of its first event, ``duration`` to the end of its last, and
        the other columns where all its events agree (else missing). ``n_events`` counts them.
    """
    events = events.assign(duration=events["duration"].fillna(0.0))
    ends = (events["onset"] + events["duration"]).cummax()
    gap = events["onset"] - ends.shift()
    names = events[condition].map(text)
    new = (names != names.shift()) | ~(gap <= merge_gap + EPSILON_S)
    blocks = []
    for _, block in events.groupby(new.cumsum()):
        row = {key: _agreed(block[key]) for key in block.columns}
        row["onset"] = block["onset"].iloc[0]
        row["duration"] = (block["onset"] + block["duration"]).max() - row["onset"]
        row["n_events"] = len(block)
        blocks.append(row)
    return pd.DataFrame(blocks, columns=[*events.columns, "n_events"])


def _agreed(column: pd.Series) -> object:
    return column.iloc[0] if len(set(column.map(text))) == 1 else None


def windows_of(events: pd.DataFrame, samples: FmriSamples) -> npt.NDArray[np.float64]:
    """Return from and to (s, half open) of each event's window, (event, 2)."""
    onset = events["onset"].to_numpy(np.float64)
    if samples.method == "trial":
        return np.stack([onset + samples.window[0], onset + samples.window[1]], axis=1)
    start = onset + samples.shift
    return np.stack([start, start + events["duration"].to_numpy(np.float64)], axis=1)


def window_means(
    signals: npt.NDArray[np.float32],
    times: npt.NDArray[np.float64],
    windows: npt.NDArray[np.float64],
    recording: str,
    journal: Journal,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Average the volumes whose acquisition time lies in each window.

    Parameters
    ----------
    signals : array (volume, voxel)
        One run.
    times : array (volume,)
        Acquisition times, s.
    windows : array (window, 2)
        From and to, s; the end isn't included.
    recording, journal
        Where dropped windows are counted: those that begin before the run or end after it, and
        those without a volume.

    Returns
    -------
    means : array (kept window, voxel)
        The samples.
    kept : array (window,)
        Which windows made one.
    """
    step = times[1] - times[0]
    inside = (windows[:, 0] >= times[0] - EPSILON_S) & (
        windows[:, 1] <= times[-1] + step + EPSILON_S
    )
    journal.exclude(recording, "sample", int((~inside).sum()), "window exceeds the run")
    member = (times >= windows[:, :1] - EPSILON_S) & (times < windows[:, 1:] - EPSILON_S)
    filled = member.any(axis=1)
    detail = "no volume in the window; has the event a duration?"
    journal.exclude(recording, "sample", int((inside & ~filled).sum()), detail)
    kept = inside & filled
    weights = member[kept] / member[kept].sum(axis=1, keepdims=True)
    return (weights @ signals.astype(np.float64)).astype(np.float32), kept
