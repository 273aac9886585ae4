"""A planted world in which one of two spaces of features matters, through fit and evaluate."""

from __future__ import annotations

import numpy as np
import pytest
from fitting import fit_and_score, trials, write_features, write_responses
from safetensors.numpy import load_file

from fornix.study.fits.banded_ridge import BandedRidgeFit
from fornix.study.fits.elastic_net import ElasticNetFit
from fornix.study.fits.pls import PlsFit
from fornix.study.fits.ridge import RidgeFit
from fornix.study.fits.stacked import StackedFit

COMMON = {"responses": "bold", "features": ["small", "wide"], "joint": True}
BANDED = BandedRidgeFit(kind="banded_ridge", n_candidates=20, **COMMON)
RIDGE = RidgeFit(kind="ridge", **COMMON)
N = 120
SHARE = 0.5


def world(folder, *, planted=True, width=400):
    """Four features decide half of the variance, beside many that say nothing."""
    rng = np.random.default_rng(0)
    small, wide = rng.normal(size=(N, 4)), rng.normal(size=(N, width))
    signal = (small if planted else rng.normal(size=(N, 4))) @ rng.normal(size=(4, 25))
    signal /= signal.std(0)
    values = signal + np.sqrt(1 / SHARE - 1) * rng.normal(size=signal.shape)
    stimuli = [f"im{i:03d}.png" for i in range(N)]
    responses = write_responses(folder / "r", values, trials(stimuli, [1] * N))
    features = {"small": write_features(folder / "s", {"x": small}, stimuli)}
    features["wide"] = write_features(folder / "w", {"x": wide}, stimuli)
    return {"01": responses}, features


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Return value(kind, metric, target) of the planted world, and the fit's artifact."""
    folder = tmp_path_factory.mktemp("banded")
    given = world(folder)
    tables, fits = {}, {}
    for section in (BANDED, RIDGE):
        scores, found = fit_and_score(folder / section.kind, section, *given, ceiling=False)
        tables[section.kind] = scores.table("scores").set_index(["metric", "target"])["value"]
        fits[section.kind] = found["01"]
    return tables, fits


def test_the_space_that_matters_is_found_where_ridge_on_both_does_not_find_it(judged):
    tables, _ = judged
    banded, ridge = tables["banded_ridge"], tables["ridge"]
    # With 120 samples r of a true model of half of the variance is 0.7, within 0.02 over 25 units.
    assert banded["pearson_r", "joint"] > 0.6
    assert banded["pearson_r", "joint"] > banded["pearson_r", "small/x"] - 0.03
    assert ridge["pearson_r", "joint"] < 0.45
    whole = banded["r2", "joint"]
    assert banded["product_r2", "small/x"] > 0.9 * whole
    assert abs(banded["product_r2", "wide/x"]) < 0.05
    # R² of the training mean is -1/96 or so.
    total = banded["product_r2", "small/x"] + banded["product_r2", "wide/x"]
    assert total == pytest.approx(whole, abs=0.02)
    split = banded["split_r", "small/x"] + banded["split_r", "wide/x"]
    assert split == pytest.approx(banded["pearson_r", "joint"], abs=1e-4)
    assert banded["unique_r2", "small/x"] > 0.3
    assert banded["unique_r2", "wide/x"] < 0.02


def test_without_truth_nothing_is_found(tmp_path):
    scores, _ = fit_and_score(tmp_path, BANDED, *world(tmp_path, planted=False), ceiling=False)
    table = scores.table("scores").set_index(["metric", "target"])
    # The mean r of 25 units has a standard error of 1 / sqrt(25 * 120), widened by the folds.
    assert abs(table["value"]["pearson_r", "joint"]) < 0.08
    assert table["value"]["product_r2", "small/x"] < 0.05


def test_what_is_stored_predicts(judged):
    _, fits = judged
    found = fits["banded_ridge"]
    predictions = found.dataset("predictions").load()
    assert predictions["part"].dims == ("space", "sample", "unit")
    assert predictions["space"].values.tolist() == ["small/x", "wide/x"]
    weights = load_file(found.part("weights.safetensors"))
    assert weights["joint/coef"].shape == (404, 25)
    assert weights["joint/weights"].shape == (2, 25)
    shares = weights["joint/weights"]
    assert (shares[0] > shares[1]).mean() > 0.9


OTHERS = [
    StackedFit(kind="stacked", alphas=(0, 5, 6), **COMMON),
    PlsFit(kind="pls", n_components=5, **COMMON | {"joint": False}),
    ElasticNetFit(kind="elastic_net", n_penalties=4, smallest=0.03, **COMMON | {"joint": False}),
]


@pytest.mark.parametrize("section", OTHERS, ids=lambda one: one.kind)
def test_other_models_find_the_space_that_matters(section, tmp_path):
    scores, fits = fit_and_score(tmp_path, section, *world(tmp_path, width=60), ceiling=False)
    table = scores.table("scores").set_index(["metric", "target"])["value"]
    assert table["pearson_r", "small/x"] > 0.55
    assert table["pearson_r", "wide/x"] < 0.08
    if section.joint:
        # Spaces are weighed by what they predict: nothing is lost by the one of no use.
        assert table["pearson_r", "joint"] > 0.55
        assert table["product_r2", "small/x"] > 0.9 * table["r2", "joint"]
    assert fits["01"].json("fit.json")["kind"] == section.kind
    assert section.describe()


@pytest.mark.parametrize("section", OTHERS, ids=lambda one: one.kind)
def test_other_models_find_nothing_where_nothing_is(section, tmp_path):
    given = world(tmp_path, planted=False, width=60)
    scores, _ = fit_and_score(tmp_path, section, *given, ceiling=False)
    table = scores.table("scores")
    assert table[table["metric"] == "pearson_r"]["value"].max() < 0.08
