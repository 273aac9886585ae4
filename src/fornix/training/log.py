"""What a training says of itself: a tidy table, a row a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

COLUMNS = ("step", "epoch", "split", "name", "value")
"""Columns of a log; ``step`` counts the steps that were done, ``epoch`` from 0."""


class Log:
    """Rows of the table, and the sums of what steps report until the next row."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, str, str, float]] = []
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def count(self, values: Mapping[str, float]) -> None:
        """Add what one step reports."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def flush(self, step: int, epoch: int) -> None:
        """Write the means over the steps since the last time."""
        means = {name: self._sums[name] / self._counts[name] for name in self._sums}
        self.add(step, epoch, "train", means)
        self._sums, self._counts = {}, {}

    def add(self, step: int, epoch: int, split: str, values: Mapping[str, float]) -> None:
        """Write numbers as they are."""
        self.rows += [(step, epoch, split, name, float(value)) for name, value in values.items()]

    def state(self) -> dict[str, Any]:
        """Return all of it, as plain values."""
        return {
            "rows": [list(row) for row in self.rows],
            "sums": dict(self._sums),
            "counts": dict(self._counts),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state` gave."""
        self.rows = [tuple(row) for row in state["rows"]]
        self._sums, self._counts = dict(state["sums"]), dict(state["counts"])

    def table(self) -> pd.DataFrame:
        """Return the table."""
        return pd.DataFrame(self.rows, columns=list(COLUMNS))
