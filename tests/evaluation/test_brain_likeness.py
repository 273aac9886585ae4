"""Where and when layers predict best is recovered; layers in another order are at chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from fornix.evaluation import brain_likeness as likeness


def profile(peaks, n, width, noise, rng):
    """Return scores (peak, n) that rise and fall about a planted place."""
    bumps = 0.4 * np.exp(-(((np.arange(n) - np.asarray(peaks)[:, None]) / width) ** 2))
    return bumps + noise * rng.standard_normal(bumps.shape)


def test_the_best_layer_and_time_are_the_planted_ones():
    rng = np.random.default_rng(0)
    planted = np.array([0, 0, 1, 2, 3, 3, 4, 5])  # best of six layers, region by region
    found = profile(planted, 6, 1.5, 0.01, rng).T
    assert np.allclose(likeness.best_layers(found), planted / 5)
    assert likeness.spatial_score(found, np.arange(8)) == pytest.approx(
        np.corrcoef(planted, np.arange(8))[0, 1]
    )
    times = np.arange(40) / 100
    peaks = [5, 8, 12, 15, 21, 30]
    found = profile(peaks, 40, 4, 0.005, rng)
    assert np.abs(likeness.best_times(found, times) - times[peaks]).max() <= 0.02
    assert likeness.temporal_score(found, times) > 0.97
    assert likeness.temporal_score(found[::-1], times) < -0.97


def test_scores_keep_further_axes():
    rng = np.random.default_rng(0)
    many = rng.random((7, 3, 5, 9))
    position = rng.random(9)
    found = likeness.spatial_score(many, position)
    assert found.shape == (7, 3)
    assert found[4, 2] == pytest.approx(float(likeness.spatial_score(many[4, 2], position)))
    assert likeness.temporal_score(many, np.arange(9.0)).shape == (7, 3)
    assert likeness.encoding_score(many).shape == (7, 3, 5)


def test_places_without_a_score_are_left_out():
    found = np.array([[0.1, np.nan, 0.4, 0.3, 0.2], [0.3, 0.2, 0.1, 0.4, 0.5]])
    assert np.isnan(likeness.best_layers(found)[1])
    expected = np.corrcoef([1, 0, 1, 1], [0, 2, 3, 4])[0, 1]
    assert likeness.spatial_score(found, np.arange(5)) == pytest.approx(expected)
    assert likeness.encoding_score(found)[0] == pytest.approx(0.25)
    assert np.isnan(likeness.encoding_score(np.full((2, 3), np.nan))).all()


def test_one_layer_that_is_best_everywhere_says_nothing_of_the_hierarchy():
    found = np.stack([np.full(6, 0.4), np.full(6, 0.1), np.full(6, 0.2)])
    assert likeness.spatial_score(found, np.arange(6)) == 0
    p, _ = likeness.permuted_correlation(
        likeness.best_layers(found), np.arange(6), 200, np.random.default_rng(0)
    )
    assert p == 1
    assert np.isnan(likeness.spatial_score(found[:, :2], np.arange(2)))
    assert np.isnan(likeness.spatial_score(found, np.zeros(6)))


def test_few_places_have_all_their_permutations():
    rng = np.random.default_rng(0)
    p, null = likeness.permuted_correlation(np.arange(4.0), np.arange(4.0), 1000, rng)
    assert len(null) == 23
    assert p == pytest.approx(1 / 24)
    p, null = likeness.permuted_correlation(np.arange(9.0), np.arange(9.0), 500, rng)
    assert len(null) == 500
    assert p == pytest.approx(1 / 501)
    assert np.isnan(likeness.permuted_correlation(np.arange(9.0), np.arange(9.0), 0, rng)[0])


@pytest.mark.parametrize("places", [8, 12])
def test_p_of_a_spatial_score_is_uniform_without_a_hierarchy(places):
    """600 profiles of layers that prefer regions at random, many more layers than ties."""
    rng = np.random.default_rng(places)
    position = np.arange(places, dtype=float)
    depth = likeness.best_layers(rng.random((600, 64, places)))
    p = [likeness.permuted_correlation(one, position, 199, rng)[0] for one in depth]
    assert kstest(p, "uniform").pvalue > 0.01


def test_half_time_is_where_the_planted_curve_crosses_half():
    steps = np.array([0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000])
    rate = np.array([30.0, 300.0])
    curves = 0.5 * (1 - np.exp(-steps / rate[:, None]))
    found = likeness.half_time(steps, curves)
    exact = -rate * np.log(1 - 0.5 * curves[:, -1] / 0.5)
    # Chords of a concave curve lie below it by less than 5 % of its height on this grid.
    assert np.abs(found / exact - 1).max() < 0.12
    fine = np.arange(2001)
    curves = 0.5 * (1 - np.exp(-fine / rate[:, None]))
    assert likeness.half_time(fine, curves) == pytest.approx(exact, rel=1e-3)
    assert (np.diff(found) > 0).all()


def test_half_time_counts_from_a_baseline_if_one_is_given():
    steps = np.array([0, 10, 20, 30, 40])
    scores = np.array([0.2, 0.25, 0.3, 0.35, 0.4])
    assert likeness.half_time(steps, scores) == 0  # the untrained model has half of it already
    assert likeness.half_time(steps, scores, baseline=0.2) == pytest.approx(20)
    assert likeness.half_time(steps, scores, baseline=0.2, logarithmic=True) == pytest.approx(20)
    assert np.isnan(likeness.half_time(steps, scores, baseline=0.5))
    assert np.isnan(likeness.half_time(steps, [0, 0.1, np.nan, 0.2, 0.2]))
    with pytest.raises(ValueError, match="ascend"):
        likeness.half_time([0, 20, 10], [0, 0.1, 0.2])
