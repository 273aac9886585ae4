"""Figures of networks that are trained in the study: curves, trajectories, layers."""

from __future__ import annotations

import base64
from types import SimpleNamespace

import pandas as pd
import pytest

from fornix.evaluation.table import GROUP, score_row
from fornix.report.figures import layers, pretraining, trajectories
from fornix.study.scores import Scores

STEPS, REGIONS = (0, 10, 100), ("V1", "V4", "IT")
LAYERS = ("embeddings", "block1", "block2")


def svg(found) -> str:
    return base64.b64decode(found.source.partition(",")[2]).decode()


def material(*, in_time=False):
    """Return what figures ask of a finished study: two subjects, one family of checkpoints."""
    rows = []
    for subject in ("01", "02"):
        for step in STEPS:
            model = f"vit_{step}"
            for metric in ("encoding_score", "spatial_score"):
                head = {"subject": subject, "target": model, "unit": "all"}
                rows.append(score_row(**head, metric=metric, value=step / 200, n=9))
            for i, layer in enumerate(LAYERS):
                for k, region in enumerate(REGIONS):
                    place = {"unit": "all", "time": k / 10} if in_time else {"unit": region}
                    head = {"subject": subject, "target": f"{model}/{layer}", **place}
                    rows.append(score_row(**head, metric="pearson_r", value=1 - abs(i - k), n=9))
    for region, half in zip(("all", *REGIONS), (20, 8, 25, float("nan")), strict=True):
        head = {"subject": GROUP, "target": "vit", "unit": region}
        rows.append(score_row(**head, metric="encoding_half_time", value=half, n=3))
        if region != "all":
            head = {"subject": "01", "target": "vit_100", "unit": region}
            rows.append(score_row(**head, metric="encoding_score", value=0.1, n=9))
    table = pd.DataFrame(rows).assign(fit="encoding")
    likeness = {"brain_likeness": True, "trajectories": ["vit"], "hierarchy": list(REGIONS)}

    def chosen(fit, metric=None):
        found = table[(table["fit"] == fit) & (table["subject"] != GROUP)]
        return found if metric is None else found[found["metric"] == metric]

    return SimpleNamespace(
        study=SimpleNamespace(scores=Scores(**likeness)),
        scores=table,
        rows=chosen,
        in_time=lambda fit: in_time,
        targets=lambda fit: [f"vit_{step}/{layer}" for step in STEPS for layer in LAYERS],
        layers=lambda name: [f"{name}/{layer}" for layer in LAYERS],
    )


def test_scores_are_drawn_along_training_with_their_half_times():
    curves, regions = trajectories.draw(material(), "encoding")
    assert "vit, encoding: 20" in curves.alt
    assert "spatial score" in svg(curves)
    assert all(region in svg(regions) for region in REGIONS)


def test_without_trajectories_there_is_no_figure():
    found = material()
    found.study.scores = Scores()
    assert trajectories.draw(found, "encoding") == []
    assert layers.draw(found, "encoding") == []


def test_each_region_has_its_best_layer():
    (found,) = layers.draw(material(), "encoding")
    assert "vit_100: V1 embeddings, V4 block1, IT block2" in found.alt


def test_each_layer_has_its_best_time():
    (found,) = layers.draw(material(in_time=True), "encoding")
    assert "vit_100, from the first layer on: 0.00 s, 0.10 s, 0.20 s" in found.alt


def test_training_curves_have_a_panel_a_number():
    log = pd.DataFrame(
        [(1, 0, "train", "loss", 4.0), (2, 0, "train", "loss", 3.0),
         (0, -1, "checkpoint", "spread", 0.5), (2, -1, "checkpoint", "spread", 0.9)],
        columns=["step", "epoch", "split", "name", "value"],
    )  # fmt: skip
    found = pretraining.draw({"vit": log, "other": log})
    assert found.alt == "Last loss: vit 3.00; other 3.00"
    assert "spread of the tokens" in svg(found)
    assert "accuracy" not in svg(found)


@pytest.mark.parametrize("metric", ["encoding_half_time", "eta_squared", "half_time_order"])
def test_new_scores_have_names(metric):
    from fornix.report import words

    assert words.metric(metric) != metric
