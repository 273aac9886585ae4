"""What an encoding model is given: samples, their features, and the folds that hold them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from fornix.errors import FornixError
from fornix.solvers.panels import Delayed
from fornix.training.blocks import contiguous, plan_blocks, shifted_rows
from fornix.training.designs import features_of_samples, features_of_stimuli
from fornix.training.samples import average_repeats, shuffled_rows
from fornix.training.splits import Fold, inner_folds, plan_folds

if TYPE_CHECKING:
    from fornix.study.fits.encoding import EncodingSection


@dataclass(frozen=True)
class Given:
    """Samples, one row each.

    Attributes
    ----------
    table
        ``fold``, ``group``, ``stimulus``, ``n_repeats`` and the samples' own coordinates.
    matrix
        Responses, float32 (sample, unit).
    features
        ``<features>/<layer>`` -> (sample, ...).
    folds
        As they were planned.
    pairs
        Rows of both parts of each fold.
    inner
        Training rows -> their inner folds.
    lags
        Features of one delay alone: their name -> the layer, and the delay in s.
    """

    table: pd.DataFrame
    matrix: NDArray[np.float32]
    features: Mapping[str, NDArray[Any] | Delayed]
    folds: list[Fold]
    pairs: list[tuple[NDArray[np.intp], NDArray[np.intp]]]
    inner: Callable[[NDArray[np.intp]], NDArray[np.intp]]
    lags: dict[str, tuple[str, float]] = field(default_factory=dict)


def of_trials(
    section: EncodingSection,
    table: pd.DataFrame,
    matrix: NDArray[np.float32],
    features: Mapping[str, xr.Dataset],
    *,
    seed: int,
    shuffler: np.random.Generator,
    notes: list[str],
    where: str,
    folds: list[Fold] | None = None,
) -> Given:
    """Return one sample a trial, or a stimulus, with the features of its stimulus.

    Folds are planned here, unless they are given because subjects share them.

    Raises
    ------
    FornixError
        If the section aligns features in time, or nothing can be held out.
    """
    if section.align is not None:
        problem = "align is for samples that follow one another in time, and these are trials"
        mend = "leave align out, or set samples.method: volumes in the responses"
        raise FornixError(problem, where=f"{where}: align", mend=mend)
    if folds is None:
        folds = plan_folds(table, section.cv, "encoding", seed=seed, where=where)
    rows, table = with_folds(table, folds)
    if unused := len(matrix) - len(rows):
        notes.append(f"{unused} samples name no stimulus; they are left out")
    matrix, table = matrix[rows], table.assign(n_repeats=1)
    if section.average_repeats:
        matrix, table = average_repeats(matrix, table)
    found = features_of_stimuli(features, table["stimulus"].to_numpy())
    if section.shuffle:
        source = shuffled_rows(table, shuffler)
        found = {name: values[source] for name, values in found.items()}
    group = table["group"].to_numpy()
    return Given(
        table,
        matrix,
        found,
        folds,
        train_and_test(table["fold"].to_numpy()),
        lambda train: inner_folds(group[train], section.inner_splits),
    )


def of_volumes(
    section: EncodingSection,
    table: pd.DataFrame,
    matrix: NDArray[np.float32],
    features: Mapping[str, xr.Dataset],
    *,
    events: pd.DataFrame,
    shuffler: np.random.Generator,
    where: str,
) -> Given:
    """Return every volume, with the features that are aligned to it.

    Raises
    ------
    FornixError
        If nothing can be held out, or events have no features.
    """
    folds = plan_blocks(table, section.cv, where=where)
    _, table = with_folds(table, folds)
    found = features_of_samples(features, events, table, section.align)
    lags: dict[str, tuple[str, float]] = {}
    if section.align is not None and section.align.each_delay:
        for delay in dict.fromkeys(section.align.delays):
            alone = features_of_samples(features, events, table, section.align.at(delay))
            for layer, values in alone.items():
                name = f"{layer} at {delay:g} s"
                found[name], lags[name] = values, (layer, delay)
    if section.shuffle:
        source = shifted_rows(table, shuffler)
        found = {name: values[source] for name, values in found.items()}
    return Given(
        table.assign(stimulus="", n_repeats=1),
        matrix,
        found,
        folds,
        [(fold.train, fold.test) for fold in folds],
        lambda train: contiguous(len(train), section.inner_splits),
        lags,
    )


def with_folds(table: pd.DataFrame, folds: list[Fold]) -> tuple[NDArray[np.intp], pd.DataFrame]:
    """Return the rows that folds use, and their table with ``fold`` and ``group``."""
    fold = np.full(len(table), -1)
    group = np.full(len(table), "", dtype=object)
    for one in folds:
        fold[one.test], group[one.test] = one.index, one.labels
    rows = np.flatnonzero(fold >= 0)
    table = table.assign(fold=fold, group=group).iloc[rows].reset_index(drop=True)
    return rows, table


def train_and_test(fold: NDArray[Any]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return the rows of both parts of each fold, from the fold that each row is held out in."""
    return [(np.flatnonzero(fold != one), np.flatnonzero(fold == one)) for one in np.unique(fold)]
