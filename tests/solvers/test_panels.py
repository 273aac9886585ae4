"""Delayed features that are made a few at a time, against the whole matrix.

Sums over features are added in another order: answers agree to 1e-10 of their size.
"""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from fornix.models import banded_ridge, ridge
from fornix.models.interface import Context, EncodingData
from fornix.solvers import backend as backends
from fornix.solvers import banded
from fornix.solvers import ridge as solver
from fornix.solvers.backend import Backend
from fornix.solvers.panels import Columns, Delayed, SideBySide, moments, scaled
from fornix.solvers.spaces import Features
from fornix.study.compute import Compute
from fornix.study.fits.banded_ridge import BandedRidgeFit
from fornix.study.fits.ridge import RidgeFit

ALPHAS = np.logspace(-1, 5, 9)
BACKENDS = pytest.mark.parametrize("backend", [Backend(), Backend("cpu")], ids=["numpy", "torch"])


def delayed(n=80, p=6, n_delays=4, seed=0):
    """Copies shifted by 0, 1, ... samples, and the features' own values."""
    values = np.random.default_rng(seed).normal(size=(n, p)).astype(np.float32) + 2
    shifts = [sparse.csr_array(sparse.eye_array(n, k=-k)) for k in range(n_delays)]
    return Delayed(shifts, values)


def planted(X, t=7, seed=1):
    rng = np.random.default_rng(seed)
    whole = np.asarray(X)
    return whole @ rng.normal(size=(whole.shape[1], t)) + 5 * rng.normal(size=(len(whole), t))


def close(found, expected, tolerance=1e-10):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


def test_copies_are_shifted():
    X = delayed(n=10, p=2, n_delays=3)
    whole = np.asarray(X)
    assert X.shape == whole.shape == (10, 6)
    assert np.array_equal(whole[:, :2], X.values)
    assert np.array_equal(whole[2:, 4:], X.values[:-2])
    assert not whole[:2, 4:].any()
    assert np.array_equal(np.asarray(X[np.arange(10) % 2 == 0]), whole[::2])


@BACKENDS
def test_sums_over_features_are_those_of_the_whole(backend):
    rng = np.random.default_rng(0)
    mixed = SideBySide([delayed(), rng.normal(size=(80, 5))])
    mean, spread = moments(mixed)
    spread[3] = np.inf  # a feature that is left out
    X = scaled(mixed, mean, np.where(np.isfinite(spread), 1 / spread, 0))
    whole = np.asarray(X)
    assert whole.shape == X.shape == (80, 28)
    assert np.allclose(whole.mean(0), 0)
    columns, vectors, rows = Columns(X, backend), rng.normal(size=(80, 3)), np.arange(3, 40)
    close(backend.numpy(columns.kernel()), whole @ whole.T)
    close(backend.numpy(columns.kernel(X[rows])), whole[rows] @ whole.T)
    close(backend.numpy(columns.gram()), whole.T @ whole)
    close(backend.numpy(columns.down(backend.array(vectors))), whole.T @ vectors)
    some = backend.numpy(columns.down(backend.array(vectors[rows]), rows))
    close(some, whole[rows].T @ vectors[rows])
    close(backend.numpy(columns[rows]), whole[rows])


