"""Neighbours of voxels are scikit-learn's, those of sensors and times MNE's."""

from __future__ import annotations

import mne
import numpy as np
import pytest
import xarray as xr
from scipy.stats import kstest
from sklearn.feature_extraction.image import grid_to_graph

from fornix.evaluation import adjacency
from fornix.evaluation.statistics.clusters import cluster_p, cluster_test


def dense(matrix):
    found = np.asarray(matrix.todense()) > 0
    np.fill_diagonal(found, val=False)
    return found


def test_voxels_of_a_mask():
    mask = np.random.default_rng(0).random((6, 5, 4)) < 0.6
    voxels = np.argwhere(mask)
    units = xr.Dataset(coords={axis: ("unit", voxels[:, k]) for k, axis in enumerate("ijk")})
    expected = dense(grid_to_graph(*mask.shape, mask=mask))
    assert expected.any()
    assert (dense(adjacency.adjacency_of(units)) == expected).all()


@pytest.fixture(scope="module")
def cap():
    """Sixteen sensors at 5 times, in the order of encoding's units."""
    montage = mne.channels.make_standard_montage("biosemi16")
    names = montage.ch_names
    info = mne.create_info(names, 100.0, "eeg", verbose="error")
    info.set_montage(montage, verbose="error")
    places = np.stack([one["loc"][:3] for one in info["chs"]])
    times = np.arange(5) / 10
    coords = {
        "channel": ("unit", np.repeat(np.array(names, dtype=object), 5)),
        "time": ("unit", np.tile(times, 16)),
    }
    coords |= {
        f"channel_{axis}": ("unit", np.repeat(places[:, k], 5)) for k, axis in enumerate("xyz")
    }
    return info, xr.Dataset(coords=coords)


def test_sensors_and_times(cap):
    info, units = cap
    sensors, names = mne.channels.find_ch_adjacency(info, "eeg")
    assert names == info.ch_names
    # MNE has times outside and sensors inside.
    expected = dense(mne.stats.combine_adjacency(5, sensors))
    order = np.arange(80).reshape(5, 16).T.ravel()
    expected = expected[np.ix_(order, order)]
    assert (dense(adjacency.adjacency_of(units)) == expected).all()
    # In any order, and with units left out.
    some = np.random.default_rng(0).permutation(80)[:60]
    found = dense(adjacency.adjacency_of(units.isel(unit=some)))
    assert (found == expected[np.ix_(some, some)]).all()


def test_without_places_times_are_neighbours_and_sensors_are_not(cap):
    _, units = cap
    bare = units.drop_vars([f"channel_{axis}" for axis in "xyz"])
    found = dense(adjacency.adjacency_of(bare))
    channel = units["channel"].values
    first, second = np.nonzero(found)
    assert found.sum() == 2 * 16 * 4
    assert (channel[first] == channel[second]).all()
    assert adjacency.adjacency_of(xr.Dataset(coords={"unit": ("unit", np.arange(3))})) is None


def blob():
    mask = np.ones((6, 6, 6), dtype=bool)
    voxels = np.argwhere(mask)
    inside = (np.abs(voxels - 1) <= 1).all(1)  # a cube of 27 voxels in a corner
    return adjacency.voxel_adjacency(voxels), inside


def test_a_cube_in_a_volume_is_one_cluster_over_subjects_and_within_one():
    neighbours, inside = blob()
    rng = np.random.default_rng(1)
    values = rng.standard_normal((10, len(inside)))
    values[:, inside] += 2.0
    found = cluster_test(values, 300, rng, adjacency=neighbours)
    assert (found[inside] < 0.02).all()
    assert (found[~inside] > 0.05).mean() > 0.9
    null = rng.standard_normal((300, len(inside)))
    observed = np.where(inside, 2.5, 0.0)
    found = cluster_p(observed, null, adjacency=neighbours)
    assert found[inside] == pytest.approx(1 / 301)
    assert (found[~inside] == 1).all()


def test_clusters_of_one_dimension_are_those_of_times():
    rng = np.random.default_rng(2)
    null = rng.standard_normal((200, 40))
    observed = rng.standard_normal(40) + 1
    line = adjacency.voxel_adjacency(np.argwhere(np.ones((40, 1, 1))))
    assert cluster_p(observed, null, adjacency=line) == pytest.approx(cluster_p(observed, null))


def test_p_of_clusters_of_sensors_and_times_is_uniform_without_an_effect(cap):
    neighbours = adjacency.adjacency_of(cap[1])
    rng = np.random.default_rng(4)
    p = [
        cluster_test(rng.standard_normal((8, 80)), 63, rng, adjacency=neighbours, forming=0.2).min()
        for _ in range(120)
    ]
    assert kstest(p, "uniform").pvalue > 0.01


def test_p_of_clusters_in_a_volume_is_uniform_without_an_effect():
    neighbours = adjacency.voxel_adjacency(np.argwhere(np.ones((4, 4, 3))))
    rng = np.random.default_rng(3)
    p = []
    for _ in range(120):
        noise = rng.standard_normal((100, 48))
        p.append(cluster_p(noise[0], noise[1:], adjacency=neighbours, forming=0.3).min())
    assert kstest(p, "uniform").pvalue > 0.01
