"""Which units of a map are neighbours: voxels of a grid, sensors of a cap, times."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

VOXEL, SENSOR = ("i", "j", "k"), ("channel_x", "channel_y", "channel_z")


def adjacency_of(units: xr.Dataset) -> sparse.coo_array | None:
    """Return which units are neighbours; None where nothing is known about it.

    Parameters
    ----------
    units
        Anything with a dimension ``unit`` and what tells where units are: ``i``, ``j``, ``k`` of
        voxels; ``channel``, ``time``, and ``channel_x``, ``channel_y``, ``channel_z`` (m) of
        sensors.

    Returns
    -------
    sparse matrix (unit, unit) of ones, symmetric, nothing on the diagonal; in the order of units.
    """
    known = {str(name) for name, one in units.coords.items() if one.dims == ("unit",)}
    if set(VOXEL) <= known:
        return voxel_adjacency(np.stack([units[axis].values for axis in VOXEL], axis=1))
    if {"channel", "time"} <= known:
        channel, time = units["channel"].values.astype(object), units["time"].values.astype(float)
        places = None
        if set(SENSOR) <= known:
            places = np.stack([units[axis].values for axis in SENSOR], axis=1).astype(float)
        return sensor_time_adjacency(channel, time, places)
    return None


def voxel_adjacency(voxels: NDArray[Any]) -> sparse.coo_array:
    """Return which voxels share a face (6 neighbours), whatever the shape of the mask.

    Parameters
    ----------
    voxels
        Indices in the grid, integers (voxel, 3).
    """
    pairs = cKDTree(np.asarray(voxels, dtype=np.float64)).query_pairs(1.01, output_type="ndarray")
    return _symmetric(pairs, len(voxels))


def sensor_adjacency(channels: list[str], places: NDArray[Any]) -> sparse.coo_array:
    """Return which sensors are neighbours, by MNE's triangulation of their places.

    Parameters
    ----------
    channels
        Names, each once.
    places
        In the head, (sensor, 3), m. Sensors of a helmet are projected as electrodes are. Sensors
        without a place, or fewer than four, have no neighbours.
    """
    import mne  # only here: it takes seconds to import

    known = np.flatnonzero(np.isfinite(places).all(1))
    if len(known) < 4:
        return _symmetric(np.empty((0, 2), dtype=np.intp), len(channels))
    info = mne.create_info([str(k) for k in known], 100.0, "eeg", verbose="error")
    montage = mne.channels.make_dig_montage({str(k): places[k] for k in known}, coord_frame="head")
    info.set_montage(montage, verbose="error")
    with mne.use_log_level("error"):
        found, names = mne.channels.find_ch_adjacency(info, "eeg")
    edges = sparse.coo_array(found)
    order = np.array([int(name) for name in names], dtype=np.intp)
    pairs = np.stack([order[edges.row], order[edges.col]], axis=1)
    return _symmetric(pairs[pairs[:, 0] < pairs[:, 1]], len(channels))


def sensor_time_adjacency(
    channel: NDArray[Any], time: NDArray[Any], places: NDArray[Any] | None
) -> sparse.coo_array:
    """Return which pairs of sensor and time are neighbours: next in time, or next on the head.

    As ``mne.stats.combine_adjacency`` of times and sensors: neighbours have the sensor or the
    time in common.

    Parameters
    ----------
    channel, time
        Of each unit, (unit,); units may be in any order, and some may be lacking.
    places
        Of each unit's sensor, (unit, 3), m; None: sensors have no neighbours.
    """
    names, first, sensor = np.unique(channel.astype(str), return_index=True, return_inverse=True)
    times, moment = np.unique(np.round(time, 6), return_inverse=True)
    unit_at = np.full((len(names), len(times)), -1)
    unit_at[sensor, moment] = np.arange(len(channel))
    pairs = [np.stack([unit_at[:, :-1].ravel(), unit_at[:, 1:].ravel()], axis=1)]
    if places is not None:
        edges = sensor_adjacency(names.tolist(), places[first])
        once = edges.row < edges.col
        pairs.append(
            np.stack([unit_at[edges.row[once]].ravel(), unit_at[edges.col[once]].ravel()], axis=1)
        )
    joined = np.concatenate(pairs)
    return _symmetric(joined[(joined >= 0).all(1)], len(channel))


def _symmetric(pairs: NDArray[Any], n: int) -> sparse.coo_array:
    both = np.concatenate([pairs, pairs[:, ::-1]])
    return sparse.coo_array((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(n, n))
