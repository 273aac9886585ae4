"""Clusters: a planted one is found whole, by both ways; maps have neighbours of their own."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from fornix.evaluation.statistics import clusters


def test_a_planted_stretch_of_time_is_one_cluster():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((10, 60))
    values[:, 20:32] += 1.6
    found = clusters.cluster_test(values, 500, rng)
    assert (found[21:31] < 0.01).all()
    assert (found[np.r_[:17, 36:60]] > 0.05).all()
    null = rng.standard_normal((500, 60))
    observed = np.where((np.arange(60) >= 20) & (np.arange(60) < 32), 2.5, 0)
    found = clusters.cluster_p(observed, null)
    assert found[20:32] == pytest.approx(1 / 501)
    assert (np.delete(found, np.arange(20, 32)) == 1).all()


def test_sizes_are_summed_over_a_cluster_and_series_are_kept_apart():
    t = np.array([[0, 2, 3, 0, 4, 5, 0, 2.0]])
    assert clusters._sizes(t, 1, None).tolist() == [[0, 5, 5, 0, 9, 9, 0, 2]]
    begins = np.zeros(8, dtype=bool)
    begins[[0, 5]] = True
    assert clusters._sizes(t, 1, begins).tolist() == [[0, 5, 5, 0, 4, 5, 0, 2]]


def test_places_of_a_map_are_neighbours_as_the_adjacency_says():
    rng = np.random.default_rng(1)
    values = rng.standard_normal((9, 12))
    ring = [0, 3, 6, 9]
    values[:, ring] += 1.5
    pairs = np.array([(ring[i], ring[(i + 1) % 4]) for i in range(4)])
    ones = np.ones(len(pairs))
    adjacency = sparse.coo_array((ones, pairs.T), shape=(12, 12))
    adjacency = sparse.coo_array(adjacency + adjacency.T)
    found = clusters.cluster_test(values, 500, rng, adjacency=adjacency)
    assert (found[ring] < 0.05).all()
    assert len(set(found[ring])) == 1


def test_nothing_that_varies_and_nobody_to_flip():
    rng = np.random.default_rng(2)
    values = rng.standard_normal((8, 5))
    values[:, 2] = 0
    assert clusters.cluster_test(values, 50, rng)[2] == 1
    assert np.isnan(clusters.cluster_test(values[:1], 50, rng)).all()
    assert np.isnan(clusters.cluster_p(np.ones(4), np.empty((0, 4)))).all()
