"""The world of graded geometries: what people share, and what they don't."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from fornix.simulate.geometry import points, signals
from fornix.study.worlds.geometry import GeometryWorld


def world(**settings):
    return GeometryWorld(name="geometry", **{"n_images": 60, "n_voxels": 200} | settings)


def test_areas_change_by_the_planted_step():
    found = points(world(n_dimensions=400, step=0.3))
    flat = found.reshape(len(found), -1)
    r = np.corrcoef(flat)
    # 24,000 numbers: standard error 0.0065.
    assert r[0, 1] == pytest.approx(np.sqrt(0.7), abs=0.03)
    assert r[0, 4] == pytest.approx(0.7**2, abs=0.03)


def test_people_share_distances_and_no_patterns():
    one = world()
    first, second = (signals(one, name)[:, :200] for name in ("01", "02"))
    assert np.corrcoef(pdist(first), pdist(second))[0, 1] > 0.9
    # Voxels of two people are random projections of ten dimensions.
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.1
    assert np.allclose(first.mean(0), 0)
    assert np.allclose(first.std(0), 1)
    assert not signals(one, "01")[:, 8 * 200 :].any()


def test_outliers_spoil_large_distances_only():
    plain, heavy = (signals(world(outliers=share), "01")[:, :200] for share in (0.0, 0.15))
    other = signals(world(outliers=0.15), "02")[:, :200]
    moved = np.flatnonzero(np.abs(heavy - plain).max(1) > 1e-9)
    assert 2 <= len(moved) <= 20
    far = pdist(heavy) > 1.5 * np.median(pdist(plain))
    near = ~far & (pdist(other) <= np.median(pdist(other)))
    assert far.any()
    r = np.corrcoef(pdist(heavy)[near], pdist(other)[near])[0, 1]
    assert r > np.corrcoef(pdist(heavy), pdist(other))[0, 1] + 0.2
