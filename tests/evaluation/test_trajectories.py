"""Half-times and factors from rows of brain-likeness scores."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from fornix.errors import FornixError
from fornix.evaluation.factors import factor_rows
from fornix.evaluation.table import ALL, GROUP, score_row
from fornix.evaluation.trajectories import trajectory_rows
from fornix.seeds import generator
from fornix.study.load import parse_study
from fornix.study.scores import Scores

STEPS = (0, 10, 100, 1000)
REGIONS = ("V1", "V2", "V4", "IT", "PFC")
LIKENESS = {"permutations": 200, "brain_likeness": True}


def row(subject, model, unit, value, metric="encoding_score"):
    return score_row(subject=subject, target=model, unit=unit, metric=metric, value=value, n=10)


def curve(half, step):
    """Return a score that is at half of its rise at a step, linear in the logarithm."""
    return 0.1 + 0.4 * min(1.0, np.log1p(step) / (2 * np.log1p(half)))


def trajectory(halves, **scores):
    rows = [
        row(subject, f"vit_{step}", region, curve(half, step))
        for subject in ("01", "02")
        for region, half in halves.items()
        for step in STEPS
    ]
    settings = LIKENESS | {"trajectories": ["vit"], "hierarchy": list(REGIONS)} | scores
    found = trajectory_rows(rows, Scores(**settings), seed=0)
    return {(one["subject"], one["unit"], one["metric"]): one for one in found}


def test_half_times_are_those_planted_and_low_regions_come_first():
    halves = dict(zip(REGIONS, (3, 5, 9, 16, 28), strict=True))
    found = trajectory(halves)
    for region, half in halves.items():
        for subject in ("01", GROUP):
            value = found[subject, region, "encoding_half_time"]["value"]
            assert value == pytest.approx(half, rel=0.35)  # the knee lies between checkpoints
    order = found["01", ALL, "half_time_order"]
    assert order["value"] > 0.95
    assert order["p"] == pytest.approx(1 / 120)  # of 5! orders, the best one


def test_regions_that_rise_together_have_no_order():
    found = trajectory(dict.fromkeys(REGIONS, 10))
    order = found["01", ALL, "half_time_order"]
    assert order["value"] == 0
    assert order["p"] == 1


def test_where_training_adds_nothing_there_is_no_half_time():
    rows = [row("01", f"vit_{step}", ALL, 0.3 - step / 1e4) for step in STEPS]
    settings = Scores(**LIKENESS, trajectories=["vit"])
    (found,) = trajectory_rows(rows, settings, seed=0)
    assert np.isnan(found["value"])


FACTORS = {
    "size": {"small": "*_small_*", "large": "*_large_*"},
    "training": {"none": "*_0", "some": "*_10", "much": "*_100"},
    "images": {"objects": "objects_*", "aerial": "aerial_*", "cells": "cells_*"},
}


def models():
    names = product(FACTORS["images"], FACTORS["size"], ("0", "10", "100"))
    return ["_".join(one) for one in names]


def test_factors_that_were_planted_are_told_from_those_that_were_not():
    rng = generator(0, "factors")
    noise = {model: rng.normal(0, 0.01) for model in models()}
    rows = [
        row(subject, model, ALL, 0.5 * ("_100" in model) * model.startswith("objects")
            + noise[model] + rng.normal(0, 0.01))
        for subject in ("01", "02", "03")
        for model in models()
    ]  # fmt: skip
    found = factor_rows(rows, Scores(**LIKENESS, factors=FACTORS), seed=0)
    p = {one["target"]: one["p"] for one in found if one["metric"] == "eta_squared"}
    assert max(p["training"], p["images"], p["training x images"]) < 0.02
    assert min(p["size"], p["size x training"], p["size x images"]) > 0.02
    change = {
        (one["subject"], one["target"]): one for one in found if one["metric"] == "factor_change"
    }
    # Of three kinds of pictures, one rises by 0.5.
    assert change[GROUP, "training"]["value"] == pytest.approx(0.5 / 3, abs=0.02)
    lower, upper = (change[GROUP, "size"][key] for key in ("lower", "upper"))
    assert lower < change[GROUP, "size"]["value"] < upper
    assert {subject for subject, _ in change} == {"01", "02", "03", GROUP}


def test_a_design_with_a_hole_is_refused():
    with pytest.raises(ValueError, match="no model is in the cell large x much x cells"):
        Scores(**LIKENESS, factors=FACTORS).cells([m for m in models() if m != "cells_large_100"])
    with pytest.raises(ValueError, match="are in one cell"):
        Scores(**LIKENESS, factors=FACTORS).cells([*models(), "cells_large_x_100"])


def test_a_study_says_so_before_anything_runs():
    raw = {
        "name": "small",
        "datasets": {"shapes": {"source": "simulate", "world": {"name": "shapes"}}},
        "responses": {"betas": {"kind": "fmri", "dataset": "shapes"}},
        "features": {
            name: {"kind": "pixels", "dataset": "shapes"} for name in ("objects_small_0", "other")
        },
        "fits": {"fit": {"kind": "ridge", "responses": "betas", "features": ["objects_small_0"]}},
        "scores": {"brain_likeness": True, "factors": FACTORS},
    }
    with pytest.raises(FornixError, match=r"no model is in the cell .* the fit 'fit'"):
        parse_study(raw)
    raw["scores"] = {"brain_likeness": True, "trajectories": ["objects_smal"]}
    with pytest.raises(FornixError, match="objects_small"):
        parse_study(raw)
    raw["scores"] = {"trajectories": ["objects_small"]}
    with pytest.raises(FornixError, match="brain_likeness: true"):
        parse_study(raw)
