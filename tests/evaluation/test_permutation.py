from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.stats import kstest

from fornix.evaluation import metrics, permutation
from fornix.models import ridge


def test_p_counts_ties_and_is_never_zero():
    null = np.array([0.1, 0.2, 0.3, 0.4])
    assert permutation.p_value(null, 0.3) == pytest.approx(3 / 5)
    assert permutation.p_value(null, 1.0) == pytest.approx(1 / 5)
    assert np.isnan(permutation.p_value(null, np.nan))
    assert np.isnan(permutation.p_value(np.empty(0), 0.3))


def test_permutations_stay_within_groups_and_are_uniform():
    groups = np.array(["b", "a", "b", "a", "a"])
    found = permutation.permutations_within(groups, 6000, np.random.default_rng(0))
    assert (groups[found] == groups).all()
    assert all(sorted(row) == [0, 1, 2, 3, 4] for row in found[:50].tolist())
    _, counts = np.unique(found[:, [1, 3, 4]], axis=0, return_counts=True)
    assert len(counts) == 6
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(1000)


def test_labels_move_within_groups_that_mix_them():
    groups = np.repeat(["r1", "r2"], 6)
    labels = np.array([0, 0, 0, 0, 1, 1, 0, 1, 1, 1, 1, 1])
    found = permutation.permuted_labels(labels, groups, 50, np.random.default_rng(0))
    assert (found[:, groups == "r1"].sum(1) == 2).all()
    assert (found[:, groups == "r2"].sum(1) == 5).all()
    assert len(np.unique(found, axis=0)) > 10


def test_whole_groups_swap_labels_where_each_has_one():
    groups = np.tile([f"image-{i}" for i in range(12)], 3)
    labels = np.tile(np.arange(12) % 3, 3)
    found = permutation.permuted_labels(labels, groups, 500, np.random.default_rng(0))
    repeats = found.reshape(500, 3, 12)
    assert (repeats == repeats[:, :1]).all()
    assert (np.sort(repeats[:, 0]) == np.sort(labels[:12])).all()
    # A label stays in one case of three.
    assert (repeats[:, 0] == labels[:12]).mean() == pytest.approx(1 / 3, abs=0.03)


def test_null_of_a_region_is_that_of_explicit_permutations(monkeypatch):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(12, 7)), rng.normal(size=(12, 7))
    orders = permutation.permutations_within(np.zeros(12), 20, rng)
    explicit = [(a * b[order]).sum() for order in orders]
    assert np.allclose(permutation.null_of_sum(a, b, orders), explicit)
    monkeypatch.setattr(permutation, "CHUNK_BYTES", 8 * 12 * 5)  # a part of the matrix at a time
    assert np.allclose(permutation.null_of_sum(a, b, orders), explicit)
    assert len(permutation.null_of_sum(a, b, orders[:0])) == 0


def test_null_of_dissimilarities_is_that_of_permuted_matrices():
    rng = np.random.default_rng(0)
    n, pairs = 8, 28
    brain = metrics.unit_ranks(rng.random((pairs, 2)))
    models = rng.random((pairs, 3))
    orders = np.stack([rng.permutation(n) for _ in range(5)])
    found = permutation.null_correlations(brain, metrics.unit_ranks(models), n, orders)
    rows, columns = np.triu_indices(n, 1)
    for k, order in enumerate(orders):
        # Permuting the brain's labels is permuting the models' by the inverse.
        inverse = np.argsort(order)
        square = np.zeros((3, n, n))
        square[:, rows, columns] = square[:, columns, rows] = models.T
        permuted = square[:, inverse[:, None], inverse][:, rows, columns].T
        assert np.allclose(found[k], brain.T @ metrics.unit_ranks(permuted))


def test_p_of_rsa_is_uniform_without_an_effect():
    rng = np.random.default_rng(0)
    n, found = 12, []
    for _ in range(200):
        points = rng.normal(size=(2, n, 5))
        rows, columns = np.triu_indices(n, 1)
        a, b = (np.linalg.norm(x[rows] - x[columns], axis=1)[:, None] for x in points)
        a, b = metrics.unit_ranks(a), metrics.unit_ranks(b)
        orders = np.argsort(rng.random((99, n)), axis=1)
        null = permutation.null_correlations(a, b, n, orders)[:, 0, 0]
        found.append(float(permutation.p_value(null, (a * b).sum())))
    assert kstest(found, "uniform").pvalue > 0.01


