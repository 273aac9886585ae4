"""Distances of brain patterns: agreement with SciPy and rsatoolbox, and no bias where none is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist
from sklearn.covariance import LedoitWolf

from fornix.errors import FornixError
from fornix.models import distances, noise, rsa
from fornix.training.partitions import partition_means


def runs(n_runs=4, n=8, channels=12, seed=0, signal=1.0):
    """Return trials (run, stimulus, channel) of patterns and correlated noise, and the root."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(channels, channels)) + 2 * np.eye(channels)
    patterns = signal * rng.normal(size=(n, channels))
    return patterns + rng.normal(size=(n_runs, n, channels)) @ mix, patterns, mix


@pytest.mark.parametrize("n", [5, 300, 700])
def test_blocks_give_the_distances_of_scipy(n):
    X = np.random.default_rng(n).normal(size=(n, 40)) + 100
    assert np.allclose(distances.correlation(X), pdist(X, "correlation"))
    assert np.allclose(distances.squared_euclidean(X), pdist(X, "sqeuclidean"))


def test_duplicates_are_at_distance_zero():
    X = np.random.default_rng(0).normal(size=(20, 60)) + 1e4
    X[13] = X[2]
    assert rsa.model_rdm(X, "euclidean")[pdist(X) == 0].tolist() == [0]
    whole = np.random.default_rng(0).integers(0, 3, size=(30, 60))
    assert np.array_equal(distances.squared_euclidean(whole), pdist(whole, "sqeuclidean"))


def test_mahalanobis_and_crossnobis_are_rsatoolboxs():
    toolbox = pytest.importorskip("rsatoolbox")
    trials, _, mix = runs()
    precision = np.linalg.inv(mix.T @ mix)
    values, vectors = np.linalg.eigh(precision)
    root = (vectors * np.sqrt(values)) @ vectors.T
    labels = {"stimulus": np.tile(np.arange(8), 4), "run": np.repeat(np.arange(4), 8)}
    data = toolbox.data.Dataset(trials.reshape(32, -1), obs_descriptors=labels)
    expected = toolbox.rdm.calc_rdm(
        data, "crossnobis", descriptor="stimulus", noise=precision, cv_descriptor="run"
    )
    assert np.allclose(distances.crossnobis(trials, root), expected.get_vectors()[0])
    expected = toolbox.rdm.calc_rdm(data, "mahalanobis", descriptor="stimulus", noise=precision)
    assert np.allclose(distances.mahalanobis(trials.mean(0), root), expected.get_vectors()[0])


def test_crossnobis_is_unbiased_where_mahalanobis_is_not():
    """500 sets of noise alone: the mean distance is 0 within 4 standard errors."""
    found = []
    for seed in range(500):
        trials, _, _ = runs(seed=seed, signal=0.0, n=4)
        rdm = distances.crossnobis(trials)
        found.append((rdm.mean(), distances.mahalanobis(trials.mean(0)).mean()))
    crossed, plain = np.array(found).T
    assert abs(crossed.mean()) < 4 * crossed.std() / np.sqrt(500)
    assert (crossed < 0).mean() > 0.3
    assert plain.min() > 0


def test_the_whitener_is_a_root_of_ledoit_and_wolfs_precision():
    trials, _, _ = runs(n_runs=30)
    stimuli = np.tile(np.arange(8), 30)
    once = np.arange(30).repeat(8)
    sets = noise.noise_sets(stimuli, once, np.zeros(240))
    assert len(set(sets)) == 1  # no run shows a stimulus twice: the session is the set
    rest, degrees = noise.residuals(trials.reshape(240, -1), stimuli, sets, where="V1")
    assert degrees == 232
    assert np.allclose(rest, (trials - trials.mean(0)).reshape(240, -1))
    root = noise.whitener(rest, degrees, where="V1")
    expected = LedoitWolf(assume_centered=True).fit(rest).covariance_ * 240 / 232
    assert np.allclose(root @ root.T, np.linalg.inv(expected))
    assert np.allclose(root, root.T)


def test_repeats_within_runs_are_compared_within_runs():
    stimuli, run = np.tile(np.arange(3), 4), np.repeat([0, 1], 6)
    assert len(set(noise.noise_sets(stimuli, run, np.zeros(12)))) == 2


def test_noise_of_stimuli_shown_once_is_an_error():
    once = np.arange(6)
    with pytest.raises(FornixError, match="hardly ever repeated"):
        rsa.noise_whitener(np.ones((6, 3)), once, once * 0, once * 0, where="V1")


def test_noise_of_channels_that_never_vary_is_an_error():
    stimuli = np.repeat(np.arange(3), 4)
    silent = np.repeat(np.random.default_rng(0).normal(size=(3, 5)), 4, axis=0)
    with pytest.raises(FornixError, match="5 of 5 channels don't vary"):
        rsa.noise_whitener(silent, stimuli, stimuli * 0, stimuli * 0, where="V1")


def test_equal_patterns_are_an_error_that_names_the_region():
    flat = np.ones((4, 6))
    for distance in ("euclidean", "mahalanobis"):
        with pytest.raises(FornixError, match="nothing to compare") as caught:
            rsa.brain_rdm(flat, distance, where="sub-01, V1")
        assert "sub-01, V1" in str(caught.value)


def table(stimuli, run, session=None):
    session = np.zeros(len(run), int) if session is None else session
    return pd.DataFrame({"stimulus": stimuli, "run": run, "session": session}).astype(str)


def test_partitions_are_runs_where_each_shows_every_stimulus():
    trials, _, _ = runs(n=3)
    notes: list[str] = []
    stimuli, means = partition_means(
        trials.reshape(12, -1),
        table(list("abc") * 4, np.repeat(range(4), 3)),
        "auto",
        notes,
        where="x",
    )
    assert stimuli.tolist() == ["a", "b", "c"]
    assert np.allclose(means, trials)
    assert notes == ["distances are cross-validated over 4 runs"]


def test_partitions_are_repeats_where_runs_share_too_little():
    # Three stimuli a run, each in two runs (in different order), c thrice.
    shown = ["a", "b", "c", "c", "d", "c", "d", "b", "a"]
    run = [0, 0, 0, 1, 1, 2, 2, 2, 2]
    notes: list[str] = []
    values = np.arange(9.0)[:, None]
    stimuli, means = partition_means(values, table(shown, run), "auto", notes, where="x")
    assert stimuli.tolist() == ["a", "b", "c", "d"]
    assert means[:, :, 0].tolist() == [[0, 1, 2, 4], [8, 7, 3, 6]]
    assert notes == ["distances are cross-validated over 2 repeats in different runs"]


def test_one_run_has_no_crossnobis():
    with pytest.raises(FornixError, match="there is one run only"):
        partition_means(np.ones((6, 2)), table(list("abcabc"), [0] * 6), "auto", [], where="x")
