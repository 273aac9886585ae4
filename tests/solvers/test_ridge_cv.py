"""The solver against himalaya and scikit-learn, in every shape, and against itself.

Tolerances: losses and coefficients are sums of float64 products, and agree to rounding times the
condition of the system, 1e-9 of their size where the smallest penalty isn't far below the
features' variance. A penalty may differ from the reference's only where the two losses tie: then
both choices have the same loss to 1e-9.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from himalaya.backend import set_backend
from himalaya.kernel_ridge import KernelRidgeCV
from himalaya.ridge import RidgeCV
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, PredefinedSplit

from fornix.errors import FornixError
from fornix.solvers.backend import Backend, choose_backend, working_memory
from fornix.solvers.fractions import System, losses
from fornix.solvers.ridge import solve
from fornix.study.compute import Compute

ALPHAS = np.logspace(-1, 6, 15)
SHAPES = [(60, 8), (60, 59), (60, 60), (60, 61), (40, 200)]
BACKENDS = pytest.mark.parametrize("backend", [Backend(), Backend("cpu")], ids=["numpy", "torch"])


def planted(n=60, p=15, t=12, noise=5.0, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) + 2
    Y = X @ rng.normal(size=(p, t)) + noise * rng.uniform(0.1, 5, t) * rng.normal(size=(n, t))
    return X, Y


def direct(X, Y, alphas, inner):
    """Return the mean squared error (penalty, target), one fit after the other."""
    total = np.zeros((len(alphas), Y.shape[1]))
    for one in np.unique(inner):
        train, test = inner != one, inner == one
        for a, alpha in enumerate(alphas):
            fitted = Ridge(alpha=alpha, solver="svd").fit(X[train], Y[train])
            total[a] += ((Y[test] - fitted.predict(X[test])) ** 2).mean(0)
    return total / len(np.unique(inner))


def check(X, Y, alphas, inner, backend=None, *, rtol=1e-8):
    """Compare penalties, losses, weights and predictions with scikit-learn's, fit by fit."""
    at = X[::7] + 0.5
    found = solve(X, Y, alphas, inner, at=at, backend=backend)
    expected = direct(X, Y, alphas, inner)
    scale = expected.min(0)
    assert np.allclose(found.loss, scale, rtol=rtol)
    place = np.searchsorted(alphas, found.alpha)
    assert np.array_equal(alphas[place], found.alpha)
    # No other penalty is better, beyond a tie; of ties the first is taken.
    assert np.all(expected[place, np.arange(Y.shape[1])] <= scale * (1 + rtol))
    for unit in range(Y.shape[1]):
        fitted = Ridge(alpha=found.alpha[unit], solver="svd").fit(X, Y[:, unit])
        size = np.abs(fitted.coef_).max() + 1e-300
        assert np.allclose(found.coef[:, unit], fitted.coef_, rtol=0, atol=1e-7 * size)
        predicted = fitted.predict(at)
        tolerance = 1e-8 * (np.abs(predicted).max() + 1e-300)
        assert np.allclose(found.predicted[:, unit], predicted, rtol=0, atol=tolerance)
        assert np.allclose(at @ found.coef[:, unit] + found.intercept[unit], predicted, rtol=1e-6)
    return found


@BACKENDS
@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_every_shape_agrees_with_scikit_learn(n, p, backend):
    X, Y = planted(n, p)
    check(X, Y, ALPHAS, np.arange(n) % 5, backend)


def test_the_choice_is_that_of_a_grid_search():
    X, Y = planted(60, 30, 4)
    inner = np.arange(60) % 5
    found = solve(X, Y, ALPHAS, inner)
    for unit in range(4):
        search = GridSearchCV(
            Ridge(), {"alpha": ALPHAS}, cv=PredefinedSplit(inner), scoring="neg_mean_squared_error"
        ).fit(X, Y[:, unit])
        assert found.alpha[unit] == search.best_params_["alpha"]


