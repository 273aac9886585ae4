from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fornix.models import ridge
from fornix.models.interface import Context, EncodingData
from fornix.study.compute import Compute
from fornix.study.fits.ridge import RidgeFit

ALPHAS = np.logspace(-1, 6, 15)


def planted(n=120, p=15, t=12, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    coef = rng.normal(size=(p, t))
    return X, X @ coef + noise * rng.normal(size=(n, t)) + 3, coef


def fit(section, features, Y, folds, *, inner=5, targets=None):
    """Fit as the stage does; return the predictions and what the reader is told."""
    data = EncodingData(
        features,
        Y,
        pd.DataFrame({"unit": range(Y.shape[1]), "roi": "all"}),
        folds,
        lambda rows: np.arange(len(rows)) % inner,
        targets or {name: [name] for name in features},
    )
    context = Context(Compute())
    return ridge.fit(section, data, context), context.notes


def folds_of(n, k=5):
    fold = np.arange(n) % k
    return [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(k)]


def test_planted_weights_are_recovered_in_raw_units():
    X, Y, coef = planted(n=400, noise=0.01)
    scale = np.logspace(-2, 2, X.shape[1])
    found, used = ridge.fit_standardised(X * scale + 5, Y, ALPHAS, np.arange(400) % 5)
    assert used == X.shape[1]
    assert np.allclose(found.coef * scale[:, None], coef, atol=0.01)


def test_constant_features_are_dropped_and_get_no_weight():
    X, Y, _ = planted()
    wide = np.hstack([X, np.full((len(X), 2), 7.0)])
    inner = np.arange(len(X)) % 5
    plain, _ = ridge.fit_standardised(X, Y, ALPHAS, inner)
    found, used = ridge.fit_standardised(wide, Y, ALPHAS, inner)
    assert used == X.shape[1]
    assert not found.coef[-2:].any()
    assert np.allclose(found.coef[:-2], plain.coef)


def test_predictions_are_held_out_and_weights_predict():
    X, Y, _ = planted(noise=3)
    section = RidgeFit(kind="ridge", responses="r", features=["f"])
    layers = {"f/a": X, "f/flat": np.ones((len(X), 3))}
    found, notes = fit(section, layers, Y, folds_of(len(X)))
    test = np.arange(0, len(X), 5)
    train = np.setdiff1d(np.arange(len(X)), test)
    other, _ = ridge.fit_standardised(X[train], Y[train], ALPHAS, np.arange(len(train)) % 5)
    expected = X[test] @ other.coef + other.intercept
    assert not np.isnan(found.predicted["f/a"]).any()
    assert np.allclose(found.predicted["f/a"][test], expected, atol=1e-4)
    # A layer that is constant predicts the training mean, and the reader is told.
    assert np.allclose(found.predicted["f/flat"][test], Y[train].mean(0), atol=1e-5)
    assert any("f/flat" in note and "5 of 5 folds" in note for note in notes)
    assert found.alpha["f/a"].shape == (5, Y.shape[1])
    fitted = X @ found.weights["f/a/coef"] + found.weights["f/a/intercept"]
    assert np.corrcoef(fitted.ravel(), Y.ravel())[0, 1] > 0.7


def test_components_agree_with_scikit_learns_pipeline():
    X, Y, _ = planted(n=90, p=30, t=3, noise=5)
    inner = np.arange(90) % 5
    found, _ = ridge.fit_standardised(X, Y, ALPHAS, inner, n_components=4)
    pipeline = make_pipeline(StandardScaler(), PCA(4, svd_solver="full"))
    scores = pipeline.fit_transform(X)
    scores /= np.sqrt(scores.var(0, ddof=1).mean())
    for unit in range(3):
        expected = Ridge(alpha=found.alpha[unit]).fit(scores, Y[:, unit]).predict(scores)
        predicted = X @ found.coef[:, unit] + found.intercept[unit]
        assert np.allclose(predicted, expected, atol=1e-6)


def test_each_space_keeps_its_own_components():
    X, _, _ = planted(n=80, p=20)
    Z = (X - X.mean(0)) / X.std(0)
    owner = np.repeat([0, 1, 2], [12, 5, 3])
    axes = ridge.principal_axes(Z, owner, 3)
    assert axes.shape == (20, 3 + 3 + 3)
    expected = PCA(3, svd_solver="full").fit(Z[:, :12]).components_.T
    length = np.linalg.norm(axes[:12, :3], axis=0)
    assert np.allclose(np.abs(axes[:12, :3] / length), np.abs(expected))
    for block in (slice(0, 3), slice(3, 6), slice(6, 9)):
        assert np.isclose((Z @ axes)[:, block].var(0).mean(), 1, rtol=0.02)
    assert not axes[12:, :3].any()
    assert np.array_equal(axes[17:, 6:], np.eye(3))


def test_components_know_nothing_of_held_out_samples():
    """Held-out samples of another size would turn the axes, had these seen them."""
    X, Y, _ = planted(n=100, p=30)
    section = RidgeFit(kind="ridge", responses="r", features=["f"], pca=3)
    folds = folds_of(100)
    other = X.copy()
    other[folds[0][1], :5] *= 1000
    weights = []
    for given in (X, other):
        train, test = folds[0]
        found, _ = fit(section, {"f": given}, Y, [(train, test)])
        weights.append(found.predicted["f"][test])
    assert not np.allclose(weights[0], weights[1])
    solved = [
        ridge.fit_standardised(one[train], Y[train], ALPHAS, np.arange(80) % 5, n_components=3)[0]
        for one in (X, other)
    ]
    assert np.array_equal(solved[0].coef, solved[1].coef)
    assert np.allclose(weights[1], other[test] @ solved[1].coef + solved[1].intercept, rtol=1e-5)


def test_targets_put_spaces_side_by_side():
    X, Y, _ = planted(n=100, p=10, noise=1)
    section = RidgeFit(kind="ridge", responses="r", features=["f"])
    spaces = {"a": X[:, :6], "b": X[:, 6:]}
    targets = {"a": ["a"], "joint": ["a", "b"]}
    found, _ = fit(section, spaces, Y, folds_of(100), targets=targets)
    whole, _ = fit(section, {"x": X}, Y, folds_of(100))
    assert list(found.predicted) == ["a", "joint"]
    assert np.array_equal(found.predicted["joint"], whole.predicted["x"])
    assert np.array_equal(found.weights["joint/coef"], whole.weights["x/coef"])
