"""Influences are derivatives, draws are those of a bootstrap, and intervals cover."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fornix.evaluation.metrics import (
    correlation_factors,
    held_out_correlation,
    pearson_columns,
    r2_columns,
)
from fornix.evaluation.statistics import bootstrap


def data(rng, n=80, units=5, r=0.5):
    signal = rng.standard_normal((n, units))
    observed = np.sqrt(r) * signal + np.sqrt(1 - r) * rng.standard_normal((n, units))
    return observed, signal + 0.3 * rng.standard_normal((n, units))


def influence_of_r(observed, predicted, fold):
    factors = correlation_factors(observed, predicted, fold)
    return bootstrap.influence_of_factors(*factors, fold)


def test_influences_are_what_one_more_of_a_sample_changes():
    rng = np.random.default_rng(0)
    observed, predicted = data(rng, n=60)
    fold = np.arange(60) % 3
    found = influence_of_r(observed, predicted, fold)
    assert np.allclose([found[fold == f].sum(0) for f in range(3)], 0, atol=1e-12)
    step = 1e-5

    def weighted(values, weights):
        """Return r within one fold with weights, by the moments."""
        mean = [weights @ one / weights.sum() for one in values]
        a, b = (one - m for one, m in zip(values, mean, strict=True))
        return (weights @ (a * b)) / np.sqrt((weights @ a**2) * (weights @ b**2))

    rows = fold == 1
    base = np.ones(rows.sum())
    more = base + step * (np.arange(rows.sum()) == 4)
    pair = observed[rows], predicted[rows]
    slope = (weighted(pair, more) - weighted(pair, base)) / step
    assert found[rows][4] == pytest.approx(slope / 3, abs=1e-4)  # one of three equal folds


def test_influence_of_small_folds_and_of_r2_sum_to_zero():
    rng = np.random.default_rng(1)
    observed, predicted = data(rng)
    alone = influence_of_r(observed, predicted, np.arange(80))
    assert np.allclose(alone.sum(0), 0, atol=1e-10)
    assert np.allclose(bootstrap.r2_influence(observed, predicted).sum(0), 0, atol=1e-12)
    observed[:, 0] = 3
    assert np.isfinite(influence_of_r(observed, predicted, np.zeros(80))).all()


@pytest.mark.parametrize("metric", ["r", "r2"])
def test_draws_are_those_of_a_bootstrap_that_computes_every_score_anew(metric):
    rng = np.random.default_rng(2)
    observed, predicted = data(rng, n=150)
    fold = np.zeros(150)
    drawn = bootstrap.multiplicities(150, 400, rng)
    if metric == "r":
        score = pearson_columns
        influence = influence_of_r(observed, predicted, fold)
    else:
        score = r2_columns
        influence = bootstrap.r2_influence(observed, predicted)
    found = bootstrap.resampled(score(observed, predicted), influence, drawn)
    for k in range(0, 400, 50):
        rows = np.repeat(np.arange(150), drawn[k].astype(int))
        anew = score(observed[rows], predicted[rows])
        assert found[k] == pytest.approx(anew, abs=0.03 if metric == "r" else 0.12)
    exact = np.array([
        score(*(one[np.repeat(np.arange(150), row.astype(int))] for one in (observed, predicted)))
        for row in drawn
    ])  # fmt: skip
    assert found.std(0) == pytest.approx(exact.std(0), rel=0.1)


@pytest.mark.parametrize("by", ["jackknife", "bootstrap"])
def test_intervals_over_stimuli_cover_the_planted_correlation(by):
    """400 data sets whose true r is known; units of a region share noise."""
    rng = np.random.default_rng(3)
    n, units, sets = 120, 4, 400
    fold = np.arange(n) % 4
    covered = 0
    drawn = bootstrap.multiplicities(n, 400, rng)
    for _ in range(sets):
        model = rng.standard_normal((n, units))
        observed = 0.6 * model + 0.8 * np.sqrt(0.5) * (
            rng.standard_normal((n, units)) + rng.standard_normal((n, 1))
        )
        value = held_out_correlation(observed, model, fold).mean()
        influence = influence_of_r(observed, model, fold).mean(1, keepdims=True)
        if by == "jackknife":
            low, high = bootstrap.jackknife_interval(np.array([value]), influence, 0.95)
        else:
            draws = bootstrap.resampled(np.array([value]), influence, drawn)
            low, high = bootstrap.percentiles(draws, 0.95)
        covered += low[0] <= 0.6 <= high[0]
    # 400 data sets: the standard error of a coverage of 0.95 is 0.011.
    assert abs(covered / sets - 0.95) < 3 * 0.011 + 0.01


def test_both_ways_are_wider_than_either():
    """Scores of 20 subjects on 40 stimuli: spread of subjects and stimuli are both known."""
    rng = np.random.default_rng(4)
    subjects, stimuli = rng.standard_normal(20), rng.standard_normal(40)
    cells = subjects[:, None] + stimuli + 0.1 * rng.standard_normal((20, 40))
    value = cells.mean(1)
    people = bootstrap.multiplicities(20, 4000, rng)
    pictures = bootstrap.poisson_multiplicities([f"im{i}" for i in range(40)], 4000, 0)
    influence = (cells - value[:, None]) / 40
    each = np.stack([
        bootstrap.resampled(value[s : s + 1], influence[s][:, None], pictures) for s in range(20)
    ])  # fmt: skip
    sd = {
        "subjects": bootstrap.resampled_means(value[:, None], people).std(),
        "stimuli": each.mean(0).std(),
        "both": bootstrap.resampled_means(each, people).std(),
    }
    expected = {"subjects": value.std() / np.sqrt(20), "stimuli": cells.mean(0).std() / np.sqrt(40)}
    for name, one in expected.items():
        assert sd[name] == pytest.approx(one, rel=0.06)
    assert sd["both"] == pytest.approx(np.hypot(*expected.values()), rel=0.06)


def test_an_item_is_drawn_alike_for_everybody():
    all_of_them = bootstrap.poisson_multiplicities(["a", "b", "c"], 2000, 7)
    some = bootstrap.poisson_multiplicities(["c", "a"], 2000, 7)
    assert (some == all_of_them[:, [2, 0]]).all()
    assert all_of_them.mean() == pytest.approx(1, abs=0.05)
    assert all_of_them.var() == pytest.approx(1, abs=0.08)
    assert abs(stats.pearsonr(*all_of_them[:, :2].T).statistic) < 0.08


def test_no_items_and_no_draws_have_no_interval():
    low, high = bootstrap.jackknife_interval(np.array([0.2]), np.zeros((1, 1)), 0.95)
    assert np.isnan([low[0], high[0]]).all()
    assert np.isnan(bootstrap.percentiles(np.empty((0, 3)), 0.95)[0]).all()
    sums = bootstrap.summed_by_item(np.arange(6.0)[:, None], np.array([1, 1, 0, 0, 0, 2]))
    assert sums[:, 0].tolist() == [9, 1, 5]
