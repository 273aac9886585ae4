"""The banded solver against himalaya's random searches, and against ridge.

Tolerances as for ridge: losses are sums of float64 products, 1e-8 of their size; choices may differ
only where losses tie, which those of random targets don't. himalaya adds 1e-10 log(alpha) to break
ties, which moves losses by as much.
"""

from __future__ import annotations

import numpy as np
import pytest
from himalaya.backend import set_backend
from himalaya.kernel_ridge import solve_multiple_kernel_ridge_random_search
from himalaya.ridge import solve_group_ridge_random_search
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel
from sklearn.model_selection import PredefinedSplit

from fornix.errors import FornixError
from fornix.solvers import banded, ridge
from fornix.solvers.backend import Backend
from fornix.solvers.banded import dirichlet, solve
from fornix.solvers.spaces import Features, Kernels

ALPHAS = np.logspace(-2, 5, 12)
BACKENDS = pytest.mark.parametrize("backend", [Backend(), Backend("cpu")], ids=["numpy", "torch"])
WIDTHS = [(6, 9), (30, 29), (8, 60), (80, 40, 20), (25, 3, 4)]


def planted(widths, n=60, t=12, seed=0):
    rng = np.random.default_rng(seed)
    spaces = [rng.normal(size=(n, p)) + 1 for p in widths]
    shares = rng.uniform(0, 2, (len(widths), t))
    Y = sum(s * (X @ rng.normal(size=(X.shape[1], t))) for s, X in zip(shares, spaces, strict=True))
    return spaces, Y + 4 * rng.normal(size=(n, t)) + 3


def features(spaces, at=None):
    return Features(spaces, at)


def candidates(n_spaces, n=15):
    # himalaya divides by the weights, so that none may be 0.
    return np.maximum(dirichlet(n, n_spaces, np.random.default_rng(1)), 1e-6)


def searched(spaces, Y, weights, inner, kind="numpy"):
    """Return himalaya's deltas, coefficients and losses."""
    backend = set_backend(kind, on_error="raise")
    settings = {
        "n_iter": backend.asarray(weights),
        "alphas": backend.asarray(ALPHAS),
        "cv": PredefinedSplit(inner),
        "fit_intercept": True,
        "progress_bar": False,
    }
    try:
        if sum(X.shape[1] for X in spaces) <= len(Y):
            given = [backend.asarray(X) for X in spaces]
            found = solve_group_ridge_random_search(
                given, backend.asarray(Y), return_weights=True, **settings
            )
            deltas, coef, scores = map(np.asarray, found[:3])
            return deltas, coef, -scores.max(0)
        centred = [X - X.mean(0) for X in spaces]
        grams = backend.asarray(np.stack([X @ X.T for X in centred]))
        found = solve_multiple_kernel_ridge_random_search(
            grams, backend.asarray(Y), return_weights="dual", **settings
        )
        deltas, dual, scores = map(np.asarray, found[:3])
        coef = [X.T @ (dual * np.exp(delta)) for X, delta in zip(centred, deltas, strict=True)]
        return deltas, np.concatenate(coef), -scores.max(0)
    finally:
        set_backend("numpy")


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("kind", ["numpy", "torch"])
@BACKENDS
def test_the_search_is_himalayas(widths, kind, backend):
    spaces, Y = planted(widths)
    inner, weights = np.arange(60) % 4, candidates(len(widths))
    found = solve(features(spaces), Y, weights, ALPHAS, inner, backend=backend)
    deltas, coef, loss = searched(spaces, Y, weights, inner, kind)
    assert np.allclose(np.log(found.weights / found.alpha), deltas)
    assert np.allclose(found.loss, loss, rtol=1e-8)
    assert np.allclose(found.coef, coef, rtol=1e-7, atol=1e-9 * np.abs(coef).max())


