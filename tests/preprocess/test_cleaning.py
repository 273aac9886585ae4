from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from scipy import linalg
from scipy.signal import detrend, periodogram
from scipy.stats import zscore

from fornix.errors import FornixError
from fornix.preprocess.cleaning import clean_signals, filter_of, read_signals
from fornix.study.responses import FmriResponses


def section(**settings):
    return FmriResponses(kind="fmri", dataset="d", **settings)


@pytest.fixture
def signals():
    rng = np.random.default_rng(0)
    drift = np.linspace(0, 20, 150)[:, None]
    return (100 + drift + rng.normal(size=(150, 6))).astype(np.float32)


def test_detrend_and_zscore_are_scipys(signals):
    found = clean_signals(signals, section(high_pass=None), 2.0, None, "r")
    expected = zscore(detrend(signals.astype(float), axis=0), ddof=1)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_high_pass_is_a_projection_on_cosines_and_confounds(signals):
    rng = np.random.default_rng(1)
    confounds = rng.normal(size=(150, 2))
    settings = section(high_pass=0.01, standardize=False)
    found = clean_signals(signals, settings, 2.0, confounds, "r")
    n = np.arange(150)
    # A discrete cosine of order k has the frequency k / (2 * length of the run).
    orders = range(1, int(2 * 150 * 2.0 * 0.01) + 1)
    cosines = [np.cos(np.pi * (n + 0.5) * k / 150) for k in orders]
    nuisance = detrend(np.column_stack([*cosines, confounds]), axis=0)
    plain = detrend(signals.astype(float), axis=0)
    expected = plain - nuisance @ linalg.lstsq(nuisance, plain)[0]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_low_pass_leaves_no_power_above_the_cut_off(signals):
    settings = section(high_pass=0.01, low_pass=0.08)
    assert filter_of(settings) == "butterworth"
    found = clean_signals(signals, settings, 2.0, None, "r")
    frequency, power = periodogram(found, fs=0.5, axis=0)
    assert power[frequency > 0.12].sum() < 0.02 * power.sum()


def test_blocks_of_voxels_give_the_same_as_all_at_once(signals, monkeypatch):
    whole = clean_signals(signals, section(), 2.0, None, "r")
    monkeypatch.setattr("fornix.preprocess.cleaning.BLOCK", 4)
    np.testing.assert_array_equal(clean_signals(signals, section(), 2.0, None, "r"), whole)


@pytest.mark.parametrize("band", [{"low_pass": 0.3}, {"high_pass": 0.1, "low_pass": 0.05}])
def test_an_impossible_band_is_an_error_with_the_limit(signals, band):
    with pytest.raises(FornixError, match="pass band") as caught:
        clean_signals(signals, section(**band), 2.0, None, "run-01_bold.nii.gz")
    assert "0.25 Hz" in caught.value.mend
    assert "run-01" in caught.value.where


def test_constant_and_broken_voxels_are_marked_on_the_raw_data():
    rng = np.random.default_rng(0)
    data = rng.normal(100, 1, (4, 3, 2, 20)).astype(np.float32)
    data[0, 0, 0] = 5
    data[1, 1, 1, 7] = np.nan
    image = nib.Nifti1Image(data, np.diag([3.0, 3.0, 3.0, 1.0]))
    for smoothing in (None, 4.0):
        signals, usable = read_signals(image, np.ones((4, 3, 2), bool), smoothing)
        assert signals.shape == (20, 24)
        assert np.isfinite(signals).all()
        voxels = np.argwhere(np.ones((4, 3, 2), bool))
        assert voxels[~usable].tolist() == [[0, 0, 0], [1, 1, 1]]


def test_smoothing_has_the_width_that_is_asked_for():
    data = np.zeros((41, 41, 41, 2), np.float32)
    data[20, 20, 20] = [1000, 2000]
    data += np.random.default_rng(0).normal(0, 1e-3, data.shape).astype(np.float32)
    image = nib.Nifti1Image(data, np.diag([2.0, 2.0, 2.0, 1.0]))
    signals, _ = read_signals(image, np.ones((41, 41, 41), bool), 8.0)
    profile = signals[0].reshape(41, 41, 41)[20, 20]
    # At half the full width from the centre, 4 mm or 2 voxels, half the height is left.
    assert profile[22] / profile[20] == pytest.approx(0.5, abs=0.02)
