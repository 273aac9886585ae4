"""p-values of a subject's many regions, times and targets, corrected for their number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fornix.evaluation.statistics.clusters import cluster_p
from fornix.evaluation.statistics.families import Family, false_discovery
from fornix.study.scores import Correction

Row = dict[str, Any]


class Corrections:
    """What one subject's scores have in common: the permutations that are their null.

    Parameters
    ----------
    method
        ``scores.correction``. The false discovery rate needs p-values only, and is left to
        :func:`correct_false_discoveries`.
    draws
        Number of permutations, which all scores share.
    """

    def __init__(self, method: Correction, draws: int) -> None:
        self.method, self.draws = method, draws
        self._families: dict[str, tuple[Family, list[Row]]] = {}

    def add(self, rows: list[Row], value: NDArray[Any], null: NDArray[Any]) -> None:
        """Add the scores of one target by one metric.

        Parameters
        ----------
        rows
            Rows of the table, one a place; times of a region follow one another.
        value
            (place,).
        null
            (permutation, place).
        """
        if not rows or not len(null) or self.method in ("none", "fdr"):
            return
        if self.method == "cluster" and in_time(rows):
            units = np.array([row["unit"] for row in rows])
            begins = np.r_[True, units[1:] != units[:-1]]
            known = ~(np.isnan(value) | np.isnan(null).any(0))
            if not known.any():
                return
            p = np.full(len(rows), np.nan)
            # A time that is left out parts what lies on both sides of it.
            gap = np.r_[False, ~known[:-1]]
            p[known] = cluster_p(value[known], null[:, known], begins=(begins | gap)[known])
            for row, one in zip(rows, p, strict=True):
                row["p_corrected"] = float(one)
            return
        family, members = self._families.setdefault(rows[0]["metric"], (Family(self.draws), []))
        family.add(value, null)
        members += rows

    def finish(self) -> None:
        """Write the corrected p of what can't be known before all scores are there."""
        for family, members in self._families.values():
            for row, p in zip(members, family.corrected(), strict=True):
                row["p_corrected"] = float(p)


def correct_false_discoveries(rows: Iterable[Row]) -> None:
    """Write p corrected by the false discovery rate among each subject's scores of one metric."""
    families: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        families.setdefault((row["subject"], row["metric"]), []).append(row)
    for members in families.values():
        corrected = false_discovery(np.array([row["p"] for row in members], dtype=np.float64))
        for row, p in zip(members, corrected, strict=True):
            row["p_corrected"] = float(p)


def note_uncorrected(rows: Iterable[Row], method: Correction, notes: list[str]) -> None:
    """Say which scores have a p that isn't corrected, although corrections were asked for."""
    if method == "none":
        return
    lacking = dict.fromkeys(
        str(row["metric"])
        for row in rows
        if not np.isnan(row["p"]) and np.isnan(row["p_corrected"])
    )
    if lacking:
        notes.append(f"p of {', '.join(lacking)} isn't corrected by scores.correction: {method}")


def in_time(rows: list[Row]) -> bool:
    """Return whether rows are about several times."""
    return len({row["time"] for row in rows if not np.isnan(row["time"])}) > 1


HOW = {
    "fdr": "Benjamini and Hochberg's false discovery rate, over all regions, times and targets of "
    "a subject and metric",
    "max": "the largest studentised score of each permutation, over all regions, times and targets "
    "of a subject and metric (family-wise error)",
    "cluster": "clusters of neighbouring times (one-sided p < 0.05 each), their summed studentised "
    "scores against the largest of each permutation, over all times and regions of a target; "
    "scores without times by the largest one",
}
"""Corrections in words."""