@BACKENDS
@pytest.mark.parametrize("p", [6, 40], ids=["primal", "dual"])
def test_solvers_give_the_same_answers(p, backend):
    X, other, inner = delayed(p=p), delayed(p=3, seed=5), np.arange(80) // 20
    Y, at = planted(X), np.arange(9)
    whole, beside = np.asarray(X), np.asarray(other)
    found = solver.solve(X, Y, ALPHAS, inner, at=X[at], backend=backend)
    expected = solver.solve(whole, Y, ALPHAS, inner, at=whole[at])
    assert np.array_equal(found.alpha, expected.alpha)
    for name in ("coef", "intercept", "predicted", "loss"):
        close(getattr(found, name), getattr(expected, name))
    weights = banded.dirichlet(6, 2, np.random.default_rng(0))
    lazy = Features([X, other], [X[at], other[at]])
    dense = Features([whole, beside], [whole[at], beside[at]])
    options = {"with_parts": True, "n_steps": 2}
    found = banded.solve(lazy, Y, weights, ALPHAS, inner, backend=backend, **options)
    expected = banded.solve(dense, Y, weights, ALPHAS, inner, **options)
    for name in ("coef", "intercept", "predicted", "parts", "loss", "weights"):
        # Steps solve their systems to 1e-7 and stop by themselves.
        close(getattr(found, name), getattr(expected, name), 1e-6)
    found = banded.solve(lazy, Y, weights, ALPHAS, inner, backend=backend)
    expected = banded.solve(dense, Y, weights, ALPHAS, inner)
    for name in ("coef", "intercept", "predicted", "loss", "weights", "alpha"):
        close(getattr(found, name), getattr(expected, name))


def fitted(kind, features, Y, **settings):
    fold = np.arange(len(Y)) * 3 // len(Y)
    folds = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(3)]
    model, section = {"ridge": (ridge, RidgeFit), "banded_ridge": (banded_ridge, BandedRidgeFit)}[
        kind
    ]
    targets = {name: [name] for name in features} | {"joint": list(features)}
    data = EncodingData(
        features,
        Y.astype(np.float32),
        pd.DataFrame({"unit": range(Y.shape[1]), "roi": "all"}),
        folds,
        lambda rows: np.arange(len(rows)) * 4 // len(rows),
        targets,
        {"joint": list(features)},
    )
    chosen = section(kind=kind, responses="r", features=["f"], joint=True, **settings)
    return model.fit(chosen, data, Context(Compute()))


@pytest.mark.parametrize("kind", ["ridge", "banded_ridge"])
@pytest.mark.parametrize("settings", [{}, {"pca": 5}])
def test_fits_give_the_same_answers(kind, settings):
    lazy = {"a": delayed(p=4), "b": delayed(p=9, seed=3)}
    whole = {name: np.asarray(X) for name, X in lazy.items()}
    settings = settings | ({"n_candidates": 5} if kind == "banded_ridge" else {})
    Y = planted(lazy["a"])
    found, expected = fitted(kind, lazy, Y, **settings), fitted(kind, whole, Y, **settings)
    for target in ("a", "b", "joint"):
        # Results are float32.
        assert np.allclose(found.predicted[target], expected.predicted[target], rtol=1e-5)
        assert np.allclose(found.weights[f"{target}/coef"], expected.weights[f"{target}/coef"],
                           rtol=1e-4, atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("kind", ["ridge", "banded_ridge"])
def test_memory_is_a_fraction(kind, monkeypatch):
    """8 copies of 150 x 4,000 are 38 MB in float64; a fit of the whole holds more."""
    monkeypatch.setattr(backends, "LARGEST_KEPT", 1)  # a block that is never touched
    lazy = {"a": delayed(150, 4000, 8)}
    Y = np.random.default_rng(0).normal(size=(150, 5))
    peaks = {}
    for name in ("whole", "lazy"):
        features = lazy if name == "lazy" else {"a": np.asarray(lazy["a"])}
        tracemalloc.start()
        section = {"ridge": RidgeFit, "banded_ridge": BandedRidgeFit}[kind](
            kind=kind, responses="r", features=["f"]
        )
        data = EncodingData(
            features, Y.astype(np.float32), pd.DataFrame({"unit": range(5), "roi": "all"}),
            [(np.arange(100), np.arange(100, 150))], lambda rows: np.arange(len(rows)) % 3,
            {"a": ["a"]},
        )  # fmt: skip
        {"ridge": ridge, "banded_ridge": banded_ridge}[kind].fit(section, data, Context(Compute()))
        peaks[name] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks["lazy"] < 0.2 * peaks["whole"]