@pytest.mark.parametrize(("n", "p"), SHAPES)
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_every_shape_agrees_with_himalaya(n, p, kind):
    X, Y = planted(n, p, seed=1)
    inner = np.arange(n) % 4
    found = solve(X, Y, ALPHAS, inner)
    set_backend(kind, on_error="raise")
    settings = {"alphas": ALPHAS, "fit_intercept": True, "cv": PredefinedSplit(inner)}
    try:
        if p <= n:
            reference = RidgeCV(**settings).fit(X, Y)
            coef = np.asarray(reference.coef_)
        else:
            reference = KernelRidgeCV(kernel="linear", **settings).fit(X, Y)
            coef = (X - X.mean(0)).T @ np.asarray(reference.dual_coef_)
        assert np.allclose(found.alpha, np.asarray(reference.best_alphas_))
        assert np.allclose(found.coef, coef, atol=1e-10 * np.abs(coef).max(), rtol=1e-7)
    finally:
        set_backend("numpy")


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_the_scale_of_the_features_is_the_penalties_scale(scale):
    X, Y = planted()
    inner = np.arange(60) % 5
    plain, other = solve(X, Y, ALPHAS, inner), solve(X * scale, Y, ALPHAS * scale**2, inner)
    assert np.allclose(other.alpha, plain.alpha * scale**2)
    assert np.allclose(other.coef * scale, plain.coef, rtol=1e-8, atol=1e-12)


def test_penalties_over_many_decades():
    X, Y = planted(60, 20)
    check(X, Y, np.logspace(-6, 9, 16), np.arange(60) % 5)


