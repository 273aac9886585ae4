"""Samples as a model takes them: one matrix, one table, repeats averaged within groups."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from fornix.errors import FornixError

FEW_COMMON = 3
"""Stimuli that sessions must share for a dissimilarity matrix of each."""


def plain_text(dataset: xr.Dataset) -> xr.Dataset:
    """Return a dataset whose text coordinates are arrays of ``str`` objects.

    zarr's variable-length strings come back as numpy's ``StringDType``, which neither pandas nor
    a cast to ``str`` takes.
    """
    text = {str(k): v for k, v in dataset.coords.items() if v.dtype.kind == "T"}
    return dataset.assign_coords({k: (v.dims, v.values.astype(object)) for k, v in text.items()})


def sample_table(responses: xr.Dataset) -> pd.DataFrame:
    """Return the coordinates of the samples, one row a sample."""
    columns = {
        str(name): coord.values
        for name, coord in responses.coords.items()
        if coord.dims == ("sample",)
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(responses.sizes["sample"]))


def stack_units(responses: xr.Dataset) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Return responses as one matrix, and the coordinates of its columns.

    Channels and times of an epoch are stacked: each pair is a unit, with its ``channel`` (and what
    is known of it) and ``time`` as coordinates and ``all`` as its region.

    Returns
    -------
    matrix
        float32 (sample, unit).
    coordinates
        Name -> values of length unit; ``unit`` and ``roi`` are always there.

    Raises
    ------
    FornixError
        If responses aren't finite.
    """
    array = responses["responses"]
    coords: dict[str, Any] = {}
    if array.dims == ("sample", "unit"):
        values = array.values
        for name, coord in responses.coords.items():
            if coord.dims == ("unit",):
                coords[str(name)] = coord.values
        coords.setdefault("unit", np.arange(array.sizes["unit"]).astype(str).astype(object))
    else:
        array = array.transpose("sample", "channel", "time")
        values = array.values.reshape(array.sizes["sample"], -1)
        times = array["time"].values.astype(float)
        channels = array["channel"].values.astype(object)
        coords["channel"] = np.repeat(channels, len(times))
        coords["time"] = np.tile(times, len(channels))
        for name, coord in responses.coords.items():
            if coord.dims == ("channel",) and name != "channel":  # where the sensor is
                coords[str(name)] = np.repeat(coord.values, len(times))
        pairs = zip(coords["channel"], coords["time"], strict=True)
        coords["unit"] = np.asarray([f"{c}@{t:.4f}" for c, t in pairs], dtype=object)
    coords.setdefault("roi", np.full(values.shape[1], "all", dtype=object))
    if bad := int((~np.isfinite(values)).any(0).sum()):
        problem = f"{bad} of {values.shape[1]} units hold values that aren't finite"
        mend = "leave them out with the responses' mask, picks or rois"
        raise FornixError(problem, where=f"responses of sub-{responses.attrs.get('subject', '')}",
                          mend=mend)  # fmt: skip
    return values.astype(np.float32, copy=False), coords


def feature_layers(features: xr.Dataset) -> list[str]:
    """Return the layers of a features artifact, in the model's order."""
    return [str(name) for name in json.loads(features.attrs["layers"])]


def feature_rows(features: xr.Dataset) -> pd.DataFrame:
    """Return one line a row of the features: ``stimulus``, and ``time`` (s) of frames."""
    names = [name for name in ("stimulus", "time") if name in features.coords]
    return pd.DataFrame({name: features[name].values for name in names}).astype({"stimulus": str})


def rows_of(stimuli: NDArray[Any], features: xr.Dataset, *, name: str) -> NDArray[np.intp]:
    """Return the row of the features for each named stimulus.

    Raises
    ------
    FornixError
        If some of them aren't in the features.
    """
    known = {str(one): i for i, one in enumerate(features["stimulus"].values)}
    lacking = sorted({str(one) for one in stimuli} - set(known))
    if lacking:
        affected = int(np.isin(stimuli.astype(str), lacking).sum())
        problem = (
            f"{affected} of {len(stimuli)} samples show {len(lacking)} stimuli that features "
            f"'{name}' doesn't have: {', '.join(lacking[:5])}{', ...' if lacking[5:] else ''}"
        )
        mend = f"take features.{name}.dataset from the dataset of the responses, or leave those "
        raise FornixError(problem, where=f"features {name}", mend=mend + "events out")
    return np.asarray([known[str(one)] for one in stimuli], dtype=np.intp)


