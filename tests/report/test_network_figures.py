"""Attention and training curves: drawn where a fit has them, for a cohort's shares too."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import xarray as xr

from conftest import EVIL, artifact, study
from fornix.report.figures import attention, training
from fornix.report.material import Material


def parts(own=""):
    maps = np.full((6, 2, 3, 4), 1 / 12, dtype=np.float16)
    names = np.array([EVIL, "b", "c", "d", "e", "f"], dtype=object)
    dims = ("sample", "attending", "row0", "column0")
    coords = {"attending": np.array(["V1", EVIL], dtype=object), "stimulus": ("sample", names)}
    shown = xr.Dataset({"map0": (dims, maps)}, coords, {"targets": json.dumps(["gabor/level1"])})
    places = np.tile(np.array([[3, -1]]), (6, 1))[None]
    told = xr.Dataset(
        {"object_at": (("target", "sample", "attending"), places)}, {"target": ["gabor/level1"]}
    )
    log = pd.DataFrame(
        [
            {"step": 4 * e, "epoch": e, "split": split, "name": name, "value": 1.0 / (e + 1),
             "target": "gabor/level1", "fold": "fold0", "network": 0}
            for e in range(3) for split, name in (("train", "loss"), ("validation", "r"))
        ]
    )  # fmt: skip
    found = {f"attention{own}": shown, f"predictions{own}": told, f"training{own}": log}
    return {key.replace("-", "__"): value for key, value in found.items()}


def test_a_map_a_region_and_stimulus_and_a_panel_a_number(tmp_path):
    made = artifact(tmp_path, "one", "fit", **parts())
    material = Material(study(), {"fit/encoding/01": made})
    (shown,) = attention.draw(material, "encoding", "gabor/level1")
    assert "Rings: where the region's object is." in shown.caption
    (curves,) = training.draw(material, "encoding")
    assert "Curves of 1 trainings" in curves.caption
    assert "Mean last training loss 0.333" in curves.alt
    assert attention.draw(material, "encoding", "gabor/level2") == []


def test_a_cohorts_artifact_has_a_share_of_each_subject(tmp_path):
    both = parts("-01") | {"predictions__02": parts()["predictions"]}
    made = artifact(tmp_path, "all", "fit", fit={"notes": ["once"]}, **both)
    material = Material(study(), {"fit/encoding/01": made, "fit/encoding/02": made})
    assert attention.draw(material, "encoding", "gabor/level1")
    assert training.logs(material, "encoding")["subject"].unique().tolist() == ["01"]
    assert material.artifacts == ["fit/encoding/01"]


def test_fits_without_them_have_no_such_figures(material):
    assert attention.draw(material, "encoding", "gabor/level1") == []
    assert training.draw(material, "encoding") == []