@BACKENDS
@pytest.mark.parametrize("p", [12, 90])
def test_features_that_are_copies_leave_a_singular_system(p, backend):
    X, Y = planted(60, p)
    check(np.hstack([X, X[:, : p // 2]]), Y, ALPHAS, np.arange(60) % 5, backend)


def test_repeated_samples():
    X, Y = planted(30, 40)
    again = np.repeat(np.arange(30), 2)
    check(X[again], Y[again] + np.random.default_rng(0).normal(size=(60, 12)), ALPHAS, again % 5)


@BACKENDS
@pytest.mark.parametrize("spread", [0.0, 1e-9, 1e-7, 1e-6, 1e-5, 1e-4, 1e-2])
def test_eigenvalues_that_are_close_to_each_other(spread, backend):
    """All training sets have a Gram matrix that is nearly a multiple of the identity."""
    rng = np.random.default_rng(0)
    p, n_folds = 10, 4
    blocks = []
    for _ in range(n_folds):
        basis = np.linalg.qr(rng.normal(size=(p, p)))[0] * np.sqrt(1 + spread * np.arange(p))
        blocks.append(np.vstack([basis, -basis]))  # each with mean 0
    X = np.vstack(blocks)
    Y = X @ rng.normal(size=(p, 6)) + rng.normal(size=(len(X), 6))
    check(X, Y, np.logspace(-2, 2, 9), np.repeat(np.arange(n_folds), 2 * p), backend, rtol=1e-9)


def test_losses_of_all_penalties_and_not_only_of_the_best():
    X, Y = planted(60, 25)
    inner = np.arange(60) % 5
    system = System.of(X, ALPHAS, inner, Backend())
    centred = Y - Y.mean(0)
    parts = {int(rows[0]): system.X[rows].T @ centred[rows] for rows in system.tests}
    total = sum(
        losses(system.fold(rows), centred, (sum(parts.values()), parts)) for rows in system.tests
    )
    assert np.allclose(total / 5, direct(X, Y, ALPHAS, inner), rtol=1e-9)


def test_folds_of_unequal_size_count_the_same():
    X, Y = planted(60, 20)
    check(X, Y, ALPHAS, np.repeat([0, 1, 2], [40, 15, 5]))


@pytest.mark.parametrize("p", [20, 80])
def test_blocks_order_and_memory_change_nothing(p, monkeypatch):
    X, Y = planted(60, p, 37)
    inner = np.arange(60) % 5
    whole = solve(X, Y, ALPHAS, inner, at=X[:5])
    order = np.random.default_rng(0).permutation(37)
    # So little memory that folds' matrices are made one at a time, and blocks are small.
    scarce = solve(X, Y[:, order], ALPHAS, inner, at=X[:5], memory=8 * 4 * 60 * 60)
    monkeypatch.setattr("fornix.solvers.ridge.BLOCK", 5)
    small = solve(X, Y, ALPHAS, inner, at=X[:5])
    for other, columns in ((scarce, order), (small, slice(None))):
        assert np.array_equal(other.alpha, whole.alpha[columns])
        assert np.allclose(other.coef, whole.coef[:, columns], rtol=1e-9, atol=1e-12)
        assert np.allclose(other.predicted, whole.predicted[:, columns], rtol=1e-9)


def test_targets_are_read_block_by_block(monkeypatch):
    """Any store that is sliced along its targets will do, such as an array in zarr."""
    X, Y = planted(60, 20, 20)
    monkeypatch.setattr("fornix.solvers.ridge.BLOCK", 6)

    class Stored:
        shape, dtype, read = Y.shape, Y.dtype, []

        def __getitem__(self, key):
            self.read.append(Y[key].shape[1])
            return Y[key]

    stored = Stored()
    found = solve(X, stored, ALPHAS, np.arange(60) % 5)
    assert stored.read == [6, 6, 6, 2]
    assert np.array_equal(found.coef, solve(X, Y, ALPHAS, np.arange(60) % 5).coef)


def test_float32_targets_give_float32_weights_computed_in_float64():
    X, Y = planted()
    inner = np.arange(60) % 5
    found = solve(X, Y.astype(np.float32), ALPHAS, inner, at=X)
    exact = solve(X, Y.astype(np.float32).astype(np.float64), ALPHAS, inner)
    assert found.coef.dtype == found.predicted.dtype == np.float32
    assert np.array_equal(found.alpha, exact.alpha)
    assert np.array_equal(found.coef, exact.coef.astype(np.float32))


def test_ties_take_the_first_penalty():
    X = np.random.default_rng(0).normal(size=(40, 3))
    constant = np.full((40, 2), 3.0)
    found = solve(X, constant, ALPHAS, np.arange(40) % 5, at=X)
    assert (found.alpha == ALPHAS[0]).all()
    assert not found.coef.any()
    assert np.allclose(found.predicted, 3)


def test_units_without_signal_get_large_penalties():
    X, Y = planted(200, noise=1)
    Y[:, ::2] = np.random.default_rng(1).normal(size=Y[:, ::2].shape)
    found = solve(X, Y, ALPHAS, np.arange(200) % 5)
    assert np.median(found.alpha[::2]) >= 100 * np.median(found.alpha[1::2])


@pytest.mark.parametrize("p", [5, 50])
def test_features_that_are_constant_predict_the_mean(p):
    _, Y = planted(30)
    found = solve(np.ones((30, p)), Y, ALPHAS, np.arange(30) % 5, at=np.ones((2, p)))
    assert not found.coef.any()
    assert np.allclose(found.predicted, Y.mean(0))


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
    ],
)
def test_what_cannot_be_solved_is_said(change, message):
    X, Y = planted()
    given = {"X": X, "Y": Y, "alphas": ALPHAS, "inner": np.arange(60) % 5}
    given |= {key: edit(given[key]) for key, edit in change.items()}
    with pytest.raises(FornixError, match=message):
        solve(given["X"], given["Y"], given["alphas"], given["inner"])


def test_too_little_memory_for_one_fold_is_said():
    X, Y = planted(60, 50)
    with pytest.raises(FornixError, match=r"(?s)50 by 50.*raise compute.memory_mb"):
        solve(X, Y, ALPHAS, np.arange(60) % 5, memory=10_000)


def test_the_backend_follows_the_device_and_the_work():
    assert choose_backend(Compute(device="cpu"), 1e15) == Backend()
    assert choose_backend(Compute(device="auto"), 1e6) == Backend()
    import torch

    if torch.cuda.is_available():
        assert choose_backend(Compute(device="auto"), 1e15) == Backend("cuda")
    else:
        assert choose_backend(Compute(device="auto"), 1e15) == Backend()
        with pytest.raises(FornixError, match="torch sees no GPU"):
            choose_backend(Compute(device="cuda"), 1e6)


def test_working_memory_is_bounded_by_the_settings(monkeypatch):
    import torch

    assert working_memory(Backend(), Compute(memory_mb=2000)) == 500_000_000
    told = []
    card = SimpleNamespace(total_memory=16e9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", told.append)
    assert working_memory(Backend("cuda"), Compute(gpu_memory_mb=4000)) == 2_000_000_000
    assert working_memory(Backend("cuda"), Compute(gpu_memory_mb=99_000)) == 8_000_000_000
    assert told == [0.25, 1.0]
