"""Rows that earlier artifacts already have: the same model, code and stimulus content.

An artifact of features holds the digest of every row's content. Another one may take rows from
it, when both were made by the same settings (names of layers and readouts apart), weights, code
and versions. So ten new stimuli cost ten forward passes, a new layer costs that layer alone, and
the same stimuli under other names cost nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray

from fornix.errors import FornixError
from fornix.store.artifact import TWIN, Artifact, Recipe, Target

FREE = ("layers", "readouts", "part")
"""Settings that say which numbers are kept, and change none."""

Keys = Sequence[tuple[str, float]]


@dataclass(frozen=True)
class Donor:
    """An artifact that rows can be taken from.

    Attributes
    ----------
    artifact
        The artifact.
    layers
        Its layers -> shape of one row.
    rows
        Key of a row -> its position.
    """

    artifact: Artifact
    layers: Mapping[str, tuple[int, ...]]
    rows: Mapping[tuple[str, float], int]

    @property
    def readouts(self) -> list[str]:
        """The readouts of its section."""
        return list(self.artifact.manifest["recipe"]["section"].get("readouts", []))

    def read(self, layer: str, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return rows of a layer."""
        group = zarr.open_group(self.artifact.part("features.zarr"), mode="r", zarr_format=3)
        array: Any = group[layer]
        found: NDArray[np.float32] = array.oindex[(rows,)]
        return found


def keys_of(rows: pd.DataFrame) -> Keys:
    """Return what tells rows apart: the digest of their content, and their time."""
    times = rows["time"] if "time" in rows else np.zeros(len(rows))
    return list(zip(rows["digest"].astype(str), np.asarray(times, dtype=float), strict=True))


def find_donors(target: Target, recipe: Recipe, keys: Keys) -> list[Donor]:
    """Return undamaged artifacts beside a target that have some of the rows, newest first.

    The one that the target is about to replace is among them: Snakemake has deleted its manifest,
    and the manifest's twin is still there.
    """
    wanted = set(keys)
    found = []
    for artifact in relatives(target, recipe):
        try:
            donor = _donor(artifact)
            if not wanted.isdisjoint(donor.rows) and not artifact.damage():
                found.append(donor)
        except (FornixError, KeyError, OSError, ValueError):
            continue  # deleted or damaged meanwhile: its rows are computed again
    return found


def relatives(target: Target, recipe: Recipe) -> list[Artifact]:
    """Return artifacts beside a target whose rows come from the same settings, newest first.

    Whether they are undamaged isn't checked.
    """
    mine = _family(recipe.describe(target))
    found: list[tuple[float, Artifact]] = []
    for twin in target.path.parent.glob(f"*/{TWIN}"):
        if twin.parent.name.startswith("."):  # somebody's draft
            continue
        try:
            artifact = Artifact(twin.parent, json.loads(twin.read_text(encoding="utf-8")))
            if _family(artifact.manifest["recipe"]) == mine:
                found.append((twin.stat().st_mtime, artifact))
        except (KeyError, OSError, ValueError):
            continue
    return [artifact for _, artifact in sorted(found, key=lambda pair: -pair[0])]


def check_unchanged(donors: Iterable[Donor]) -> None:
    """Raise if another process has replaced an artifact while rows were taken from it.

    Raises
    ------
    FornixError
        Naming the artifact.
    """
    for donor in donors:
        path = donor.artifact.path
        try:
            now = json.loads((path / TWIN).read_text(encoding="utf-8"))["digest"]
        except (KeyError, OSError, ValueError):
            now = ""
        if now != donor.artifact.digest:
            problem = "the artifact was replaced by another run while rows were taken from it"
            raise FornixError(problem, where=str(path), mend="start this job again")


def _family(recipe: Mapping[str, Any]) -> str:
    section = {k: v for k, v in recipe["section"].items() if k not in FREE}
    inputs = {k: v for k, v in recipe["inputs"].items() if k != "stimuli"}
    rest = {key: recipe[key] for key in ("stage", "code", "versions")}
    return json.dumps([section, inputs, rest], sort_keys=True)


def _donor(artifact: Artifact) -> Donor:
    dataset = artifact.dataset("features")
    along = "frame" if "frame" in dataset.dims else "stimulus"
    times = dataset["time"].values if "time" in dataset else np.zeros(dataset.sizes[along])
    keys = zip(map(str, dataset["digest"].values), map(float, times), strict=True)
    layers = {name: tuple(dataset[name].shape[1:]) for name in json.loads(dataset.attrs["layers"])}
    return Donor(artifact, layers, {key: at for at, key in enumerate(keys)})


@dataclass(frozen=True)
class Source:
    """Where the rows of one layer come from.

    Attributes
    ----------
    donor
        For each row the donor's number, -1: none has it.
    row
        For each row its position there.
    names
        Donor's number -> the layer's name there.
    """

    donor: NDArray[np.intp]
    row: NDArray[np.intp]
    names: Mapping[int, str]


def sources(
    donors: Sequence[Donor],
    keys: Keys,
    shapes: Mapping[str, tuple[int, ...]],
    readouts: Sequence[str],
) -> dict[str, Source]:
    """Find a donor for each row of each layer.

    Parameters
    ----------
    donors
        Artifacts, the ones to prefer first.
    keys
        The rows, from :func:`keys_of`.
    shapes
        Layer -> shape of one row; a donor's layer must have the same.
    readouts
        Readouts of the section, by which layers are named.
    """
    places = [
        np.asarray([donor.rows.get(key, -1) for key in keys], dtype=np.intp) for donor in donors
    ]
    found = {}
    for layer, shape in shapes.items():
        which = np.full(len(keys), -1, dtype=np.intp)
        row = np.full(len(keys), -1, dtype=np.intp)
        names = {}
        for number, donor in enumerate(donors):
            name = next(_alike(layer, readouts, donor), None)
            if name is None or donor.layers[name] != tuple(shape):
                continue
            take = (which < 0) & (places[number] >= 0)
            if take.any():
                names[number] = name
            which[take], row[take] = number, places[number][take]
        found[layer] = Source(which, row, names)
    return found


def _alike(layer: str, readouts: Sequence[str], donor: Donor) -> Iterator[str]:
    """Yield the donor's name of a layer: with several readouts, names end in ``@<readout>``."""
    base, _, readout = layer.rpartition("@") if "@" in layer else (layer, "", "")
    readout = readout or (readouts[0] if len(readouts) == 1 else "")
    theirs = donor.readouts
    names = [f"{base}@{readout}"] if len(theirs) > 1 else []
    if theirs in ([readout], []) or (len(theirs) > 1 and not readout):
        names.append(base)
    yield from (name for name in names if name in donor.layers)


def whole(donors: Sequence[Donor], keys: Keys, recipe: Recipe) -> Donor | None:
    """Return a donor that has all rows of just the layers that are asked for, None if none has."""
    for donor in donors:
        theirs = donor.artifact.manifest["recipe"]["section"]
        same = all(theirs.get(key) == recipe.section.get(key) for key in ("layers", "readouts"))
        if same and all(key in donor.rows for key in keys):
            return donor
    return None