def encoding_p(rng, n=60, units=10, features=6, k=5):
    """Return r and p of a whole cross-validated ridge on noise, plain and widened null."""
    X, Y, fold = rng.normal(size=(n, features)), rng.normal(size=(n, units)), np.arange(n) % k
    predicted = np.empty((n, units))
    for f in range(k):
        train = fold != f
        inner = np.arange(train.sum()) % 4
        found, _ = ridge.fit_standardised(X[train], Y[train], np.logspace(0, 4, 5), inner)
        predicted[~train] = X[~train] @ found.coef + found.intercept
    a, b = metrics.correlation_factors(Y, predicted, fold)
    orders = permutation.permutations_within(fold, 99, rng)
    null = permutation.null_of_sum(a, b, orders) / units
    r = (a * b).sum() / units
    return r, permutation.p_value(null, r), permutation.p_value(permutation.widened(null), r)


def test_cross_validated_encoding_is_unbiased_and_its_p_keeps_the_error_rate():
    rng = np.random.default_rng(0)
    r, plain, widened = np.array([encoding_p(rng) for _ in range(250)]).T
    assert abs(r.mean()) < 3 * r.std() / np.sqrt(250)
    # 250 draws: the 99.9 % bound on a rate of 0.05 is 0.096, and of 0.2 is 0.28.
    assert (widened <= 0.05).mean() < 0.096
    assert 0.12 < (widened <= 0.2).mean() < 0.28
    assert kstest(widened, "uniform").pvalue > 0.01
    # Without widening, folds that train on one another would make it reject too often.
    assert (plain <= 0.05).mean() > (widened <= 0.05).mean()


def test_a_thousand_permutations_cost_less_than_a_few_seconds():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(600, 2000)), rng.normal(size=(600, 2000))
    start = time.perf_counter()
    orders = permutation.permutations_within(np.zeros(600), 1000, rng)
    permutation.null_of_sum(a, b, orders)
    brain, models = rng.normal(size=(4950, 1)), rng.normal(size=(4950, 12))
    permutation.null_correlations(brain, models, 100, orders[:, :100] % 100)
    assert time.perf_counter() - start < 5


def test_circular_shifts_turn_each_group_on_its_own():
    groups = np.repeat([0, 1], [6, 4])
    found = permutation.circular_shifts(groups, 50, np.random.default_rng(0))
    for one in found:
        for items in (np.arange(6), np.arange(6, 10)):
            turned = one[items]
            assert set(turned) == set(items)
            steps = np.diff(turned) % len(items)
            assert (steps == 1).all()
    assert len({tuple(one) for one in found}) > 10


def test_circular_shifts_keep_the_error_rate_where_permutations_do_not():
    """Two slow time courses without a common cause correlate; shuffled ones don't."""
    rng = np.random.default_rng(0)

    def slow(n):
        white = rng.normal(size=(n, 240))
        return np.stack([np.convolve(one, np.ones(10), "valid")[:200] for one in white])

    found = {"shift": 0, "permute": 0}
    groups = np.zeros(200, dtype=int)
    draws = {
        "shift": permutation.circular_shifts(groups, 99, rng),
        "permute": permutation.permutations_within(groups, 99, rng),
    }
    for pair in zip(slow(200), slow(200), strict=True):
        a, b = (metrics.unit_columns(metrics.centred(one[:, None])) for one in pair)
        for name, some in draws.items():
            null = permutation.null_of_sum(a, b, some)
            found[name] += permutation.p_value(null, float((a * b).sum())) <= 0.05
    assert found["shift"] / 200 < 0.10
    assert found["permute"] / 200 > 0.2


def test_sign_flips_tell_a_better_prediction_from_an_equal_one():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5)
    better = rng.normal(0.5, 1, 200)
    assert (
        permutation.p_value(permutation.sign_flips(better, groups, 500, rng), float(better.sum()))
        < 0.01
    )
    p = []
    for _ in range(200):
        # Within a group, differences go together.
        equal = np.repeat(rng.normal(size=40), 5)
        p.append(
            permutation.p_value(permutation.sign_flips(equal, groups, 99, rng), float(equal.sum()))
        )
    assert 0.01 < (np.array(p) <= 0.05).mean() < 0.1
