"""Columns of the stimulus table: what people say about the stimuli, as a model of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fornix.errors import FornixError
from fornix.features.extractor import Batched, Context, Layers
from fornix.features.layers import matches, select_layers
from fornix.study.base import digest_of
from fornix.study.features.columns import ColumnFeatures

OWN = ("stimulus", "modality", "path", "text", "digest")
"""Columns that say where a stimulus is, and nothing about it."""

NAMES = ("stim_file", "stimulus_id")
"""Columns that name the stimuli once more: taken when asked for by name, not by ``*``."""

UNSET = {"0", "false", "no", "none"}
"""Words that don't set a column for ``any_of``."""

ROWWISE = False
"""Which categories a column has is seen from all of its cells."""

BATCH = 4096
WHERE = "features (kind: columns)"


@dataclass(frozen=True)
class Layer:
    """One layer before it is written out.

    Attributes
    ----------
    labels
        Name of each feature.
    values
        float32 (stimulus,) or (stimulus, feature) of numbers, or intp (stimulus,) of categories;
        -1: missing.
    """

    labels: list[str]
    values: NDArray[Any]

    def rows(self, part: slice | NDArray[np.intp]) -> NDArray[np.float32]:
        """Return (stimulus, feature) of some stimuli."""
        values = self.values[part]
        if values.dtype.kind == "f":
            return values.reshape(len(values), -1).astype(np.float32)
        found: NDArray[np.float32] = values[:, None] == np.arange(len(self.labels))[None, :]
        return found.astype(np.float32)


@contextmanager
def open_extractor(
    section: ColumnFeatures, rows: pd.DataFrame, context: Context
) -> Iterator[Batched]:
    """Give one layer a column, and one each name in ``any_of`` and ``stack``.

    Rows are indicators of the sorted categories, or one number. A stimulus without a value gets a
    row of zeros in that layer, which a note counts. Patterns that match nothing, and ``any_of``
    with columns that aren't there, are left out with a note, so that one study can serve datasets
    that are described differently.

    Raises
    ------
    FornixError
        If nothing remains.
    """
    layers = build_layers(section, rows, context.notes)

    def compute(some: pd.DataFrame) -> Layers:
        return {name: layer.rows(some.index.to_numpy()) for name, layer in layers.items()}

    shapes = {name: (len(layer.labels),) for name, layer in layers.items()}
    yield Batched(shapes, compute, BATCH, context)


def labels(section: ColumnFeatures, stimuli: pd.DataFrame) -> dict[str, list[str]]:
    """Return layer -> names of its features."""
    layers = build_layers(section, stimuli, [])
    return {name: layer.labels for name, layer in layers.items()}


def table(section: ColumnFeatures, stimuli: pd.DataFrame, context: Context) -> pd.DataFrame:
    """Return the stimuli with the digest of the columns that are read, not of their contents."""
    del context
    combined = (*section.any_of.values(), *section.stack.values())
    named = {column for columns in combined for column in columns}
    read = [*_described(stimuli), *(name for name in NAMES if name in stimuli)]
    used = [name for name in read if name in named or matches(name, section.columns)]
    cells = [
        [None if pd.isna(cell) else str(cell) for cell in row]
        for row in stimuli[used].to_numpy(object)
    ]
    digests = [digest_of([used, row]) for row in cells]
    return stimuli.assign(digest=digests)


