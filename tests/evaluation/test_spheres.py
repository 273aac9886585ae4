"""Searchlights against rsatoolbox's, and against plain loops."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from rsatoolbox.util.searchlight import get_searchlight_RDMs, get_volume_searchlight
from scipy.spatial.distance import cdist, pdist

from fornix.evaluation import spheres

N = 12


@pytest.fixture(scope="module")
def ball():
    """Voxels of a lopsided mask, places in mm (3 mm apart), and patterns in two parts."""
    rng = np.random.default_rng(0)
    grid = np.indices((7, 6, 5)).reshape(3, -1).T
    mask = np.zeros((7, 6, 5))
    mask[tuple(grid[cdist(grid, [[3, 2, 2]])[:, 0] < 3.3].T)] = 1
    voxels = np.argwhere(mask)
    return mask, voxels, 3.0 * voxels, rng.normal(size=(2, N, len(voxels)))


def volume(mask, patterns):
    whole = np.zeros((len(patterns), mask.size))
    whole[:, np.flatnonzero(mask.ravel())] = patterns
    return whole


@pytest.mark.parametrize("method", ["correlation", "euclidean"])
def test_spheres_are_rsatoolboxs(ball, method):
    mask, voxels, places, patterns = ball
    with contextlib.redirect_stdout(io.StringIO()):
        # No voxel is 2.5 voxels away: with and without the edge are the same.
        centres, neighbours = get_volume_searchlight(
            mask, radius=2.5, threshold=0.0, truncate_at_boundary=True
        )
        theirs = get_searchlight_RDMs(
            volume(mask, patterns[0]), centres, neighbours, np.arange(N), method, verbose=False
        ).dissimilarities
    members = spheres.sphere_members(places, 7.5)
    order = {at: k for k, at in enumerate(np.flatnonzero(mask.ravel()))}
    assert [one.tolist() for one in members] == [
        sorted(order[at] for at in one) for one in neighbours
    ]
    ours = spheres.sphere_rdms(patterns[:1], members, method)
    if method == "euclidean":  # theirs is squared, and divided by the number of voxels
        ours = ours**2 / np.array([len(one) for one in members])[:, None]
    assert len(voxels) > 60
    assert ours == pytest.approx(theirs, abs=1e-6)


def test_parts_are_averaged_and_spheres_keep_their_order(ball, monkeypatch):
    *_, places, patterns = ball
    monkeypatch.setattr(spheres, "BATCH_BYTES", 50_000)  # a few spheres at once
    members = spheres.sphere_members(places, 6.1)
    found = spheres.sphere_rdms(patterns, members, "correlation")
    for one, rdm in zip(members, found, strict=True):
        expected = [pdist(part[:, one], "correlation") for part in patterns]
        assert rdm == pytest.approx(np.mean(expected, axis=0), abs=1e-10)


def test_crossnobis_is_a_product_of_parts(ball):
    *_, places, patterns = ball
    members = spheres.sphere_members(places, 6.1)
    found = spheres.sphere_rdms(patterns, members, "crossnobis")
    first, second = np.triu_indices(N, 1)
    for one, rdm in zip(members, found, strict=True):
        a, b = (part[:, one][first] - part[:, one][second] for part in patterns)
        assert rdm == pytest.approx((a * b).sum(1) / len(one), abs=1e-10)


def test_flat_patterns_have_no_correlation(ball):
    *_, places, patterns = ball
    members = spheres.sphere_members(places, 4.0)
    flat = patterns.copy()
    flat[:, 3, members[0]] = 2.5
    found = spheres.sphere_rdms(flat, members, "correlation")
    assert np.isnan(found[0]).sum() == N - 1
    far = [k for k, one in enumerate(members) if not set(one) & set(members[0])]
    assert np.isfinite(found[far]).all()