@pytest.mark.parametrize("widths", [(6, 9), (8, 90)])
def test_equal_weights_are_ridge(widths):
    spaces, Y = planted(widths)
    inner, given = np.arange(60) % 5, features(spaces, [X[:7] + 1 for X in spaces])
    found = solve(given, Y, np.ones((1, 2)), ALPHAS, inner)
    plain = ridge.solve(given.X, Y, ALPHAS, inner, at=given.at)
    assert np.array_equal(found.alpha, plain.alpha)
    assert np.allclose(found.loss, plain.loss, rtol=1e-9)
    assert np.allclose(found.coef, plain.coef, rtol=1e-8, atol=1e-11)
    assert np.allclose(found.predicted, plain.predicted, rtol=1e-8)


@pytest.mark.parametrize("widths", [(6, 9, 4), (8, 60, 30)])
def test_weights_are_those_of_a_fit_with_scaled_features(widths):
    spaces, Y = planted(widths)
    at = [X[:5] - 2 for X in spaces]
    given = features(spaces, at)
    found = solve(given, Y, candidates(3), ALPHAS, np.arange(60) % 5, with_parts=True)
    for unit in range(Y.shape[1]):
        scale = np.sqrt(found.weights[:, unit])[given.owner]
        fitted = Ridge(alpha=found.alpha[unit], solver="svd").fit(given.X * scale, Y[:, unit])
        assert np.allclose(found.coef[:, unit], fitted.coef_ * scale, rtol=1e-6, atol=1e-9)
        assert np.allclose(found.predicted[:, unit], fitted.predict(given.at * scale), rtol=1e-7)
    assert np.allclose(given.at @ found.coef + found.intercept, found.predicted, rtol=1e-7)
    assert np.allclose(found.parts.sum(0) + Y.mean(0), found.predicted, rtol=1e-9)
    for space, (one, new) in enumerate(zip(spaces, at, strict=True)):
        alone = (new - one.mean(0)) @ found.coef[given.owner == space]
        assert np.allclose(found.parts[space], alone, rtol=1e-7, atol=1e-9)


def test_a_space_of_weight_0_has_no_coefficients():
    spaces, Y = planted((10, 9))
    found = solve(features(spaces), Y, np.eye(2)[:1], ALPHAS, np.arange(60) % 5)
    plain = ridge.solve(spaces[0], Y, ALPHAS, np.arange(60) % 5)
    assert not found.coef[10:].any()
    assert np.allclose(found.coef[:10], plain.coef, rtol=1e-8)


@BACKENDS
def test_kernels_of_any_kind_are_those_of_himalaya(backend):
    spaces, Y = planted((10, 20))
    grams = [polynomial_kernel(spaces[0], degree=2), rbf_kernel(spaces[1])]
    weights, inner = candidates(2), np.arange(60) % 4
    at = [polynomial_kernel(spaces[0][:9] + 1, spaces[0], degree=2)]
    at.append(rbf_kernel(spaces[1][:9] + 1, spaces[1]))
    found = solve(Kernels(grams, at), Y, weights, ALPHAS, inner, backend=backend, with_parts=True)
    set_backend("numpy")
    deltas, dual, scores, intercept = solve_multiple_kernel_ridge_random_search(
        np.stack(grams), Y, n_iter=weights, alphas=ALPHAS, cv=PredefinedSplit(inner),
        fit_intercept=True, return_weights="dual", progress_bar=False,
    )  # fmt: skip
    assert np.allclose(np.log(found.weights / found.alpha), deltas)
    assert np.allclose(found.loss, -scores.max(0), rtol=1e-8)
    expected = sum(np.exp(delta) * (one @ dual) for delta, one in zip(deltas, at, strict=True))
    assert np.allclose(found.predicted, expected + intercept, rtol=1e-6)
    assert np.allclose(found.parts.sum(0) + Y.mean(0), found.predicted, rtol=1e-9)