def average_repeats(
    matrix: NDArray[np.float32], table: pd.DataFrame
) -> tuple[NDArray[np.float32], pd.DataFrame]:
    """Average the samples of one stimulus within a held-out group.

    Parameters
    ----------
    matrix
        float (sample, unit).
    table
        One row a sample, with ``stimulus``, ``group`` and ``fold``.

    Returns
    -------
    Averages (row, unit), and their table with ``n_repeats``, in the order of first appearance.
    A column that differs within a row's samples is ``""``.
    """
    keys = table["group"].astype(str) + "\0" + table["stimulus"].astype(str)
    codes, names = pd.factorize(keys)
    n_repeats = np.bincount(codes, minlength=len(names))
    order = np.argsort(codes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(n_repeats)[:-1]])
    sums = np.add.reduceat(matrix[order].astype(np.float64), starts, axis=0)
    first = table.iloc[order[starts]].reset_index(drop=True)
    for column in ("session", "run"):
        if column in table:
            mixed = table.groupby(codes)[column].nunique().to_numpy() > 1
            first[column] = first[column].astype(object).where(~mixed, "")
    return (sums / n_repeats[:, None]).astype(np.float32), first.assign(n_repeats=n_repeats)


def session_means(
    matrix: NDArray[np.float32], table: pd.DataFrame, notes: list[str], *, where: str
) -> tuple[NDArray[np.object_], list[str], NDArray[np.float32]]:
    """Average the responses to each stimulus, in each session where sessions share stimuli.

    Parameters
    ----------
    matrix
        (sample, unit).
    table
        One row a sample, with ``stimulus`` and ``session``.
    notes
        What was left out is told here.
    where
        Place for the message of an error.

    Returns
    -------
    stimuli
        Ids, sorted.
    sessions
        Labels; ``all`` where sessions had to be averaged.
    means
        float32 (session, stimulus, unit).

    Raises
    ------
    FornixError
        If there are fewer than ``FEW_COMMON`` stimuli.
    """
    shown, session = (table[name].astype(str).to_numpy() for name in ("stimulus", "session"))
    if nameless := int((shown == "").sum()):
        notes.append(f"{nameless} samples name no stimulus; they are left out")
    found = set(shown) - {""}
    common = sorted(found.intersection(*(shown[session == one] for one in set(session))))
    if len(common) < FEW_COMMON <= len(found):
        notes.append("sessions share too few stimuli: patterns are averaged over sessions")
        session, common = np.full(len(session), "all"), sorted(found)
    elif len(common) < FEW_COMMON:
        problem = f"RSA needs {FEW_COMMON} stimuli or more; there are {len(common)}"
        raise FornixError(problem, where=where, mend="select more events or sessions")
    elif len(common) < len(found):
        notes.append(
            f"{len(found) - len(common)} stimuli that not every session shows are left out"
        )
    sessions = [str(one) for one in dict.fromkeys(session)]
    used = np.isin(shown, common)
    place = {one: at for at, one in enumerate(sessions)}
    cells = np.array([place[one] for one in session[used]]) * len(common)
    cells += np.searchsorted(np.asarray(common), shown[used])
    means = means_by(matrix[used], cells).astype(np.float32)
    means = means.reshape(len(sessions), len(common), -1)
    return np.asarray(common, dtype=object), sessions, means


def means_by(matrix: NDArray[Any], codes: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the mean of the rows of each code; every code from 0 to the largest has rows.

    Parameters
    ----------
    matrix
        (sample, unit).
    codes
        (sample,).

    Returns
    -------
    float64 (code, unit).
    """
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums = np.add.reduceat(matrix[order].astype(np.float64), starts, axis=0)
    return np.asarray(sums / counts[:, None])


def shuffled_rows(table: pd.DataFrame, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return, for a control, the row whose features each row gets.

    Where stimuli are held out, they swap their features all over. Otherwise each group swaps
    the features of its stimuli on its own: one permutation of conditions for all groups would
    only rename the columns of indicator features, and predict as well as before. Repeats stay
    together either way.
    """
    by_stimulus = (table["group"].astype(str) == table["stimulus"].astype(str)).all()
    groups = [np.arange(len(table))] if by_stimulus else _rows_by_group(table["group"])
    source = np.empty(len(table), dtype=np.intp)
    for rows in groups:
        codes, names = pd.factorize(table["stimulus"].iloc[rows])
        first = np.unique(codes, return_index=True)[1]
        source[rows] = rows[first[rng.permutation(len(names))][codes]]
    return source


def shuffled_labels(
    labels: NDArray[np.intp], groups: NDArray[Any], rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return labels permuted within groups (a pair's two labels are swapped or not).

    Where every group has one label throughout, as stimuli have, whole groups swap labels.
    """
    codes, names = pd.factorize(np.asarray(groups))
    of_group = labels[np.unique(codes, return_index=True)[1]]
    if (of_group[codes] == labels).all():
        return np.asarray(of_group[rng.permutation(len(names))][codes])
    result = labels.copy()
    for rows in _rows_by_group(groups):
        result[rows] = labels[rows[rng.permutation(len(rows))]]
    return result


def _rows_by_group(groups: Any) -> list[NDArray[np.intp]]:
    codes, names = pd.factorize(np.asarray(groups))
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes, minlength=len(names)))[:-1])
