"""What a kind of analysis is given, and what it gives the stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from fornix.evaluation.table import ALL, score_row
from fornix.study.compute import Compute

Floats = NDArray[np.float64]

_NAN = float("nan")


@dataclass(frozen=True)
class Material:
    """What every analysis is given besides its section.

    Attributes
    ----------
    layers
        ``<features>/<layer>`` -> float32 (row, feature), in the study's order; a layer is read
        each time that it is asked for, so that memory needn't hold them all.
    stimuli
        The stimulus table, one line a row of the layers; its column ``stimulus`` repeats where
        a stimulus has several rows (frames).
    seed
        The study's seed.
    resources
        Threads, and the device of torch.
    where
        The section, for messages.
    notes
        Gets what a reader of the report should know, in whole sentences.
    """

    layers: Mapping[str, NDArray[np.float32]]
    stimuli: pd.DataFrame
    seed: int = 0
    resources: Compute = field(default_factory=Compute)
    where: str = "analyses"
    notes: list[str] = field(default_factory=list)


@dataclass
class Analysed:
    """What an analysis gives.

    Attributes
    ----------
    rows
        Scores, from :func:`score`.
    arrays
        What figures and readers may want besides, or None.
    weights
        Name -> array of a fitted model.
    how
        Words on how values were computed, by metric.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    arrays: xr.Dataset | None = None
    weights: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    how: dict[str, str] = field(default_factory=dict)


def score(
    target: str,
    metric: str,
    value: float,
    n: int,
    *,
    unit: str = ALL,
    chance: float = _NAN,
    ceiling: float = _NAN,
    p: float = _NAN,
    interval: tuple[float, float] = (_NAN, _NAN),
) -> dict[str, Any]:
    """Return one row of the score table; no subject stands behind it.

    Parameters
    ----------
    target
        ``<features>/<layer>``.
    metric, value, n
        What was measured, in its own unit, on how many stimuli.
    unit
        What it was measured against: another layer, a class, a column.
    chance, ceiling, p, interval
        As in :func:`fornix.evaluation.table.score_row`; NaN where there is none.
    """
    return score_row(
        subject="", target=target, unit=unit, metric=metric, value=float(value), n=n,
        chance=chance, ceiling=ceiling, p=p, interval=interval,
    )  # fmt: skip


def centred(values: NDArray[Any]) -> Floats:
    """Return (row, feature) as float64 with the mean over rows taken off."""
    values = np.asarray(values, dtype=np.float64)
    return np.asarray(values - values.mean(0))
