"""PLS and elastic nets as kinds of fit: references, planted truth, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from encoding_fits import correlation, fit_layers
from sklearn.linear_model import ElasticNetCV
from sklearn.model_selection import PredefinedSplit
from sklearn.preprocessing import StandardScaler

from fornix.errors import FornixError
from fornix.models import elastic_net, pls
from fornix.models.linear import fit_raw
from fornix.study.fits.elastic_net import ElasticNetFit
from fornix.study.fits.pls import PlsFit

COMMON = {"responses": "r", "features": ["f"]}
PLS = PlsFit(kind="pls", n_components=6, **COMMON)
NET = ElasticNetFit(kind="elastic_net", n_penalties=10, **COMMON)
KINDS = pytest.mark.parametrize(
    ("model", "section"), [(pls, PLS), (elastic_net, NET)], ids=["pls", "net"]
)


def planted(n=120, p=30, t=6, seed=0):
    """Three of the features matter; their scales differ."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * np.logspace(-1, 1, p) + 3
    Y = (X - 3)[:, :3] / X[:, :3].std(0) @ rng.normal(size=(3, t)) + rng.normal(size=(n, t)) + 2
    return X, Y


@KINDS
def test_the_layer_that_matters_predicts_and_shuffled_stimuli_do_not(model, section):
    X, Y = planted()
    order = np.random.default_rng(1).permutation(len(X))
    layers = {"right": X, "shuffled": X[order], "flat": np.ones((len(X), 2))}
    found, notes = fit_layers(model, section, layers, Y)
    assert correlation(found.predicted["right"] - Y.mean(0), Y - Y.mean(0)) > 0.6
    # Half of 120 x 6 values predicted from nothing: r within 3 / sqrt(720).
    assert correlation(found.predicted["shuffled"] - Y.mean(0), Y - Y.mean(0)) < 0.12
    fitted = X @ found.weights["right/coef"] + found.weights["right/intercept"]
    assert correlation(fitted - Y.mean(0), Y - Y.mean(0)) > 0.7
    train = np.arange(len(Y)) % 3 != 0
    expected = Y.astype(np.float32)[train].mean(0)
    assert np.allclose(found.predicted["flat"][~train], expected, atol=1e-5)
    assert any("flat: every feature is constant" in note for note in notes)


@KINDS
def test_units_that_are_constant_are_predicted_to_be(model, section):
    X, Y = planted()
    Y[:, 2] = 4
    found, _ = fit_layers(model, section, {"a": X}, Y)
    assert np.allclose(found.predicted["a"][:, 2], 4, atol=1e-5)
    assert not found.weights["a/coef"][:, 2].any()


@KINDS
def test_one_inner_fold_is_said(model, section):
    X, Y = planted()
    with pytest.raises(FornixError, match="one inner fold"):
        fit_layers(model, section, {"a": X}, Y, inner=1)


def test_more_features_than_samples():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 300))
    Y = X[:, :2] @ rng.normal(size=(2, 4)) + 0.3 * rng.normal(size=(60, 4))
    lasso = NET.model_copy(update={"l1_ratio": 1.0})
    found, _ = fit_layers(elastic_net, lasso, {"a": X}, Y)
    assert correlation(found.predicted["a"], Y) > 0.85
    weights = np.abs(found.weights["a/coef"])
    assert (weights[:2].max(1) > weights[2:].max()).all()
    dense, _ = fit_layers(pls, PLS, {"a": X}, Y)
    assert correlation(dense.predicted["a"], Y) < correlation(found.predicted["a"], Y)


@pytest.mark.parametrize("l1_ratio", [0.3, 1.0])
def test_nets_are_scikit_learns(l1_ratio):
    X, Y = planted(n=90, p=20, t=3)
    inner = np.arange(90) % 4
    section = NET.model_copy(update={"l1_ratio": l1_ratio})
    found = fit_raw(X, Y, inner, elastic_net.ElasticNets(section, []))
    Z = StandardScaler().fit_transform(X)
    for unit in range(3):
        y = Y[:, unit]
        largest = np.abs(Z.T @ (y - y.mean())).max() / (90 * l1_ratio)
        expected = ElasticNetCV(
            l1_ratio=l1_ratio, alphas=largest * np.geomspace(1, 1e-3, 10),
            cv=PredefinedSplit(inner), tol=1e-6, max_iter=10_000,
        ).fit(Z, y)  # fmt: skip
        assert found.chosen["alpha"][unit] == pytest.approx(expected.alpha_)
        assert np.allclose(found.coef[:, unit] * X.std(0), expected.coef_, atol=2e-3)
        predicted = X @ found.coef[:, unit] + found.intercept[unit]
        assert np.allclose(predicted, expected.predict(Z), atol=1e-2)


def test_nets_that_would_take_hours_are_not_begun():
    X, Y = planted(t=12)
    slow = NET.model_copy(update={"most_hours": 1e-9})
    with pytest.raises(FornixError, match=r"(?s)each of 12 units .*hours \(4 fits\).*kind: ridge"):
        fit_layers(elastic_net, slow, {"a": X}, Y)


def test_descents_that_do_not_end_are_told(monkeypatch):
    monkeypatch.setattr(elastic_net, "MOST_ITERATIONS", 1)
    X, Y = planted()
    _, notes = fit_layers(elastic_net, NET, {"a": X}, Y)
    assert any("stopped at 1 iterations" in note for note in notes)