def build_layers(
    section: ColumnFeatures, stimuli: pd.DataFrame, notes: list[str]
) -> dict[str, Layer]:
    """Return the layers to keep, by name.

    Raises
    ------
    FornixError
        If there is none, or two have the same name.
    """
    layers: dict[str, Layer] = {}
    for column in _chosen(section, stimuli, notes):
        layer = _column_layer(stimuli[column], matches(column, section.onehot), notes)
        if layer is not None:
            _add(layers, _layer_name(column, notes), layer)
    for name, columns in _present(section.any_of, stimuli, notes):
        is_set = np.any([_is_set(stimuli[column]) for column in columns], axis=0)
        _add(layers, name, Layer([name], is_set.astype(np.float32)))
    for name, columns in _present(section.stack, stimuli, notes):
        parts = [
            _column_layer(stimuli[column], matches(column, section.onehot), notes)
            for column in columns
        ]
        side_by_side = [part for part in parts if part is not None]
        if side_by_side:
            joined = [label for part in side_by_side for label in part.labels]
            values = np.concatenate([part.rows(slice(None)) for part in side_by_side], axis=1)
            _add(layers, name, Layer(joined, values))
    if not layers:
        known = ", ".join([*_described(stimuli), *(name for name in NAMES if name in stimuli)])
        problem = "; ".join(["no column of the stimulus table is left", *notes])
        mend = f"name columns that the table has: {known}" if known else (
            "describe the stimuli in a stimulus table (stimuli.table of the dataset)"
        )  # fmt: skip
        raise FornixError(problem, where=f"{WHERE}: columns", mend=mend)
    return {name: layers[name] for name in select_layers([*layers], section.layers, where=WHERE)}


def _present(
    combined: Mapping[str, list[str]], stimuli: pd.DataFrame, notes: list[str]
) -> Iterator[tuple[str, list[str]]]:
    """Yield the layers made of several columns whose columns are all there."""
    for name, columns in combined.items():
        lacking = [column for column in columns if column not in stimuli]
        if lacking or not columns:
            what = f"has no column {', '.join(lacking)}" if lacking else "is given no column"
            notes.append(f"layer '{name}' is left out: the stimulus table {what}")
        else:
            yield name, columns


def _described(stimuli: pd.DataFrame) -> list[str]:
    return [str(name) for name in stimuli.columns if name not in (*OWN, *NAMES)]


def _chosen(section: ColumnFeatures, stimuli: pd.DataFrame, notes: list[str]) -> list[str]:
    asked = {pattern.lower() for pattern in section.columns}
    known = _described(stimuli)
    known += [name for name in NAMES if name in stimuli and name in asked]
    for pattern in section.columns:
        if pattern != "*" and not any(matches(name, [pattern]) for name in known):
            notes.append(f"the stimulus table has no column {pattern!r}; it is left out")
    return [name for name in known if matches(name, section.columns)]


def _layer_name(column: str, notes: list[str]) -> str:
    """Return a column's name without what a path can't hold."""
    name = re.sub(r"[^\w.+-]+", "_", column).lstrip("._") or "column"
    if name != column:
        notes.append(f"column '{column}' makes the layer '{name}'")
    return name


def _add(layers: dict[str, Layer], name: str, layer: Layer) -> None:
    if name in layers or name == "stimulus":
        problem = f"two layers would be named '{name}'"
        mend = "rename the one in any_of, or the column of the stimulus table"
        raise FornixError(problem, where=f"{WHERE}: {name}", mend=mend)
    layers[name] = layer


def _column_layer(column: pd.Series[Any], onehot: bool, notes: list[str]) -> Layer | None:
    missing = column.isna().to_numpy(dtype=bool)
    if missing.all():
        notes.append(f"column '{column.name}' is left out: it is empty")
        return None
    if missing.any():
        count = f"{int(missing.sum())} of {len(column)} stimuli"
        notes.append(f"column '{column.name}' has no value for {count}: a row of zeros there")
    if column.dtype.kind in "biuf" and not onehot:
        numbers = column.to_numpy(dtype=np.float32, na_value=0)
        return Layer([str(column.name)], np.where(missing, np.float32(0), numbers))
    known = column[~missing]
    categories = sorted(set(known)) if known.dtype.kind in "biuf" else sorted(set(map(str, known)))
    index = {value: at for at, value in enumerate(categories)}
    keys = column if known.dtype.kind in "biuf" else column.map(str)
    codes = [-1 if gone else index[key] for key, gone in zip(keys, missing, strict=True)]
    return Layer([_word(value) for value in categories], np.asarray(codes, dtype=np.intp))


def _word(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _is_set(column: pd.Series[Any]) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = column.notna().to_numpy(dtype=bool)
    if column.dtype.kind in "biuf":
        says: list[bool] = [bool(cell) for cell in column]
    else:
        says = [str(cell).strip().lower() not in {*UNSET, ""} for cell in column]
    return np.logical_and(known, says)
