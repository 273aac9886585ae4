"""Without an effect every test's p is uniform: 500 data sets and more, Kolmogorov-Smirnov.

Data sets are vectorised wherever the test itself is, so that the file takes seconds.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from fornix.evaluation.metrics import centred, unit_columns
from fornix.evaluation.permutation import p_value, permutations_within, sign_flips
from fornix.evaluation.statistics import clusters, effects, families, mixed, signs

SETS = 600


def is_uniform(p):
    """Return whether p could be uniform; discrete ones are spread within their steps."""
    return kstest(p, "uniform").pvalue > 0.01


def correlated(rng, sets, n, units):
    """Return noise (set, n, unit) whose units share half of their variance."""
    return rng.standard_normal((sets, n, units)) + rng.standard_normal((sets, n, 1))


def test_sign_flips_over_subjects():
    rng = np.random.default_rng(0)
    found = signs.sign_flip_test(rng.standard_normal((10, SETS)), 2000, rng)
    assert is_uniform(found.p)
    # Heavy tails change nothing, as long as they are symmetric.
    found = signs.sign_flip_test(rng.standard_t(2, (20, SETS)), 999, rng)
    assert is_uniform(found.p)


def test_sign_flips_corrected_for_all_units():
    rng = np.random.default_rng(1)
    p = [signs.sign_flip_test(one, 299, rng).p_max.min() for one in correlated(rng, SETS, 12, 15)]
    assert is_uniform(p)


def permuted_scores(rng, n=40, units=12, draws=199):
    """Return correlations of units with a model, and the null of items permuted within blocks."""
    blocks = np.repeat(np.arange(4), n // 4)
    brain = unit_columns(centred(correlated(rng, 1, n, units)[0], blocks))
    model = unit_columns(centred(rng.standard_normal((n, 1)), blocks))
    orders = permutations_within(blocks, draws, rng)
    return (model[:, 0] @ brain), model[orders, 0] @ brain


def test_block_permutation_alone_and_with_the_largest_score():
    rng = np.random.default_rng(2)
    single, largest = [], []
    for _ in range(SETS):
        observed, null = permuted_scores(rng)
        single.append(p_value(null, observed)[0])
        family = families.Family(len(null))
        family.add(observed[:5], null[:, :5])
        family.add(observed[5:], null[:, 5:])
        largest.append(family.corrected().min())
    assert is_uniform(single)
    assert is_uniform(largest)


def test_signs_of_differences():
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(30), 4)
    p = []
    for one in rng.standard_normal((SETS, 30)):
        differences = np.repeat(one, 4)
        p.append(float(p_value(sign_flips(differences, groups, 199, rng), differences.sum())))
    assert is_uniform(p)


def test_clusters_of_a_subject_with_a_null_of_permutations():
    rng = np.random.default_rng(4)
    kernel = np.hanning(7)
    p = []
    for _ in range(SETS):
        smooth = np.apply_along_axis(np.convolve, 1, rng.standard_normal((200, 46)), kernel)
        found = clusters.cluster_p(smooth[0], smooth[1:], forming=0.3)
        p.append(found.min())
    assert is_uniform(p)


def test_clusters_over_subjects_by_mne():
    rng = np.random.default_rng(5)
    kernel = np.hanning(6)[1:-1]
    p = []
    for _ in range(500):
        smooth = np.apply_along_axis(np.convolve, 1, rng.standard_normal((7, 20)), kernel)
        p.append(clusters.cluster_test(smooth, 63, rng, forming=0.3).min())
    assert is_uniform(p)


def test_t_and_mixed_model_over_subjects():
    rng = np.random.default_rng(6)
    p, t = [], []
    counts = rng.integers(1, 9, size=15)
    subjects = np.repeat(np.arange(15), counts)
    for _ in range(SETS):
        values = rng.standard_normal(15)[subjects] + rng.standard_normal(len(subjects))
        p.append(mixed.mixed_mean(values, subjects).p)
        t.append(effects.effect_of(rng.standard_normal(9)).p)
    assert is_uniform(p)
    assert is_uniform(t)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_false_discoveries_are_kept(share):
    """Share of false among all that are called true, over 500 studies of 100 units."""
    rng = np.random.default_rng(7)
    null = np.arange(100) >= 100 * share
    found = []
    for _ in range(500):
        effect = np.where(null, 0, 0.8)
        p = signs.sign_flip_test(rng.standard_normal((16, 100)) + effect, 1999, rng).p
        called = families.false_discovery(p) < 0.1
        found.append((called & null).sum() / max(1, called.sum()))
    # Without effects any call is false; the rate's standard error is 0.013.
    assert np.mean(found) < 0.1 * (1 - share) + 3 * 0.3 / np.sqrt(500)
    assert np.mean(found) > 0.02
