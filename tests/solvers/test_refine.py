"""The descent against finite differences, SciPy's optimiser and himalaya's."""

from __future__ import annotations

import numpy as np
import pytest
from himalaya.backend import set_backend
from himalaya.kernel_ridge import solve_multiple_kernel_ridge_hyper_gradient
from scipy.optimize import minimize
from sklearn.linear_model import Ridge
from sklearn.model_selection import PredefinedSplit

from fornix.solvers.backend import Backend
from fornix.solvers.banded import dirichlet, solve
from fornix.solvers.refine import local_of, refine
from fornix.solvers.spaces import Features, bands_of

ALPHAS = np.logspace(-1, 4, 6)
BACKENDS = pytest.mark.parametrize("backend", [Backend(), Backend("cpu")], ids=["numpy", "torch"])
SHAPES = pytest.mark.parametrize("widths", [(6, 9), (8, 60, 20)], ids=["primal", "dual"])
N, T = 60, 5
INNER = np.arange(N) % 4


def planted(widths, seed=0):
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(len(widths)), widths)
    X = rng.normal(size=(N, sum(widths))) + 1
    coef = rng.normal(size=(sum(widths), T)) * (owner == 0)[:, None]
    spaces = [X[:, owner == s] for s in range(len(widths))]
    return Features(spaces, [one[:9] + 1 for one in spaces]), X @ coef + 3 * rng.normal(
        size=(N, T)
    ) + 2


def loss_of(given, y, weights, alpha):
    """Return the mean over folds of the mean squared error, fit by fit."""
    X, total = given.X * np.sqrt(weights)[given.owner], 0.0
    for one in range(4):
        train, test = one != INNER, one == INNER
        fitted = Ridge(alpha=alpha, solver="svd").fit(X[train], y[train])
        total += ((y[test] - fitted.predict(X[test])) ** 2).mean() / 4
    return total


@SHAPES
@BACKENDS
def test_the_gradient_is_that_of_finite_differences(widths, backend):
    given, Y = planted(widths)
    bands = bands_of(given, ALPHAS, INNER, backend)
    weights, alpha = np.full(len(widths), 0.5), np.full(T, 20.0)
    centred = backend.array(Y - Y.mean(0))
    factors = np.random.default_rng(1).uniform(0.3, 3, (len(widths), T))
    loss, slope = np.zeros(T), np.zeros(factors.shape)
    for test in bands.system.tests:
        fold = local_of(bands, weights, test)
        judged = fold.judge(factors, backend.array(alpha)[None], centred, fold.start(centred))
        loss, slope = loss + judged.loss / 4, slope + judged.gradient / 4
    for unit in range(T):
        at = [weights * factors[:, unit] * np.exp(1e-4 * np.eye(len(widths))[s] * sign)
              for s in range(len(widths)) for sign in (1, -1)]  # fmt: skip
        up, down = np.asarray([loss_of(given, Y[:, unit], w, 20.0) for w in at]).reshape(-1, 2).T
        assert np.isclose(loss[unit], loss_of(given, Y[:, unit], at[0] * 0 + weights
                                              * factors[:, unit], 20.0), rtol=1e-6)  # fmt: skip
        assert np.allclose(slope[:, unit], (up - down) / 2e-4, rtol=1e-3, atol=1e-4)


@SHAPES
@BACKENDS
def test_the_descent_is_as_good_as_scipys(widths, backend):
    given, Y = planted(widths)
    start = np.full(len(widths), 1 / len(widths))
    found = solve(given, Y, start[None], ALPHAS, INNER, n_steps=60, backend=backend)
    plain = solve(given, Y, start[None], ALPHAS, INNER)
    assert (found.loss <= plain.loss * (1 + 1e-9)).all()
    assert found.loss.mean() < 0.97 * plain.loss.mean()
    for unit in range(T):
        y = Y[:, unit]
        best = minimize(
            lambda d, y=y, a=plain.alpha[unit]: loss_of(given, y, start * np.exp(d), a),
            np.zeros(len(widths)),
            method="L-BFGS-B",
            bounds=[(-12, 12)] * len(widths),
        )
        assert found.loss[unit] < best.fun * 1.01
        # What is told of the result is what it does.
        weights, alpha = found.weights[:, unit], found.alpha[unit]
        assert weights.sum() == pytest.approx(1)
        assert found.loss[unit] == pytest.approx(loss_of(given, y, weights, alpha), rel=1e-5)
        scale = np.sqrt(weights)[given.owner]
        fitted = Ridge(alpha=alpha, solver="svd").fit(given.X * scale, y)
        assert np.allclose(found.coef[:, unit], fitted.coef_ * scale, rtol=1e-5, atol=1e-7)
        assert np.allclose(found.predicted[:, unit], fitted.predict(given.at * scale), rtol=1e-6)


