"""Multivariate noise normalisation, against its definition carried out step by step."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power, sqrtm
from sklearn.covariance import LedoitWolf

from fornix.errors import FornixError
from fornix.preprocess.whitening import noise_covariance, whiten

EVERY = np.ones(60, dtype=bool)


def trials(n_repeats=3, n_stimuli=20, n_channels=5, n_times=4, seed=0):
    """Return epochs, the stimulus of each, and the planted covariance of the noise."""
    random = np.random.default_rng(seed)
    mixing = random.standard_normal((n_channels, n_channels))
    signal = 5 * random.standard_normal((n_stimuli, n_channels, n_times))
    stimuli = np.tile(np.arange(n_stimuli), n_repeats)
    noise = np.einsum(
        "cd,sdt->sct", mixing, random.standard_normal((len(stimuli), n_channels, n_times))
    )
    return (signal[stimuli] + noise).astype(np.float32), stimuli.astype(str), mixing @ mixing.T


def test_whitening_is_its_definition():
    """Guggenmos et al. 2018: residuals, shrunk covariance a time, mean over times, inverse root."""
    epochs, stimuli, _ = trials()
    residuals = np.empty(epochs.shape)
    for name in set(stimuli):
        mine = stimuli == name
        residuals[mine] = epochs[mine] - epochs[mine].mean(0)
    residuals *= np.sqrt(3 / 2)
    covariance = np.mean(
        [
            LedoitWolf(assume_centered=True).fit(residuals[:, :, t]).covariance_
            for t in range(epochs.shape[2])
        ],
        axis=0,
    )
    expected = np.einsum("cd,sdt->sct", fractional_matrix_power(covariance, -0.5), epochs)
    np.testing.assert_allclose(whiten(epochs, stimuli, EVERY, where="r"), expected, rtol=1e-4)


@pytest.mark.parametrize("n_repeats", [2, 10])
def test_noise_is_measured_without_bias_whatever_the_number_of_repeats(n_repeats):
    epochs, stimuli, planted = trials(n_repeats, n_stimuli=400, n_times=10)
    found = noise_covariance(epochs, stimuli, np.ones(len(stimuli), dtype=bool), where="r")
    # 4,000 residuals or more: a covariance is known to 2 or 3 %, and shrunk by less.
    assert found == pytest.approx(planted, abs=0.06 * np.abs(planted).max())


def test_signals_do_not_count_and_stimuli_that_were_shown_once_do_not_matter():
    epochs, stimuli, _ = trials()
    found = noise_covariance(epochs, stimuli, EVERY, where="r")
    moved = epochs + (1000 * (stimuli.astype(int) % 7))[:, None, None].astype(np.float32)
    np.testing.assert_allclose(noise_covariance(moved, stimuli, EVERY, where="r"), found, rtol=1e-2)
    more = np.concatenate([epochs, 100 + epochs[:5]])
    names = np.concatenate([stimuli, [f"once{i}" for i in range(5)]])
    again = noise_covariance(more, names, np.ones(65, dtype=bool), where="r")
    np.testing.assert_allclose(again, found, rtol=1e-6)


def test_noise_is_measured_on_the_trials_that_are_named():
    epochs, stimuli, _ = trials()
    first = np.arange(60) < 40
    found = noise_covariance(epochs, stimuli, first, where="r")
    wild = epochs.copy()
    wild[40:] *= 50
    np.testing.assert_array_equal(noise_covariance(wild, stimuli, first, where="r"), found)


def test_a_direction_that_a_reference_took_away_stays_small():
    epochs, stimuli, _ = trials()
    epochs -= epochs.mean(1, keepdims=True)
    found = whiten(epochs, stimuli, EVERY, where="r")
    assert np.isfinite(found).all()
    assert np.abs(sqrtm(np.cov(found[:, :, 0].T))).max() < 50


def test_without_repeats_noise_is_unknown():
    epochs, stimuli, _ = trials(n_repeats=1)
    with pytest.raises(FornixError, match="no stimulus was shown twice") as caught:
        whiten(epochs, stimuli, np.ones(20, dtype=bool), where="run.fif")
    assert caught.value.where == "run.fif"
