"""Time courses of regions: a table of a derivative, one column a region, one row a volume."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from fornix.errors import FornixError
from fornix.ingest.header import Header
from fornix.ingest.tables import Table, is_missing, read_tsv

MIN_VOLUMES = 2


def read_timeseries(path: Path, metadata: dict[str, Any]) -> Header:
    """Read what a header would say: volumes, regions and the repetition time.

    Parameters
    ----------
    path
        ``*_timeseries.tsv``, one column a region.
    metadata
        Its sidecar: ``RepetitionTime`` (s), or ``SamplingFrequency`` (Hz).

    Raises
    ------
    FornixError
        If the table can't be read, a cell is no number, or no repetition time is known.
    """
    table = read_tsv(path)
    if len(table.rows) < MIN_VOLUMES:
        problem = f"the table has {len(table.rows)} volumes"
        raise FornixError(problem, where=str(path), mend="write one row a volume")
    _check_numbers(table, path)
    repetition = _repetition_time(path, metadata)
    count = len(table.rows)
    return Header(count, 1 / repetition, str(len(table.columns)), count * repetition, (path,))


def _check_numbers(table: Table, path: Path) -> None:
    for row, line in zip(table.rows, table.lines, strict=True):
        for cell, column in zip(row, table.columns, strict=True):
            if is_missing(cell) or not _is_number(cell):
                problem = f"{cell!r} isn't a number"
                mend = "write the signal of every region and volume, or leave the column out"
                raise FornixError(problem, where=f"{path}:{line} ({column})", mend=mend)


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _repetition_time(path: Path, metadata: dict[str, Any]) -> float:
    for key in ("RepetitionTime", "SamplingFrequency"):
        value = metadata.get(key)
        if isinstance(value, int | float) and 0 < value < math.inf:
            return float(value) if key == "RepetitionTime" else 1 / float(value)
    problem = "the repetition time isn't known"
    mend = f'write {path.name.removesuffix(".tsv")}.json with {{"RepetitionTime": ...}} in seconds'
    raise FornixError(problem, where=str(path), mend=mend)
