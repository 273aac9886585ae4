from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score

from fornix.evaluation import metrics


def pair(n=50, t=6, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, t))
    return a, a + rng.normal(size=(n, t))


def test_pearson_agrees_with_scipy_and_himalaya():
    from himalaya.scoring import correlation_score

    a, b = pair()
    found = metrics.pearson_columns(a, b)
    assert np.allclose(found, [pearsonr(a[:, i], b[:, i])[0] for i in range(6)])
    assert np.allclose(found, correlation_score(a, b))


def test_r2_agrees_with_scikit_learn_and_himalaya():
    from himalaya.scoring import r2_score as himalaya_r2

    a, b = pair()
    assert np.allclose(metrics.r2_columns(a, b), r2_score(a, b, multioutput="raw_values"))
    assert np.allclose(metrics.r2_columns(a, b), himalaya_r2(a, b))


def test_constant_columns():
    a, b = pair(t=3)
    a[:, 0], b[:, 1] = 0.1, 0.1
    assert np.isnan(metrics.pearson_columns(a, b)).tolist() == [True, False, False]
    assert metrics.pearson_columns(a, b)[1] == 0
    assert np.isnan(metrics.r2_columns(a, b)).tolist() == [True, False, False]
    assert np.isnan(metrics.spearman_columns(a, b)[0]).all()
    fold = np.arange(50) % 5
    assert np.isnan(metrics.held_out_correlation(a, b, fold)).tolist() == [True, False, False]
    assert metrics.held_out_correlation(a, b, fold)[1] == 0


def test_held_out_correlation_is_the_weighted_mean_over_folds():
    a, b = pair()
    fold = np.repeat([0, 1, 2], [10, 15, 25])
    each = [[pearsonr(a[fold == f, i], b[fold == f, i])[0] for f in range(3)] for i in range(6)]
    expected = np.average(each, axis=1, weights=[9, 14, 24])
    assert np.allclose(metrics.held_out_correlation(a, b, fold), expected)
    # Offsets and scales that differ between folds (sessions) don't matter.
    moved = b * np.array([1, 10, 3])[fold][:, None] + np.array([0, 100, -5])[fold][:, None]
    assert np.allclose(metrics.held_out_correlation(a, moved, fold), expected)


@pytest.mark.parametrize("folds", [5, 60])
def test_the_training_mean_predicts_nothing(folds):
    """On concatenated predictions, the mean of the others correlates at about -sqrt(k / n)."""
    observed = np.random.default_rng(0).normal(size=(60, 200))
    fold = np.arange(60) % folds
    predicted = np.stack([observed[fold != f].mean(0) for f in fold])
    assert metrics.pearson_columns(observed, predicted).mean() < -0.2
    assert np.allclose(metrics.held_out_correlation(observed, predicted, fold), 0, atol=1e-6)


def test_auc_agrees_with_scikit_learn_within_one_fold():
    rng = np.random.default_rng(0)
    labels = rng.random(40) < 0.4
    scores = np.round(labels[:, None] + rng.normal(size=(40, 3)), 1)
    fold = np.zeros(40)
    found = metrics.auc(labels, metrics.fold_ranks(scores, fold), fold)
    assert np.allclose(found, [roc_auc_score(labels, scores[:, t]) for t in range(3)])


def test_auc_counts_pairs_within_folds_only():
    rng = np.random.default_rng(0)
    labels, fold = rng.random(60) < 0.5, np.arange(60) % 3
    scores = labels + rng.normal(size=60)
    pairs = [(labels[fold == f].sum(), (~labels[fold == f]).sum()) for f in range(3)]
    each = [roc_auc_score(labels[fold == f], scores[fold == f]) for f in range(3)]
    expected = np.average(each, weights=[a * b for a, b in pairs])
    # Each fold's classifier has its own offset.
    shifted = (scores + 100 * fold)[:, None]
    assert np.isclose(metrics.auc(labels, metrics.fold_ranks(shifted, fold), fold)[0], expected)


def test_auc_leaves_out_folds_of_one_class():
    labels = np.array([True, True, True, False, True, False])
    fold = np.array([0, 0, 1, 1, 1, 1])
    scores = np.array([9.0, 9, 2, 1, 0, 3])[:, None]
    found = metrics.auc(labels, metrics.fold_ranks(scores, fold), fold)
    assert np.isclose(found[0], roc_auc_score(labels[2:], scores[2:, 0]))
    alone = metrics.auc(labels[:3], metrics.fold_ranks(scores[:3], fold[:3]), fold[:3])
    assert np.isnan(alone).all()


def test_auc_and_accuracy_take_permutations_along_leading_axes():
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1, 2], 8)
    permuted = np.stack([rng.permutation(labels) for _ in range(5)])
    answers = rng.integers(0, 3, (24, 4))
    found = metrics.accuracy(permuted, answers)
    assert found.shape == (5, 4)
    assert found[2, 3] == pytest.approx(accuracy_score(permuted[2], answers[:, 3]))
    ranks, fold = metrics.fold_ranks(rng.normal(size=(24, 4)), np.zeros(24)), np.zeros(24)
    many = metrics.auc(permuted == 1, ranks, fold)
    assert np.allclose(many[3], metrics.auc(permuted[3] == 1, ranks, fold))


def test_spearman_agrees_with_scipy_ties_included():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, (80, 2)), rng.integers(0, 3, (80, 3))
    found = metrics.spearman_columns(a, b)
    for i in range(2):
        for j in range(3):
            assert found[i, j] == pytest.approx(spearmanr(a[:, i], b[:, j])[0])
