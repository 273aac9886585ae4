from __future__ import annotations

import numpy as np
import pytest

from fornix.evaluation.ceilings import intersubject, noise_ceiling, rsa_ceiling, split_half
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
    assert found.n_repeated == 200
    # Standard error of the mean over 400 units, each with 600 samples.
    assert found.share.mean() == pytest.approx(expected, abs=0.01)


def test_ceiling_follows_nsds_formula_step_by_step():
    samples, stimuli, _ = repeats([3] * 60, 0.3, n_units=5)
    z = (samples - samples.mean(0)) / samples.std(0, ddof=1)
    noise = np.stack([z[stimuli == s].var(0, ddof=1) for s in range(60)]).mean(0)
    ncsnr = np.sqrt(np.maximum(0, 1 - noise)) / np.sqrt(noise)
    assert np.allclose(noise_ceiling(z, stimuli).share, ncsnr**2 / (ncsnr**2 + 1 / 3))
    # Nothing depends on the units of the responses.
    assert np.allclose(noise_ceiling(samples, stimuli).share, ncsnr**2 / (ncsnr**2 + 1 / 3))


def test_unequal_repeats_follow_nsds_rule():
    counts = [3] * 50 + [2] * 40 + [1] * 30
    samples, stimuli, _ = repeats(counts, 0.4)
    m = (50 / 3 + 40 / 2 + 30) / 120
    found = noise_ceiling(samples, stimuli)
    assert found.n_repeated == 90
    assert found.share.mean() == pytest.approx(0.4 / (0.4 + 0.6 * m), abs=0.015)
    single = noise_ceiling(samples, stimuli, np.ones(len(samples)))
    assert single.share.mean() == pytest.approx(0.4, abs=0.015)


def test_the_perfect_model_reaches_the_ceiling():
    samples, stimuli, signal = repeats([4] * 150, 0.25)
    means = np.stack([samples[stimuli == s].mean(0) for s in range(150)])
    reached = pearson_columns(means, signal).mean()
    assert np.sqrt(noise_ceiling(samples, stimuli).share).mean() == pytest.approx(reached, abs=0.01)


@pytest.mark.parametrize("n_repeats", [3, 4])
def test_split_half_agrees_with_the_planted_reliability(n_repeats):
    samples, stimuli, _ = repeats([n_repeats] * 100, 0.3, n_units=200)
    found = split_half(samples, stimuli, 10, np.random.default_rng(0))
    assert found.mean() == pytest.approx(0.3 / (0.3 + 0.7 / n_repeats), abs=0.015)
    assert found.mean() == pytest.approx(noise_ceiling(samples, stimuli).share.mean(), abs=0.015)


def test_one_repeat_has_no_ceiling_and_constant_units_neither():
    samples, stimuli, _ = repeats([1] * 20, 0.5)
    found = noise_ceiling(samples, stimuli)
    assert found.n_repeated == 0
    assert np.isnan(found.share).all()
    assert np.isnan(split_half(samples, stimuli, 3, np.random.default_rng(0))).all()
    samples, stimuli, _ = repeats([2] * 20, 0.5, n_units=3)
    samples[:, 1] = 4.2
    assert np.isnan(noise_ceiling(samples, stimuli).share).tolist() == [False, True, False]


def test_noise_alone_has_a_ceiling_near_zero():
    samples, stimuli, _ = repeats([3] * 200, 0.0)
    assert 0 <= noise_ceiling(samples, stimuli).share.mean() < 0.05


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
