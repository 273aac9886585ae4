"""MEG through Snakemake: what is planted later is found later; a shuffled control finds nothing."""

from __future__ import annotations

import pandas as pd
import pytest

pytestmark = pytest.mark.long

WORLD = {
    "name": "hierarchy", "modality": "meg", "n_subjects": 1, "n_runs": 2, "n_images": 160,
    "meg": {"n_sensors": 24, "latencies": [0.06, 0.4], "noise_ceiling": 0.8},
}  # fmt: skip
RIDGE = {
    "kind": "ridge", "responses": "epochs", "features": ["content", "gabor"], "alphas": [0, 5, 6],
    "cv": {"n_splits": 4}, "inner_splits": 3,
}  # fmt: skip
STUDY = {
    "name": "latencies",
    "datasets": {"brain": {"source": "simulate", "world": WORLD}},
    "responses": {
        "epochs": {
            "kind": "meg", "dataset": "brain", "l_freq": None, "h_freq": None, "notch": None,
            "tmin": -0.1, "tmax": 0.6, "baseline": [-0.1, 0.0], "scale": "standard",
        }
    },
    "features": {
        "content": {"kind": "columns", "dataset": "brain", "columns": ["category"]},
        "gabor": {"kind": "gabor", "dataset": "brain", "size": 32, "n_levels": 1, "grid": 4},
    },
    "fits": {
        "encoding": RIDGE,
        "shuffled": {**RIDGE, "shuffle": True},
        "geometry": {
            "kind": "rsa", "responses": "epochs", "features": ["content", "gabor"], "window": 0.05,
            "bootstrap": {"over": "none"},
        },
    },
    "scores": {"permutations": 50, "correction": "cluster"},
}  # fmt: skip


@pytest.fixture(scope="module")
def done(project_factory, tmp_path_factory):
    project = project_factory(tmp_path_factory.mktemp("meg"))
    project.write({**STUDY, "name": "small"})
    project.snakemake()
    return project


@pytest.fixture(scope="module")
def scores(done):
    table = pd.read_parquet(done.root / "results/small/scores.parquet")
    return table[(table["metric"] == "pearson_r") & (table["subject"] == "01")]


def test_category_comes_after_oriented_energy(scores):
    rows = scores[scores["fit"] == "encoding"]
    course = rows.pivot_table(index="time", columns="target", values="value")
    assert course.loc[course.index < 0].abs().max().max() < 0.1
    # Energy drives V2 to V4 (planted at 0.11 to 0.21 s), category TO to PFC (0.30 to 0.40 s).
    assert course["gabor/level1"].idxmax() < course["content/category"].idxmax()
    assert 0.1 < course["gabor/level1"].idxmax() < 0.3
    assert 0.3 < course["content/category"].idxmax() < 0.5
    assert course["content/category"].max() > 0.4


def test_the_geometry_of_patterns_is_theirs_at_their_times(done):
    table = pd.read_parquet(done.root / "results/small/scores.parquet")
    rows = table[(table["fit"] == "geometry") & (table["subject"] == "01")]
    course = rows.pivot_table(index="time", columns="target", values="value")
    p = rows.pivot_table(index="time", columns="target", values="p_corrected")
    assert 0.3 < course["content/category"].idxmax() < 0.5
    assert course["content/category"].max() > 0.1
    assert (p.loc[0.4:0.5, "content/category"] < 0.05).all()
    assert (p.loc[:0.0] > 0.05).all().all()


def test_nothing_is_found_with_the_pictures_exchanged(scores):
    values = scores.loc[scores["fit"] == "shuffled", "value"]
    # A mean of 24 sensors' r has a spread of up to 1 / sqrt(160), if all of them go together.
    assert values.abs().max() < 3.5 / 160**0.5
    assert abs(values.mean()) < 0.03


def test_the_page_shows_where_on_the_head(done):
    page = (done.root / "results/small/report.html").read_text(encoding="utf-8")
    assert "Topographies" in page
    assert "Time course of similarity" in page
    assert "MEG of brain" in page
