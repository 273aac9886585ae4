"""What the page says about analyses of features, from artifacts that the stage has written."""

from __future__ import annotations

import base64
import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pydantic import TypeAdapter

from fornix.evaluation.table import COLUMNS
from fornix.report.figures import analyses as figures
from fornix.report.material import Material
from fornix.report.page import render
from fornix.stages import analyse
from fornix.store import Recipe, Target, create
from fornix.study.analyses import Analysis
from fornix.study.compute import Compute

ANALYSES = {
    "size": {"kind": "effective_dimension", "features": ["gabor"], "ranks": [1, 20]},
    "alike": {"kind": "cka", "features": ["gabor"]},
    "kinds": {"kind": "probe", "features": ["gabor"], "label": "kind", "permutations": 50,
              "estimator": "ridge"},
    "codes": {"kind": "activation_codes", "features": ["gabor"], "label": "kind",
              "permutations": 20},
    "shapes": {"kind": "manifold_capacity", "features": ["gabor"], "label": "kind",
               "directions": 10, "permutations": 20},
}  # fmt: skip
CLAIM = {
    "text": "The kind can be told.",
    "test": "above_chance",
    "scores": {"fit": "kinds", "metric": "accuracy", "target": "gabor/level2"},
}


@pytest.fixture(scope="module")
def finished(inputs, study_of, tmp_path_factory):
    root = tmp_path_factory.mktemp("analyses")
    rng = np.random.default_rng(0)
    names, kind = [f"im{i:02d}" for i in range(48)], np.arange(48) % 2
    layers = {"level1": rng.normal(size=(48, 6)), "level2": rng.normal(size=(48, 20))}
    layers["level2"][:, 0] += 6 * kind
    data = xr.Dataset(
        {name: (("stimulus", f"feature:{name}"), one) for name, one in layers.items()},
        coords={"stimulus": np.array(names, dtype=object)},
        attrs={"layers": json.dumps([*layers])},
    )
    with create(Target(root / "features"), Recipe("features", {}, {})) as draft:
        draft.write_dataset("features", data, along="stimulus")
    with create(Target(root / "ingest"), Recipe("ingest", {}, {})) as draft:
        table = pd.DataFrame({"stimulus": names, "kind": np.array(["a", "b"])[kind]})
        draft.write_table("stimuli", table)
    found = {}
    for name, section in ANALYSES.items():
        read = {"ingest": root / "ingest", "features/gabor": root / "features"}
        target = Target(root / f"{name}-00")
        analyse.run(TypeAdapter(Analysis).validate_python(section), read, target, Compute())
        found[f"analyses/{name}"] = target.path
    return Material(study_of(analyses=ANALYSES, claims=[CLAIM]), {**inputs, **found})


def test_their_scores_join_the_table_after_the_fits(finished):
    scores = finished.scores
    assert tuple(scores) == COLUMNS
    assert list(dict.fromkeys(scores["fit"]))[-5:] == [*ANALYSES]
    assert set(scores["study"]) == {"fake"}


def test_a_claim_about_an_analysis_is_judged(finished):
    (verdict,) = finished.verdicts
    assert verdict.verdict == "supported"


@pytest.mark.parametrize("name", ANALYSES)
def test_every_kind_is_drawn_with_words_beside(finished, name):
    pictures = figures.draw(finished, name)
    assert pictures
    for one in pictures:
        assert one.alt
        assert "level2" in one.alt or one.title == "Spectra"
        assert b"<svg" in base64.b64decode(one.source.partition(",")[2])


def test_the_page_has_a_section_for_each(finished):
    html = render(finished)
    for name in ANALYSES:
        assert f'id="analysis-{name}"' in html
    assert "most possible" in html
    assert "Linear probes for kind in gabor, 5 folds." in html
    assert "share of held-out stimuli classified right" in html


def test_many_layers_are_named_by_their_sections_only():
    targets = [f"{name}/layer{i}" for name in ("one", "two") for i in range(20)]
    assert figures._beginnings(targets) == ([0, 20], ["one", "two"])
