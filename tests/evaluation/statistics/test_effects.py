"""Effect sizes and the mixed model: against scipy and against the dense likelihood."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

from fornix.evaluation.statistics.effects import effect_of
from fornix.evaluation.statistics.mixed import mixed_mean


def test_effect_is_students_t_and_cohens_d():
    values = np.random.default_rng(0).normal(0.3, 0.5, 14)
    found = effect_of(values, 0.9)
    reference = stats.ttest_1samp(values, 0, alternative="greater")
    assert found.t == pytest.approx(reference.statistic)
    assert found.p == pytest.approx(reference.pvalue)
    both = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((both.low, both.high))
    assert found.d == pytest.approx(values.mean() / values.std(ddof=1))
    # The interval of d is where the observed t is the 5 % quantile of a noncentral t.
    for d, tail in ((found.d_low, 0.95), (found.d_high, 0.05)):
        assert stats.nct.cdf(found.t, 13, d * np.sqrt(14)) == pytest.approx(tail, abs=1e-5)


def test_intervals_of_d_cover_the_planted_one():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        found = effect_of(rng.normal(0.8, 1, 10))
        covered += found.d_low <= 0.8 <= found.d_high
    assert 0.95 - 4 * 0.0126 < covered / 300 < 0.95 + 4 * 0.0126


@pytest.mark.parametrize("values", [[0.3], [], [0.2, 0.2, 0.2], [np.nan, 0.4]])
def test_too_few_or_equal_values_have_a_mean_only(values):
    found = effect_of(np.array(values))
    assert np.isnan(found.p)
    assert np.isnan(found.d)


def dense_reml(values, subjects):
    """Return mean, error and variances by maximising the likelihood of the full covariance."""
    same = (subjects[:, None] == subjects).astype(float)
    ones = np.ones(len(values))

    def parts(log_variances):
        between, within = np.exp(log_variances)
        inverse = np.linalg.inv(between * same + within * np.eye(len(values)))
        information = ones @ inverse @ ones
        return inverse, information, ones @ inverse @ values / information

    def deviance(log_variances):
        inverse, information, mean = parts(log_variances)
        rest = values - mean
        return -np.linalg.slogdet(inverse)[1] + np.log(information) + rest @ inverse @ rest

    options = {"xatol": 1e-10, "fatol": 1e-10, "maxiter": 4000}
    best = minimize(deviance, [0.0, 0.0], method="Nelder-Mead", options=options).x
    _, information, mean = parts(best)
    return mean, 1 / np.sqrt(information), *np.exp(best)


@pytest.mark.parametrize("seed", range(3))
def test_the_mixed_model_maximises_the_restricted_likelihood(seed):
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(12), rng.integers(1, 9, 12))
    values = 0.4 + 0.7 * rng.standard_normal(12)[subjects]
    values = values + rng.standard_normal(len(subjects))
    found = mixed_mean(values, subjects)
    expected = dense_reml(values, subjects)
    got = (found.mean, found.error, found.between, found.within)
    assert got == pytest.approx(expected, rel=1e-4)
    assert found.df == 11


def test_equal_numbers_of_scores_give_the_t_test_of_the_means():
    rng = np.random.default_rng(5)
    values = rng.standard_normal((9, 6)) + rng.standard_normal((9, 1)) + 0.5
    subjects = np.repeat(np.arange(9), 6)
    found = mixed_mean(values.ravel(), subjects)
    reference = stats.ttest_1samp(values.mean(1), 0, alternative="greater")
    assert found.t == pytest.approx(reference.statistic, rel=1e-5)
    assert found.p == pytest.approx(reference.pvalue, rel=1e-4)
    single = mixed_mean(values[:, 0], np.arange(9))
    assert single.p == pytest.approx(stats.ttest_1samp(values[:, 0], 0, alternative="greater")[1])


def test_one_subject_or_equal_scores_have_no_test():
    assert np.isnan(mixed_mean(np.array([1.0, 2]), np.array(["a", "a"])).p)
    assert np.isnan(mixed_mean(np.ones(6), np.repeat([0, 1, 2], 2)).p)