@pytest.mark.parametrize("widths", [(6, 9), (8, 60)])
def test_blocks_panels_and_memory_change_nothing(widths, monkeypatch):
    spaces, Y = planted(widths, t=150)
    inner, weights = np.arange(60) % 5, candidates(2)
    whole = solve(features(spaces), Y, weights, ALPHAS, inner)
    monkeypatch.setattr(banded, "BLOCK", 50)
    monkeypatch.setattr(banded, "_panel", lambda *_: 70)
    other = solve(features(spaces), Y, weights, ALPHAS, inner)
    assert np.array_equal(other.alpha, whole.alpha)
    assert np.array_equal(other.weights, whole.weights)
    assert np.allclose(other.coef, whole.coef, rtol=1e-8, atol=1e-11)


def test_float32_targets_give_float32_results_computed_in_float64():
    spaces, Y = planted((8, 60))
    inner, given = np.arange(60) % 5, features(spaces)
    found = solve(given, Y.astype(np.float32), candidates(2), ALPHAS, inner)
    exact = solve(given, Y.astype(np.float32).astype(float), candidates(2), ALPHAS, inner)
    assert found.coef.dtype == np.float32
    assert np.array_equal(found.alpha, exact.alpha)
    assert np.array_equal(found.coef, exact.coef.astype(np.float32))


def test_candidates_are_on_the_simplex_and_the_same_for_a_seed():
    drawn = [dirichlet(50, 4, np.random.default_rng(3)) for _ in range(2)]
    assert np.array_equal(*drawn)
    assert np.allclose(drawn[0].sum(1), 1)
    assert np.array_equal(drawn[0][:5], [[0.25] * 4, *np.eye(4).tolist()])
    assert len(dirichlet(3, 4, np.random.default_rng(0))) == 3
    assert len(dirichlet(50, 1, np.random.default_rng(0))) == 1


def test_singular_spaces_and_copies_are_solved():
    spaces, Y = planted((6, 5))
    twice = [*spaces, spaces[0]]
    found = solve(features(twice), Y, np.full((1, 3), 1.0), ALPHAS, np.arange(60) % 5)
    # The same features twice are those features with twice the weight.
    once = solve(features(spaces), Y, np.array([[2.0, 1.0]]), ALPHAS, np.arange(60) % 5)
    assert np.allclose(found.loss, once.loss, rtol=1e-8)
    assert np.allclose(found.coef[:6] + found.coef[11:], once.coef[:6], rtol=1e-6, atol=1e-9)


def broken(array):
    array = array.copy()
    array[3, 1] = np.nan
    return array


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": broken}, "1 of 15 features aren't finite"),
        ({"Y": broken}, "1 of 12 targets hold values that aren't finite"),
        ({"inner": lambda inner: inner * 0}, "in one inner fold"),
        ({"alphas": lambda alphas: alphas * 0}, "isn't above 0"),
        ({"weights": lambda weights: -weights}, "negative"),
        ({"weights": lambda weights: weights[:, :1]}, "candidate, 2"),
        ({"memory": lambda _: 20_000}, r"(?s)2 spaces and 60 samples.*raise compute.memory_mb"),
    ],
)
def test_what_cannot_be_solved_is_said(change, message):
    spaces, Y = planted((6, 9))
    given = {"X": np.hstack(spaces), "Y": Y, "alphas": ALPHAS, "inner": np.arange(60) % 5}
    given |= {"weights": candidates(2), "memory": 1 << 30}
    given |= {key: edit(given[key]) for key, edit in change.items()}
    with pytest.raises(FornixError, match=message):
        solve(
            Features([given["X"][:, :6], given["X"][:, 6:]]), given["Y"], given["weights"],
            given["alphas"], given["inner"], memory=given["memory"],
        )  # fmt: skip


def test_kernels_that_are_not_finite_are_said():
    with pytest.raises(FornixError, match="1 of 2 kernels aren't finite"):
        solve(
            Kernels([np.eye(60), np.full((60, 60), np.nan)]),
            planted((2, 2))[1], candidates(2), ALPHAS, np.arange(60) % 5,
        )  # fmt: skip
