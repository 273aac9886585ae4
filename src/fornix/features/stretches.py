"""Extractors that compute stretches of sounds and clips, and average them over rows of time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fornix.features.extractor import Context, Layers
from fornix.features.timegrid import duration_of, pieces

ROUNDING = 1e-6
WINDOW_S = 30.0
"""Longest stretch that is computed at once, s: memory doesn't grow with a film."""

Compute = Callable[[Path, float, float], tuple[Layers, NDArray[np.float64]]]
"""(file, start, stop), s -> layer -> float32 (sample, feature); and the samples' times, s from
the onset of the stimulus: of those of :func:`samples_within`."""


def samples_within(start: float, stop: float, rate: float) -> tuple[int, int]:
    """Return the first sample from ``start`` on, and the first from ``stop`` on.

    Samples lie at multiples of 1 / ``rate``. If there is none between, it's the last one before.
    """
    first, last = (math.ceil(time * rate - ROUNDING) for time in (start, stop))
    return min(first, last - 1), last


def average(
    values: NDArray[np.float32],
    times: NDArray[np.float64],
    begins: NDArray[np.float64],
    width: float,
) -> NDArray[np.float32]:
    """Return the mean of the samples within each bin; where there is none, the nearest one.

    Parameters
    ----------
    values
        (sample, feature).
    times
        (sample,), ascending, s.
    begins
        (bin,), where each bin begins, s.
    width
        Length of a bin, s.
    """
    found = np.empty((len(begins), values.shape[1]), dtype=np.float32)
    first = np.searchsorted(times, begins - ROUNDING)  # it mustn't move to the bin before
    last = np.searchsorted(times, begins + width - ROUNDING)
    for at, (a, b) in enumerate(zip(first, last, strict=True)):
        if a < b:
            found[at] = values[a:b].mean(0, dtype=np.float64)
        else:
            found[at] = values[np.abs(times - (begins[at] + width / 2)).argmin()]
    return found


@dataclass(frozen=True)
class Stretches:
    """An extractor made of a function of a stretch of a file.

    Attributes
    ----------
    shapes
        Layer -> shape of one row.
    compute
        The function.
    rate
        Rows a second; None: a row is the whole stimulus.
    context
        The folder of the files; told about progress.
    """

    shapes: Mapping[str, tuple[int, ...]]
    compute: Compute
    rate: float | None
    context: Context

    def __call__(self, blocks: Iterable[pd.DataFrame], layers: Sequence[str]) -> Iterator[Layers]:
        """Yield the named layers of each block."""
        for block in blocks:
            parts: list[Layers] = []
            grouped = (
                [np.asarray([at]) for at in range(len(block))]
                if self.rate is None
                else pieces(block, WINDOW_S)
            )
            for rows in grouped:
                table = block.iloc[rows]
                found = self._whole(table) if self.rate is None else self._piece(table, self.rate)
                parts.append({name: found[name] for name in layers})
                self.context.advance(len(rows))
            yield {name: np.concatenate([part[name] for part in parts]) for name in layers}

    def _piece(self, rows: pd.DataFrame, rate: float) -> Layers:
        begins = rows["time"].to_numpy(float)
        path, duration = self._file(rows)
        # The last row may end after the stimulus: it's the mean of what there is.
        stop = min(float(begins[-1] + 1 / rate), duration)
        values, times = self.compute(path, float(begins[0]), stop)
        return {name: average(one, times, begins, 1 / rate) for name, one in values.items()}

    def _whole(self, rows: pd.DataFrame) -> Layers:
        path, duration = self._file(rows)
        sums: dict[str, NDArray[np.float64]] = {}
        count = 0
        edges = [*np.arange(0, max(duration - 1, 1e-9), WINDOW_S), duration]  # none under 1 s
        for start, stop in pairwise(edges):
            values, times = self.compute(path, float(start), float(stop))
            count += len(times)
            for name, one in values.items():
                sums[name] = sums.get(name, 0) + one.sum(0, dtype=np.float64)
        return {name: (one / count).astype(np.float32)[None] for name, one in sums.items()}

    def _file(self, rows: pd.DataFrame) -> tuple[Path, float]:
        """Return the file of some rows, and how long it is, s."""
        path = self.context.root / str(rows["path"].iloc[0])
        return path, duration_of(path, str(rows["modality"].iloc[0]))
