"""Units a block at a time, so that no evaluation holds a subject's whole predictions.

Blocks are the same whatever memory there is: sums over units go in one order, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fornix.evaluation.metrics import Floats

Places = list[tuple[str, float, NDArray[np.intp]]]
"""(region, time, its units)."""

ARRAY_BYTES = 32 << 20
"""Of one float64 array (sample, unit) of a block; scores of a block take about a dozen."""

MOST, LEAST = 1024, 64
"""Units of a block."""


@dataclass(frozen=True)
class Cut:
    """Some units that are read together.

    Attributes
    ----------
    units
        Their numbers.
    pieces
        Number of each place that has units here, and which of these they are.
    """

    units: NDArray[np.intp]
    pieces: list[tuple[int, slice]]


@dataclass(frozen=True)
class Block:
    """Predictions of some units, beside what was observed.

    Attributes
    ----------
    pieces
        As in :class:`Cut`, of the columns.
    observed, predicted
        (sample, unit).
    """

    pieces: list[tuple[int, slice]]
    observed: Floats
    predicted: Floats


def block_size(n_rows: int) -> int:
    """Return how many units of so many float64 values each make a block."""
    room = max(1, ARRAY_BYTES // (8 * max(1, n_rows)))
    return int(np.clip(1 << (room.bit_length() - 1), LEAST, MOST))


def spans(n_units: int, n_rows: int) -> Iterator[slice]:
    """Return blocks of all units, in their order, as slices."""
    size = block_size(n_rows)
    for start in range(0, n_units, size):
        yield slice(start, min(start + size, n_units))


def cuts(places: Places, n_rows: int) -> Iterator[Cut]:
    """Return blocks of the units of all places, place after place.

    Parameters
    ----------
    places
        A unit may belong to several; it is read for each of them.
    n_rows
        Values that are held of each unit.
    """
    ends = np.cumsum([0, *(len(units) for _, _, units in places)])
    every = np.concatenate([np.empty(0, np.intp), *(units for _, _, units in places)])
    for block in spans(len(every), n_rows):
        first = int(np.searchsorted(ends, block.start, side="right")) - 1
        last = int(np.searchsorted(ends, block.stop, side="left"))
        pieces = []
        for place in range(first, last):
            begin, end = max(ends[place], block.start), min(ends[place + 1], block.stop)
            if begin < end:
                pieces.append((place, slice(int(begin) - block.start, int(end) - block.start)))
        yield Cut(every[block], pieces)


def add_sums(sums: Floats, values: Floats, pieces: list[tuple[int, slice]]) -> None:
    """Add the sums over each piece of a block: (row, column) to (row, place)."""
    for place, columns in pieces:
        sums[:, place] += values[:, columns].sum(1)


def counts(places: Places) -> NDArray[np.intp]:
    """Return the number of units of each place."""
    return np.array([len(units) for _, _, units in places], dtype=np.intp)
