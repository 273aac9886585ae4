from __future__ import annotations

import numpy as np
import pytest

from fornix.evaluation.ceilings import (
    explainable_variance,
    intersubject,
    noise_ceiling,
    rsa_ceiling,
    split_half,
)
from fornix.evaluation.metrics import pearson_columns


def repeats(counts, share, n_units=400):
    """Return samples whose single-trial signal share of the variance is known, and the signal."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(len(counts), n_units)) * np.sqrt(share)
    stimuli = np.repeat(np.arange(len(counts)), counts)
    noise = rng.normal(size=(len(stimuli), n_units)) * np.sqrt(1 - share)
    return signal[stimuli] + noise, stimuli, signal


@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
def test_planted_ceiling_is_recovered(share):
    samples, stimuli, _ = repeats([3] * 200, share)
    expected = share / (share + (1 - share) / 3)
    found = noise_ceiling(samples, stimuli)
    # Standard error of the mean over 400 units, each with 600 samples.
    assert found.mean() == pytest.approx(expected, abs=0.01)


def test_ceiling_follows_nsds_formula_step_by_step():
    samples, stimuli, _ = repeats([3] * 60, 0.3, n_units=5)
    z = (samples - samples.mean(0)) / samples.std(0, ddof=1)
    noise = np.stack([z[stimuli == s].var(0, ddof=1) for s in range(60)]).mean(0)
    ncsnr = np.sqrt(np.maximum(0, 1 - noise)) / np.sqrt(noise)
    assert np.allclose(noise_ceiling(z, stimuli), ncsnr**2 / (ncsnr**2 + 1 / 3))
    # Nothing depends on the units of the responses.
    assert np.allclose(noise_ceiling(samples, stimuli), ncsnr**2 / (ncsnr**2 + 1 / 3))


def test_unequal_repeats_follow_nsds_rule():
    counts = [3] * 50 + [2] * 40 + [1] * 30
    samples, stimuli, _ = repeats(counts, 0.4)
    m = (50 / 3 + 40 / 2 + 30) / 120
    found = noise_ceiling(samples, stimuli)
    assert found.mean() == pytest.approx(0.4 / (0.4 + 0.6 * m), abs=0.015)
    single = noise_ceiling(samples, stimuli, np.ones(len(samples)))
    assert single.mean() == pytest.approx(0.4, abs=0.015)


def test_the_perfect_model_reaches_the_ceiling():
    samples, stimuli, signal = repeats([4] * 150, 0.25)
    means = np.stack([samples[stimuli == s].mean(0) for s in range(150)])
    reached = pearson_columns(means, signal).mean()
    assert np.sqrt(noise_ceiling(samples, stimuli)).mean() == pytest.approx(reached, abs=0.01)


@pytest.mark.parametrize("n_repeats", [3, 4])
def test_split_half_agrees_with_the_planted_reliability(n_repeats):
    samples, stimuli, _ = repeats([n_repeats] * 100, 0.3, n_units=200)
    found = split_half(samples, stimuli, 10, np.random.default_rng(0))
    assert found.mean() == pytest.approx(0.3 / (0.3 + 0.7 / n_repeats), abs=0.015)
    assert found.mean() == pytest.approx(noise_ceiling(samples, stimuli).mean(), abs=0.015)


def test_one_repeat_has_no_ceiling_and_constant_units_neither():
    samples, stimuli, _ = repeats([1] * 20, 0.5)
    found = noise_ceiling(samples, stimuli)
    assert np.isnan(found).all()
    assert np.isnan(split_half(samples, stimuli, 3, np.random.default_rng(0))).all()
    samples, stimuli, _ = repeats([2] * 20, 0.5, n_units=3)
    samples[:, 1] = 4.2
    assert np.isnan(noise_ceiling(samples, stimuli)).tolist() == [False, True, False]


def test_noise_alone_has_a_ceiling_near_zero():
    samples, stimuli, _ = repeats([3] * 200, 0.0)
    assert 0 <= noise_ceiling(samples, stimuli).mean() < 0.05


def test_rsa_ceiling_agrees_with_rsatoolbox():
    toolbox = pytest.importorskip("rsatoolbox")
    rng = np.random.default_rng(0)
    common = rng.random(190)
    brain = np.stack([common + rng.normal(size=190) * 0.4 for _ in range(5)], axis=1)
    reference = toolbox.inference.boot_noise_ceiling(toolbox.rdm.RDMs(brain.T), method="spearman")
    assert np.allclose(rsa_ceiling(brain), reference, atol=1e-6)
    assert np.isnan(rsa_ceiling(brain[:, :1])).all()


def test_the_planted_rsa_model_lies_between_the_ceilings():
    rng = np.random.default_rng(1)
    common = rng.random(1000)
    brain = np.stack([common + rng.normal(size=1000) * 0.3 for _ in range(6)], axis=1)
    lower, upper = rsa_ceiling(brain)
    from fornix.evaluation.metrics import spearman_columns

    assert lower <= spearman_columns(brain, common[:, None]).mean() <= upper


def test_intersubject_correlation_is_that_with_the_mean_of_the_others():
    values = np.random.default_rng(0).normal(size=(4, 50, 3)) + np.linspace(0, 3, 50)[:, None]
    found = intersubject(values)
    for subject in range(4):
        others = np.delete(values, subject, axis=0).mean(0)
        for unit in range(3):
            expected = np.corrcoef(values[subject, :, unit], others[:, unit])[0, 1]
            assert found[subject, unit] == pytest.approx(expected)


def test_intersubject_correlation_needs_two_subjects_and_a_unit_that_varies():
    values = np.random.default_rng(0).normal(size=(3, 20, 2))
    assert np.isnan(intersubject(values[:1])).all()
    values[1, :, 0] = 7
    found = intersubject(values)
    assert np.isnan(found[1, 0])
    assert np.isfinite(found[:, 1]).all()


@pytest.mark.parametrize("n", [2, 5])
def test_intersubject_correlation_recovers_a_planted_share(n):
    """Signal and noise of one variance: r with the mean of n - 1 others is known."""
    rng = np.random.default_rng(n)
    shared = rng.normal(size=(4000, 1))
    values = shared + rng.normal(size=(n, 4000, 1))
    expected = 1 / np.sqrt(2 * (1 + 1 / (n - 1)))
    assert intersubject(values).mean() == pytest.approx(expected, abs=0.03)


def planted(counts, share, *, units=3000, seed=3):
    """Return samples of many units, of which the signal's share of the variance is known."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(len(counts), units)) * np.sqrt(share)
    stimuli = np.repeat(np.arange(len(counts)), counts)
    return signal[stimuli] + rng.normal(size=(len(stimuli), units)) * np.sqrt(1 - share), stimuli


