"""PLS against scikit-learn's, whose power iterations stop when a step is below 1e-10."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression

from fornix.errors import FornixError
from fornix.solvers.pls import components, solve

SHAPES = [(60, 10, 7), (60, 80, 1), (50, 120, 9), (90, 70, 5)]
INNER = 4


def planted(n, p, t, seed=0):
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n, 3))
    X = hidden @ rng.normal(size=(3, p)) + rng.normal(size=(n, p)) + 2
    return X, hidden @ rng.normal(size=(3, t)) + rng.normal(size=(n, t)) + 1


def reference(X, Y, k):
    return PLSRegression(k, scale=False, tol=1e-20, max_iter=100_000).fit(X, Y)


@pytest.mark.parametrize(("n", "p", "t"), SHAPES)
def test_every_number_of_components_is_scikit_learns(n, p, t):
    X, Y = planted(n, p, t)
    Z, targets = X - X.mean(0), Y - Y.mean(0)
    found = components(Z.T @ Z, Z.T @ targets, 5)
    for k in range(1, 6):
        coef = found.rotations[:, :k] @ found.loadings[:, :k].T
        expected = reference(X, Y, k).coef_.T
        assert np.allclose(coef, expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize(("n", "p", "t"), SHAPES)
def test_losses_choices_and_weights_are_those_of_a_search(n, p, t):
    X, Y = planted(n, p, t, seed=1)
    inner = np.arange(n) % INNER
    found = solve(X, Y, 5, inner)
    loss = np.zeros((6, t))
    for one in range(INNER):
        train, test = inner != one, inner == one
        loss[0] += ((Y[test] - Y[train].mean(0)) ** 2).mean(0) / INNER
        for k in range(1, 6):
            predicted = reference(X[train], Y[train], k).predict(X[test]).reshape(-1, t)
            loss[k] += ((Y[test] - predicted) ** 2).mean(0) / INNER
    assert np.allclose(found.loss, loss, rtol=1e-6)
    assert np.array_equal(found.n_components, loss.argmin(0))
    for unit in range(t):
        if k := found.n_components[unit]:
            expected = reference(X, Y, k).predict(X[:5]).reshape(-1, t)[:, unit]
            predicted = X[:5] @ found.coef[:, unit] + found.intercept[unit]
            assert np.allclose(predicted, expected, rtol=1e-6)


def test_targets_without_signal_take_the_mean():
    X, Y = planted(200, 20, 6)
    Y[:, 3:] = np.random.default_rng(5).normal(size=(200, 3))
    found = solve(X, Y, 5, np.arange(200) % 5)
    assert (found.n_components[:3] >= 2).all()
    assert np.median(found.n_components[3:]) == 0


def test_singular_features_and_constant_targets_end_early():
    X, Y = planted(60, 3, 4)
    Y[:, 1] = 5
    found = solve(np.hstack([X, X]), Y, 10, np.arange(60) % 4)
    assert np.isfinite(found.coef).all()
    assert found.n_components[1] == 0
    assert np.allclose(found.intercept[1], 5)
    # Three features that aren't copies: the fourth component adds nothing.
    assert np.allclose(found.loss[3], found.loss[10])
    assert (found.n_components <= 3).all()


def test_bad_values_and_folds_are_said():
    X, Y = planted(60, 10, 4)
    with pytest.raises(FornixError, match="one inner fold"):
        solve(X, Y, 3, np.zeros(60, dtype=int))
    X[3, 2] = np.nan
    with pytest.raises(FornixError, match="1 of 10 features"):
        solve(X, Y, 3, np.arange(60) % 4)
