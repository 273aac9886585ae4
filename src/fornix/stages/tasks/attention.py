"""Where a model looked in held-out stimuli, and where it should have, as parts of an artifact."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fornix.models.interface import Attention
from fornix.training.samples import feature_layers, rows_of


def looked_at(
    attention: Mapping[str, Attention],
    places: xr.Dataset | None,
    stimuli: NDArray[np.object_],
    notes: list[str],
) -> xr.Dataset:
    """Return the token that each region attends to most, and the one that its object is in.

    Parameters
    ----------
    attention
        Target -> maps.
    places
        Features whose layer ``<region>`` has a row and a column, as shares of the picture's
        height and width; None where it isn't known.
    stimuli
        Stimulus of each sample.
    notes
        Gets a sentence if no region has a place.

    Returns
    -------
    xarray.Dataset
        ``looked_at`` and ``object_at``, int64 (target, sample, attending): tokens counted row by
        row; -1 in ``object_at`` where no place is known.
    """
    regions = next(iter(attention.values())).regions
    known = [] if places is None else [name for name in regions if name in feature_layers(places)]
    if places is not None and not known:
        layers = ", ".join(feature_layers(places))
        notes.append(f"no region has the name of a layer of places ({layers}): no attention_hit")
    looked = np.stack([one.maps.argmax(2) for one in attention.values()])
    wanted = np.full(looked.shape, -1, dtype=np.int64)
    rows = rows_of(stimuli, places, name="places") if places is not None and known else None
    for region in known:
        share = np.asarray(places[region].values, dtype=np.float64)[rows]  # type: ignore[index]
        for number, one in enumerate(attention.values()):
            grid = np.array([one.rows, one.columns])
            cell = np.clip((share * grid).astype(np.int64), 0, grid - 1)
            wanted[number, :, regions.index(region)] = cell[:, 0] * one.columns + cell[:, 1]
    dims = ("target", "sample", "attending")
    return xr.Dataset(
        {"looked_at": (dims, looked.astype(np.int64)), "object_at": (dims, wanted)},
        coords={"target": list(attention), "attending": np.asarray(regions, dtype=object)},
    )


def maps_of(attention: Mapping[str, Attention], stimuli: NDArray[np.object_]) -> xr.Dataset:
    """Return the maps of every target, float16 (sample, attending, row, column).

    Targets differ in their grids: they are ``map0``, ``map1``, ... in the order of ``targets``.
    """
    regions = next(iter(attention.values())).regions
    variables = {}
    for number, one in enumerate(attention.values()):
        dims = ("sample", "attending", f"row{number}", f"column{number}")
        shape = (*one.maps.shape[:2], one.rows, one.columns)
        variables[f"map{number}"] = (dims, one.maps.reshape(shape).astype(np.float16))
    coords = {
        "attending": np.asarray(regions, dtype=object),
        "stimulus": ("sample", stimuli.astype(object)),
    }
    return xr.Dataset(variables, coords=coords, attrs={"targets": json.dumps(list(attention))})
