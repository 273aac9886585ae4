"""Sounds and clips on a grid of time: a row for each step of each stimulus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fornix.errors import FornixError
from fornix.progress import track
from fornix.study.base import digest_of

Rows = NDArray[np.intp]
SLACK = 1e-6
"""Steps that a stimulus may be too short for its last row, so that rounding makes no row."""

ROUNDING = 1e-6
"""Windows by which a row may seem to begin before its piece: 0.6 / 0.2 is less than 3."""

READERS = 8
"""Threads that read headers, which wait for the disk."""


def duration_of(path: Path, modality: str) -> float:
    """Return how long a sound or clip is, s."""
    if modality == "audio":
        from fornix.features.sounds import sound_duration

        return sound_duration(path)
    from fornix.features.clips import clip_info

    return clip_info(path).duration


def timed_rows(
    stimuli: pd.DataFrame, root: Path, rate: float | None, *, sound: bool = False
) -> pd.DataFrame:
    """Return the stimuli, a row each, or with a rate a row a step; ``sound``: of sound tracks."""
    rows = stimuli.assign(modality="audio") if sound else stimuli
    return rows if rate is None else frames_table(rows, root, rate)


def frames_table(stimuli: pd.DataFrame, root: Path, rate: float) -> pd.DataFrame:
    """Return one line a step of time of each stimulus.

    Parameters
    ----------
    stimuli
        Sounds and clips, lines of the stimulus table.
    root
        Folder that their paths start from.
    rate
        Steps a second.

    Returns
    -------
    DataFrame
        The columns of ``stimuli``, and ``time``: where each step begins, s from the stimulus'
        onset. Its digest is that of the stimulus with the rate.
    """
    paths = [root / str(path) for path in stimuli["path"]]
    with ThreadPoolExecutor(READERS) as pool:
        reading = pool.map(duration_of, paths, stimuli["modality"].astype(str))
        durations = [*track(reading, "durations of stimuli", total=len(paths))]
    counts = [max(1, math.ceil(one * rate - SLACK)) for one in durations]
    digests = [digest_of([one, rate], 32) for one in stimuli["digest"]]
    rows = stimuli.assign(digest=digests).iloc[np.repeat(np.arange(len(paths)), counts)]
    times = np.concatenate([np.arange(count) / rate for count in counts])
    return rows.reset_index(drop=True).assign(time=times)


def piece_length(window: float | None, rate: float | None, default: float, where: str) -> float:
    """Return how long the pieces are that go through a model at once, s: a whole number of rows.

    Parameters
    ----------
    window
        As asked for, s; None: about ``default``.
    rate
        Rows a second; None: stimuli go through whole.

    Raises
    ------
    FornixError
        If a piece can't hold a row.
    """
    if rate is None:
        return window or default
    rows = math.floor((window or default) * rate + ROUNDING)
    if rows < 1 and window is not None:
        problem = f"a window of {window:g} s can't hold a row of {1 / rate:g} s"
        raise FornixError(problem, where=f"{where}: window", mend=f"give at least {1 / rate:g}")
    return max(1, rows) / rate


def piece_start(time: float, window: float) -> float:
    """Return where the piece begins that a row lies in, s.

    Examples
    --------
    >>> round(piece_start(0.6, 0.2), 6), round(piece_start(0.7, 0.2), 6)
    (0.6, 0.6)
    """
    return math.floor(time / window + ROUNDING) * window


def no_time(model: str, where: str) -> FornixError:
    """Return the error for a model whose tokens can't be told apart in time."""
    problem = f"the tokens of {model} aren't one after the other in time"
    mend = "give window: one row long (1 / rate), so that each row goes through the model alone"
    return FornixError(problem, where=f"{where}: rate", mend=mend)


def pieces(block: pd.DataFrame, window: float) -> list[Rows]:
    """Group rows into pieces of stimuli that begin at multiples of a window.

    Parameters
    ----------
    block
        Lines of :func:`frames_table`, in order.
    window
        Longest piece, s.

    Returns
    -------
    list
        Positions in the block; rows of one piece are of one stimulus and one window.
    """
    number = np.floor(block["time"].to_numpy(float) / window + ROUNDING).astype(int)
    stimulus = block["stimulus"].astype(str).to_numpy()
    new = (stimulus[1:] != stimulus[:-1]) | (number[1:] != number[:-1])
    return list(np.split(np.arange(len(block)), np.flatnonzero(new) + 1))


def by_length(
    inputs: Sequence[Rows], stretches: Sequence[tuple[float, float]], rate: float = 1e4
) -> list[list[Rows]]:
    """Group inputs of as many samples, at a rate in Hz, so that none of a batch is padded."""
    groups: dict[int, list[Rows]] = {}
    for one, (start, stop) in zip(inputs, stretches, strict=True):
        groups.setdefault(round(stop * rate) - round(start * rate), []).append(one)
    return list(groups.values())
