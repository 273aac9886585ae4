"""Sign flips: against scipy and by hand, and what few subjects can show."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fornix.evaluation.statistics import signs


def test_all_patterns_are_taken_where_there_are_few():
    found = signs.sign_patterns(4, 100, np.random.default_rng(0))
    assert found.shape == (16, 4)
    assert (found[0] == 1).all()
    assert len(np.unique(found, axis=0)) == 16
    assert signs.sign_patterns(15, 500, np.random.default_rng(0)).shape == (501, 15)


def test_t_is_that_of_the_flipped_values():
    rng = np.random.default_rng(0)
    values = rng.normal(0.3, 1, (9, 5))
    patterns = signs.sign_patterns(9, 30, rng)
    found = signs.t_of_signs(values, patterns)
    for k, pattern in enumerate(patterns):
        assert np.allclose(found[k], stats.ttest_1samp(pattern[:, None] * values, 0).statistic)


def test_exact_p_is_scipys():
    values = np.random.default_rng(1).normal(0.4, 1, 8)
    reference = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="greater"
    )
    found = signs.sign_flip_test(values[:, None], 1000, np.random.default_rng(0))
    assert found.p[0] == pytest.approx(reference.pvalue)


@pytest.mark.parametrize("n", [3, 5, 7])
def test_the_smallest_p_is_reached_and_not_more(n):
    found = signs.sign_flip_test(np.full((n, 2), 0.2) + np.arange(n)[:, None] / 100, 999, None)
    assert found.p == pytest.approx(signs.smallest_p(n))


def test_one_unit_with_an_effect_stands_out_among_many():
    rng = np.random.default_rng(2)
    values = rng.standard_normal((12, 50))
    values[:, 7] += 2.5
    values[:, 9] = np.nan
    values[:, 11] = 0
    found = signs.sign_flip_test(values, 2000, rng)
    assert found.p_max[7] < 0.05
    assert (np.delete(found.p_max, [7, 9, 11]) > 0.05).sum() >= 46
    assert np.isnan(found.p_max[[9, 11]]).all()
    assert (found.p_max[:7] >= found.p[:7] - 1e-12).all()


def test_one_subject_has_no_test():
    found = signs.sign_flip_test(np.ones((1, 3)), 100, np.random.default_rng(0))
    assert np.isnan(found.p).all()
