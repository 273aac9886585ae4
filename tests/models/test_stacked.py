"""Stacked regression: its weights, its predictions, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from encoding_fits import correlation, fit_layers
from pydantic import ValidationError
from scipy.optimize import minimize

from fornix.errors import FornixError
from fornix.models import stacked
from fornix.models.stacked import convex
from fornix.study.fits.stacked import StackedFit

SECTION = StackedFit(kind="stacked", responses="r", features=["f"], alphas=(-1, 4, 8))


def planted(n=120, t=10, seed=0):
    """The first half of the units answers to a, the other to both a and b; c says nothing."""
    rng = np.random.default_rng(seed)
    layers = {name: rng.normal(size=(n, 5)) for name in ("a", "b")}
    layers["c"] = rng.normal(size=(n, 60))
    signal = layers["a"] @ rng.normal(size=(5, t))
    signal[:, t // 2 :] += layers["b"] @ rng.normal(size=(5, t - t // 2))
    return layers, signal + 1.5 * rng.normal(size=(n, t)) + 4


def test_weights_are_those_of_a_general_optimiser():
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(4, 30, 20)) + rng.normal(size=(30, 20))
    errors[2] = errors[1]  # two spaces of the same errors
    products = np.einsum("ant,bnt->abt", errors, errors)
    found = convex(products)
    assert (found >= 0).all()
    assert np.allclose(found.sum(0), 1)
    for unit in range(20):
        matrix = products[:, :, unit]
        best = minimize(
            lambda w, m=matrix: w @ m @ w, np.full(4, 0.25), method="SLSQP", bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            options={"ftol": 1e-12},
        )  # fmt: skip
        assert found[:, unit] @ matrix @ found[:, unit] <= best.fun * (1 + 1e-6)


def test_spaces_are_weighed_by_what_they_predict():
    layers, Y = planted()
    found, _ = fit_layers(stacked, SECTION, layers, Y, bands=("a", "b", "c"))
    weights = found.weights["joint/weights"]
    assert weights.shape == (3, 10)
    assert np.allclose(weights.sum(0), 1)
    assert (weights[0, :5] > 0.7).all()
    assert weights[1, 5:].mean() > 0.25
    joint = correlation(found.predicted["joint"] - Y.mean(0), Y - Y.mean(0))
    alone = [correlation(found.predicted[name] - Y.mean(0), Y - Y.mean(0)) for name in layers]
    assert joint > max(alone)
    assert alone[2] < 0.12  # the training mean alone lies below 0
    parts = found.parts["joint"]
    train = np.arange(120) % 3 != 0
    centre = Y.astype(np.float32)[train].mean(0, dtype=np.float64)
    total = sum(part[~train] for part in parts.values()) + centre
    assert np.allclose(total, found.predicted["joint"][~train], atol=1e-5)


def test_what_is_stored_is_the_average_of_the_fits():
    layers, Y = planted()
    found, _ = fit_layers(stacked, SECTION, layers, Y, bands=("a", "b", "c"))
    X = np.hstack(list(layers.values()))
    fitted = X @ found.weights["joint/coef"] + found.weights["joint/intercept"]
    expected = sum(
        share * (layers[name] @ found.weights[f"{name}/coef"] + found.weights[f"{name}/intercept"])
        for share, name in zip(found.weights["joint/weights"], layers, strict=True)
    )
    assert np.allclose(fitted, expected, atol=1e-4)


def test_units_in_blocks_change_nothing(monkeypatch):
    layers, Y = planted(n=60)
    whole, _ = fit_layers(stacked, SECTION, layers, Y, bands=("a", "b"))
    monkeypatch.setattr(stacked, "UNITS", 3)
    found, _ = fit_layers(stacked, SECTION, layers, Y, bands=("a", "b"))
    assert np.allclose(found.predicted["joint"], whole.predicted["joint"], atol=1e-5)


def test_constant_units_and_features_are_no_trouble():
    layers, Y = planted(n=60)
    Y[:, 1] = 3
    layers["flat"] = np.ones((60, 2))
    found, _ = fit_layers(stacked, SECTION, layers, Y, bands=("a", "flat"))
    assert np.allclose(found.predicted["joint"][:, 1], 3)
    assert np.isfinite(found.predicted["joint"]).all()


def test_too_few_folds_are_said():
    layers, Y = planted(n=60)
    with pytest.raises(FornixError, match="fewer than three folds"):
        fit_layers(stacked, SECTION, layers, Y, bands=("a", "b"), inner=2)
    with pytest.raises(ValidationError, match="greater than or equal to 3"):
        StackedFit(kind="stacked", responses="r", features=["f"], inner_splits=2)
    with pytest.raises(ValidationError, match="take kind: ridge"):
        StackedFit(kind="stacked", responses="r", features=["f"], joint=False)
