"""The score table: its columns, its types, and how a row is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import xarray as xr

COLUMNS = (
    "study",
    "fit",
    "subject",
    "session",
    "target",
    "unit",
    "time",
    "metric",
    "value",
    "chance",
    "ceiling",
    "p",
    "n",
    "p_corrected",
    "normalised",
    "effect",
    "lower",
    "upper",
)
"""Columns of ``scores.parquet``, in this order."""

KEYS = ("study", "fit", "subject", "session", "target", "unit", "time", "metric")
"""Columns that name a row; no two rows share all of them."""

INTERVAL_COLUMNS = (*KEYS, "low", "high")
"""Columns of ``intervals.parquet``: the null distribution's central interval of each score."""

VOLUME = ("volume_shape", "affine", "space")
"""Attributes of data whose units are voxels, by which these are places; maps keep them."""

GROUP = "group"
"""Subject of rows that are about all subjects together."""

ALL = "all"
"""Session or unit of rows that are about all of them together."""

_TEXT = ("study", "fit", "subject", "session", "target", "unit", "metric")
_INFERRED = ("p_corrected", "normalised", "effect", "lower", "upper")
_NUMBERS = ("time", "value", "chance", "ceiling", "p", "low", "high", *_INFERRED)
_NAN = float("nan")


@dataclass
class Evaluated:
    """What judging a fit gives.

    Attributes
    ----------
    rows
        From :func:`score_row`.
    maps
        Subject -> scores of every unit.
    how
        Words on how values, ceilings and p-values were computed.
    facts
        Further numbers, JSON-like.
    notes
        What the reader should know.
    draws
        Place of the table -> means over subjects in bootstrap samples, for the group's intervals.
    tables
        Further tables by name, of one line a dictionary; they get a column ``fit``.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    maps: dict[str, xr.Dataset] = field(default_factory=dict)
    how: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    draws: dict[Any, Any] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def score_row(
    *,
    subject: str,
    target: str,
    unit: str,
    metric: str,
    value: float,
    n: int,
    session: str = ALL,
    time: float = _NAN,
    chance: float = 0.0,
    ceiling: float = _NAN,
    p: float = _NAN,
    interval: tuple[float, float] = (_NAN, _NAN),
    p_corrected: float = _NAN,
    effect: float = _NAN,
    between: tuple[float, float] = (_NAN, _NAN),
) -> dict[str, Any]:
    """Return one row of the score table, with the bounds of its null's interval.

    The column ``normalised`` is the value over its ceiling, where there is one.

    Parameters
    ----------
    subject, target, unit, metric, session, time
        What the score is about; ``time`` in s, NaN where there is none.
    value, chance, ceiling
        In units of the metric; ``ceiling`` is NaN where repeats don't allow one.
    n
        Test items that the value rests on.
    p
        Permutation p-value, or NaN.
    interval
        Central interval of the null distribution, or NaN.
    p_corrected
        p corrected for many tests, or NaN.
    effect
        Cohen's d_z over subjects, or NaN.
    between
        Confidence interval of the value, the columns ``lower`` and ``upper``; or NaN.
    """
    return {
        **{"study": "", "fit": "", "subject": subject, "session": session, "target": target},
        **{"unit": unit, "time": time, "metric": metric, "value": value, "chance": chance},
        **{"ceiling": ceiling, "p": p, "n": n, "low": interval[0], "high": interval[1]},
        **{"p_corrected": p_corrected, "normalised": normalised(value, ceiling)},
        **{"effect": effect, "lower": between[0], "upper": between[1]},
    }


def normalised(value: float, ceiling: float) -> float:
    """Return a value as a share of its ceiling; NaN where nothing can be explained."""
    return value / ceiling if ceiling > 0 else _NAN


def score_table(rows: Iterable[Mapping[str, Any]], fit: str = "") -> pd.DataFrame:
    """Return ``scores.parquet`` from rows; ``fit`` names their fit."""
    return _typed(rows, COLUMNS, fit)


def interval_table(rows: Iterable[Mapping[str, Any]], fit: str = "") -> pd.DataFrame:
    """Return ``intervals.parquet`` from rows: those that have a null distribution."""
    table = _typed(rows, INTERVAL_COLUMNS, fit)
    return table.dropna(subset=["low", "high"]).reset_index(drop=True)


def _typed(rows: Iterable[Mapping[str, Any]], columns: tuple[str, ...], fit: str) -> pd.DataFrame:
    table = pd.DataFrame([{**row, "fit": fit} for row in rows], columns=list(columns))
    kinds: dict[str, str] = dict.fromkeys(_TEXT, "str")
    kinds |= dict.fromkeys(_NUMBERS, "float64") | {"n": "int64"}
    return table.astype({name: kinds[name] for name in columns})
