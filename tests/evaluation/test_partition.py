"""Shares of R² and r against himalaya's, and their sums."""

from __future__ import annotations

import numpy as np
import pytest
from himalaya.backend import set_backend
from himalaya.scoring import correlation_score_split, r2_score_split

from fornix.evaluation.metrics import held_out_correlation, r2_columns
from fornix.evaluation.partition import r2_split, r_split


def made(n=40, t=6, seed=0):
    rng = np.random.default_rng(seed)
    parts = rng.normal(size=(3, n, t)) * np.array([1.0, 0.5, 0.2])[:, None, None]
    parts[1] += 0.5 * parts[0]
    observed = parts.sum(0) + rng.normal(size=(n, t))
    return parts, observed - observed.mean(0)


def test_shares_are_himalayas():
    set_backend("numpy")
    parts, observed = made()
    shared, own = r2_split(observed, parts.sum(0), parts)
    assert np.allclose(shared, r2_score_split(observed, parts))
    assert np.allclose(own, r2_score_split(observed, parts, include_correlation=False))
    one = np.zeros(len(observed), dtype=int)
    found = r_split(observed, parts.sum(0), parts, one)
    assert np.allclose(found, correlation_score_split(observed, parts))


@pytest.mark.parametrize("n_folds", [4, 40])
def test_shares_sum_to_the_whole(n_folds):
    parts, observed = made(seed=1)
    fold = np.arange(40) % n_folds
    mean = np.stack([observed[fold != one].mean(0) for one in fold]) + 2
    predicted = mean + parts.sum(0)
    shared, _ = r2_split(observed + 2, predicted, parts)
    base = r2_columns(observed + 2, mean)
    assert np.allclose(shared.sum(0) + base, r2_columns(observed + 2, predicted))
    whole = held_out_correlation(observed + 2, predicted, fold)
    assert np.allclose(r_split(observed + 2, predicted, parts, fold).sum(0), whole)


def test_a_space_that_says_nothing_has_no_share():
    parts, observed = made(seed=2)
    parts[2] = 0
    shared, own = r2_split(observed, parts.sum(0), parts)
    assert not shared[2].any()
    assert not own[2].any()
    assert not r_split(observed, parts.sum(0), parts, np.arange(40) % 4)[2].any()


def test_responses_that_do_not_vary_have_no_shares():
    parts, observed = made()
    observed[:, 0] = 3
    shared, _ = r2_split(observed, parts.sum(0), parts)
    assert np.isnan(shared[:, 0]).all()
    assert np.isfinite(shared[:, 1:]).all()