def test_it_is_no_worse_than_himalayas():
    given, Y = planted((8, 60, 20))
    # himalaya's takes no training means off: the same samples, about a mean of 0 in each fold.
    spaces = list(given.spaces)
    for values in (*spaces, Y):
        for one in range(4):
            values[one == INNER] -= values[one == INNER].mean(0)
    set_backend("numpy")
    _, _, scores = solve_multiple_kernel_ridge_hyper_gradient(
        np.stack([X @ X.T for X in spaces]), Y, cv=PredefinedSplit(INNER), max_iter=50,
        progress_bar=False, initial_deltas="ridgecv",
    )  # fmt: skip
    found = solve(given, Y, np.full((1, 3), 1 / 3), np.logspace(-5, 5, 30), INNER, n_steps=50)
    assert (found.loss <= -scores.max(0) * 1.001).all()


@SHAPES
def test_a_space_that_was_left_out_can_come_back(widths):
    given, Y = planted(widths)
    out = np.eye(len(widths))[1:2]
    plain = solve(given, Y, out, ALPHAS, INNER)
    found = solve(given, Y, out, ALPHAS, INNER, n_steps=60)
    assert (found.weights[0] > 0).all()
    assert found.loss.mean() < 0.8 * plain.loss.mean()


def test_constant_targets_and_one_space_are_left_as_they_are():
    given, Y = planted((6, 9))
    Y[:, 2] = 7
    found = solve(given, Y, dirichlet(5, 2, np.random.default_rng(0)), ALPHAS, INNER, n_steps=5)
    assert np.allclose(found.predicted[:, 2], 7)
    one = Features([given.X])
    plain = solve(one, Y, np.ones((1, 1)), ALPHAS, INNER)
    assert np.array_equal(plain.loss, solve(one, Y, np.ones((1, 1)), ALPHAS, INNER, n_steps=5).loss)


def test_the_best_that_was_met_is_kept():
    given, Y = planted((8, 60, 20), seed=3)
    bands = bands_of(given, ALPHAS, INNER, Backend())
    centred = Y - Y.mean(0)
    losses = [
        refine(bands, np.full(3, 1 / 3), np.full(T, 10.0), centred, steps).loss
        for steps in (0, 3, 30)
    ]
    assert (losses[0] >= losses[1]).all()
    assert (losses[1] >= losses[2]).all()


@SHAPES
def test_every_target_is_fitted_with_the_weights_that_are_returned(widths):
    """Also one that no step made better, beside others whose weights have moved on."""
    rng = np.random.default_rng(0)
    given, _ = planted(widths)
    X = given.X
    signal = X[:, : widths[0]] @ rng.normal(size=(widths[0], 40))
    Y = np.hstack([signal + 3 * rng.normal(size=(N, 40)), rng.normal(size=(N, 40))])
    start = np.full((1, len(widths)), 1 / len(widths))
    found = solve(given, Y, start, ALPHAS, INNER, n_steps=2)
    moved = np.abs(found.weights - start.T).max(0) > 1e-3
    assert moved.any()
    assert not moved.all()
    for unit in range(Y.shape[1]):
        scale = np.sqrt(found.weights[:, unit])[given.owner]
        fitted = Ridge(alpha=found.alpha[unit], solver="svd").fit(X * scale, Y[:, unit])
        expected = fitted.predict(given.at * scale)
        np.testing.assert_allclose(found.predicted[:, unit], expected, rtol=0, atol=1e-6)
