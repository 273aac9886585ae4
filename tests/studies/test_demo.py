"""The built-in study recovers what its world planted; its control finds nothing."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.long

PLANTED = {
    "V1": "gabor/level1",
    "V2": "gabor/level3",
    "LOC": "content/category",
    "IPS": "content/position",
}
CEILING = 0.6**0.5


@pytest.fixture(scope="module")
def scores(run_study, tmp_path_factory):
    # What nothing below looks at: the spread over the bootstrap's thousand draws.
    fewer = "fits.geometry.bootstrap.n_draws=100"
    return run_study("demo", tmp_path_factory.mktemp("no-data"), fewer)


@pytest.mark.parametrize("region", PLANTED)
def test_the_planted_layer_wins_in_everybody(scores, region):
    rows = scores.query("fit == 'encoding' and metric == 'pearson_r' and unit == @region")
    winners = rows.loc[rows.groupby("subject")["value"].idxmax(), "target"]
    assert list(winners) == [PLANTED[region]] * 3


def test_the_ceiling_is_the_planted_one(scores):
    rows = scores.query("fit == 'encoding' and metric == 'pearson_r' and unit != 'control'")
    assert rows["ceiling"].to_numpy() == pytest.approx(CEILING, abs=0.03)


def test_no_model_exceeds_the_ceiling(scores):
    rows = scores.query("fit == 'encoding' and metric == 'pearson_r' and unit != 'control'")
    assert (rows["value"] < rows["ceiling"] + 0.02).all()


def test_shuffled_pictures_predict_nothing(scores):
    rows = scores.query("fit == 'shuffled' and metric == 'pearson_r'")
    # A thousand permutations can't reach 0.05 / 180; one in twenty is to be expected.
    assert (rows["p"] < 0.05).mean() < 0.1
    assert abs(rows["value"].mean()) < 0.03


def test_the_control_region_is_predicted_by_nothing(scores):
    rows = scores.query("fit == 'encoding' and metric == 'pearson_r' and unit == 'control'")
    assert rows["p"].min() > 0.05 / len(rows)


@pytest.mark.parametrize("region", ["V1", "V2", "IPS", "control"])
def test_only_the_region_of_the_category_decodes_it(scores, region):
    rows = scores.query("fit == 'decoding' and metric == 'accuracy' and unit == @region")
    assert rows["p"].min() > 0.05 / 12  # four regions of three people
    assert rows["value"].max() < 0.3
    category = scores.query("fit == 'decoding' and metric == 'accuracy' and unit == 'LOC'")
    assert category["p"].max() < 0.01
    assert category["value"].min() > 0.9
