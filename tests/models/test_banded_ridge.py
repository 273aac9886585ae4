"""Banded ridge as a kind of fit: weights, kernels, bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from fornix.errors import FornixError
from fornix.models import banded_ridge
from fornix.models.interface import Context, EncodingData
from fornix.study.compute import Compute
from fornix.study.fits.banded_ridge import BandedRidgeFit


def planted(n=90, t=5, seed=0):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, 4)) * 10 + 3, rng.normal(size=(n, 6))
    return a, b, a @ rng.normal(size=(4, t)) / 10 + rng.normal(size=(n, t)) + 2


def fit(section, layers, Y, *, targets=None, bands=None, **compute):
    targets = targets or {name: [name] for name in layers} | {"joint": [*layers]}
    bands = {"joint": [*layers]} if bands is None else bands
    fold = np.arange(len(Y)) % 3
    folds = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(3)]
    data = EncodingData(
        layers,
        Y.astype(np.float32),
        pd.DataFrame({"unit": range(Y.shape[1]), "roi": "all"}),
        folds,
        lambda rows: np.arange(len(rows)) % 4,
        targets,
        bands,
    )
    context = Context(Compute(**compute))
    return banded_ridge.fit(section, data, context), context.notes


def section(**settings):
    common = {"kind": "banded_ridge", "responses": "r", "features": ["f"], "n_candidates": 6}
    return BandedRidgeFit(**common | settings)


@pytest.mark.parametrize("pca", [None, 3])
def test_weights_are_for_raw_features(pca):
    a, b, Y = planted()
    found, notes = fit(section(pca=pca), {"a": a, "b": b}, Y)
    coef, intercept = found.weights["joint/coef"], found.weights["joint/intercept"]
    fitted = np.hstack([a, b]) @ coef + intercept
    assert np.corrcoef(fitted.ravel(), Y.ravel())[0, 1] > 0.6
    assert found.alpha["joint"].shape == (3, 5)
    assert not notes
    # The mean of what was fitted is the mean of the responses.
    assert np.allclose(fitted.mean(0), Y.mean(0), atol=1e-4)


def test_steps_down_the_gradient_find_what_few_candidates_miss():
    rng = np.random.default_rng(0)
    layers = {name: rng.normal(size=(90, 30)) for name in "abcd"}
    Y = layers["a"] @ rng.normal(size=(30, 8)) / 4 + rng.normal(size=(90, 8))
    r = {}
    for steps in (0, 20):
        found, _ = fit(section(n_candidates=1, n_steps=steps), layers, Y)
        r[steps] = np.corrcoef(found.predicted["joint"].ravel(), Y.ravel())[0, 1]
    assert r[20] > r[0] + 0.1
    assert np.median(found.weights["joint/weights"][0]) > 0.8


def test_scale_and_copies_of_a_space_change_nothing():
    a, b, Y = planted()
    plain, _ = fit(section(), {"a": a, "b": b}, Y)
    wide, _ = fit(section(), {"a": np.hstack([a] * 3) * 100, "b": b - 7}, Y)
    assert np.allclose(plain.predicted["joint"], wide.predicted["joint"], atol=1e-5)


@pytest.mark.parametrize("kernel", ["polynomial", "gaussian"])
def test_kernels_see_what_linear_models_do_not(kernel):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(240, 2)), rng.normal(size=(240, 5))
    Y = (a[:, :1] * a[:, 1:]) @ np.ones((1, 4)) + 0.3 * rng.normal(size=(240, 4))
    scores = {}
    for kinds in ({}, {"a": kernel}):
        found, _ = fit(section(kernels=kinds), {"a": a, "b": b}, Y)
        r = np.corrcoef(found.predicted["joint"].ravel(), Y.ravel())[0, 1]
        scores[len(kinds)] = r
    assert scores[0] < 0.2
    assert scores[1] > 0.8
    assert found.weights["joint/dual"].shape == (240, 4)
    assert "joint/coef" not in found.weights


@pytest.mark.parametrize("kernel", ["linear", "gaussian"])
def test_spaces_that_are_constant_have_no_part(kernel):
    a, b, Y = planted()
    layers = {"a": a, "flat": np.ones((len(a), 3)), "b": b}
    found, notes = fit(section(kernel=kernel), layers, Y)
    assert not found.parts["joint"]["flat"].any()
    assert any(note.startswith("joint: every feature of flat is constant") for note in notes)
    assert np.isfinite(found.predicted["joint"]).all()
    train = np.arange(90) % 3 != 0
    expected = Y.astype(np.float32)[train].mean(0)
    assert np.allclose(found.predicted["flat"][~train], expected, atol=1e-5)
    without, _ = fit(section(kernel=kernel), {"a": a, "b": b}, Y)
    assert (
        np.corrcoef(found.predicted["joint"].ravel(), without.predicted["joint"].ravel())[0, 1]
        > 0.9
    )


def test_units_that_are_constant_are_predicted_to_be():
    a, b, Y = planted()
    Y[:, 2] = 4
    found, _ = fit(section(), {"a": a, "b": b}, Y)
    assert np.allclose(found.predicted["joint"][:, 2], 4)


def test_bad_settings_are_said():
    a, b, Y = planted()
    with pytest.raises(FornixError, match=r"(?s)kernels names 'aa', which is no space.*'a'"):
        fit(section(kernels={"aa": "gaussian"}), {"a": a, "b": b}, Y)
    with pytest.raises(ValidationError, match="take kind: ridge"):
        section(joint=False)
    with pytest.raises(FornixError, match=r"(?s)may take 125 MB.*compute.memory_mb"):
        fit(section(), {"a": np.ones((2400, 1)) * np.arange(2400)[:, None],
                        "b": np.random.default_rng(0).normal(size=(2400, 2600))},
            np.zeros((2400, 1)), memory_mb=500)  # fmt: skip