def bias(found, truth):
    """Return the mean error of an estimate over units, and its standard error."""
    return float(np.mean(found - truth)), float(np.std(found) / np.sqrt(len(found)))


@pytest.mark.parametrize("counts", [[3] * 80, [2] * 60 + [4] * 30 + [1] * 20])
def test_signal_power_is_unbiased_and_nsds_is_low_by_what_is_known(counts):
    share, counts = 0.4, np.array(counts)
    samples, stimuli = planted(counts, share)
    averaged = (1 / counts).mean()
    # Compared as the signal-to-noise ratio, in which both are close to linear.
    ratio = {
        name: averaged * one / (1 - one)
        for name, one in {
            "power": explainable_variance(samples, stimuli),
            "nsd": noise_ceiling(samples, stimuli),
        }.items()
    }
    df = counts.sum() - len(counts)
    inflated = df / (df - 2)  # the mean of 1 / noise variance, which is chi-squared
    off, error = bias(ratio["power"] / inflated, share / (1 - share))
    assert abs(off) < 0.012 + 3 * error
    n = counts.sum()
    missing = share * ((counts**2).sum() / n - 1) / (n - 1)
    off_nsd, error = bias(ratio["nsd"] / inflated, (share - missing) / (1 - share))
    assert abs(off_nsd) < 0.012 + 3 * error
    assert ratio["nsd"].mean() < ratio["power"].mean()


def test_signal_power_is_sahani_and_lindens():
    samples, stimuli = planted([4] * 30, 0.3, units=6)
    cube = samples.reshape(30, 4, 6)
    power = (4 * cube.mean(1).var(0) - cube.var(0).mean(0)) / 3
    noise = cube.var(1, ddof=1).mean(0)
    # Their powers are divided by the number of stimuli, ours by one less; it cancels for the mean.
    exact = (cube.mean(1).var(0, ddof=1) * 4 - noise) / 4
    assert power == pytest.approx(exact, abs=0.02)
    found = explainable_variance(samples, stimuli)
    assert found == pytest.approx(np.maximum(exact, 0) / (np.maximum(exact, 0) + noise / 4))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4, 0.8])
def test_every_ceiling_from_repeats_has_a_known_bias(share):
    """60 stimuli, three times each: docs/metrics.md tells these biases of the share."""
    samples, stimuli = planted([3] * 60, share)
    truth = share / (share + (1 - share) / 3)
    halves = split_half(samples, stimuli, 10, np.random.default_rng(0))
    found = {
        "repeats": noise_ceiling(samples, stimuli),
        "explainable_variance": explainable_variance(samples, stimuli),
        "split_half": np.maximum(halves, 0),
    }
    for name, one in found.items():
        off, error = bias(one, truth)
        if share == 0:
            # Cut at 0, what is left of noise is half of its spread.
            assert 0.02 < off < 0.09, name
        else:
            assert -0.035 - 3 * error < off < 0.01 + 3 * error, name


def test_the_mean_of_other_subjects_is_a_lower_bound_of_known_size():
    rng = np.random.default_rng(5)
    share, k = 0.4, 5
    signal = rng.normal(size=(300, 400)) * np.sqrt(share)
    subjects = signal + rng.normal(size=(k, 300, 400)) * np.sqrt(1 - share)
    found = intersubject(subjects)
    expected = share / np.sqrt(share + (1 - share) / (k - 1))
    off, error = bias(found.mean(0), expected)
    assert abs(off) < 0.003 + 3 * error
    assert expected < np.sqrt(share)


def test_one_repeat_has_no_signal_power_either():
    samples, stimuli = planted([1] * 30, 0.5, units=3)
    found = explainable_variance(samples, stimuli)
    assert np.isnan(found).all()
    samples, stimuli = planted([2] * 30, 0.5, units=3)
    samples[:, 1] = 4.2
    assert np.isnan(explainable_variance(samples, stimuli)).tolist() == [False, True, False]
