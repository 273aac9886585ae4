"""A finished study made of small artifacts, with a hostile name in every text from data."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from fornix.evaluation.table import COLUMNS, KEYS
from fornix.report.material import Material
from fornix.seeds import generator
from fornix.store import Recipe, Target, create
from fornix.study.load import parse_study

EVIL = "<script>alert(1)</script>"
SUBJECTS = ("01", "02")
CLASSES = ("cat", "dog", EVIL)
STIMULI = ["a", "b", "c", "d", "e", EVIL]

STUDY = {
    "name": "fake",
    "title": f"A study of {EVIL}",
    "paper": {"citation": "Somebody (2020)", "doi": "10.1/x"},
    "datasets": {"data": {"source": "local", "path": "data"}},
    "responses": {"betas": {"kind": "fmri", "dataset": "data"}},
    "features": {"gabor": {"kind": "gabor", "dataset": "data"}},
    "fits": {
        "encoding": {"kind": "ridge", "responses": "betas", "features": ["gabor"]},
        "shuffled": {
            "kind": "ridge",
            "responses": "betas",
            "features": ["gabor"],
            "shuffle": True,
        },
        "decoding": {"kind": "classifier", "responses": "betas"},
        "course": {"kind": "classifier", "responses": "betas", "window": 0.1},
        "geometry": {"kind": "rsa", "responses": "betas", "features": ["gabor"]},
    },
    "claims": [
        {
            "text": f"Energy predicts {EVIL}.",
            "test": "above_chance",
            "scores": {"fit": "encoding", "metric": "pearson_r", "target": "gabor/level1"},
        },
        {
            "text": "It is great.",
            "test": "at_least",
            "scores": {"fit": "encoding", "metric": "pearson_r"},
            "threshold": 2,
        },
        {
            "text": "Nobody looked.",
            "test": "above_chance",
            "scores": {"fit": "encoding", "metric": "auc"},
        },
    ],
}


def study(**changes):
    return parse_study({**STUDY, **changes})


def artifact(root, key, stage, **parts):
    """Write an artifact: tables, datasets and JSON by the type of the value."""
    with create(Target(root / key, versions={"numpy": "2"}), Recipe(stage, {}, {})) as draft:
        for name, value in parts.items():
            name = name.replace("__", "-")  # noqa: PLW2901 - a part's name, spelt for Python
            if isinstance(value, pd.DataFrame):
                draft.write_table(name, value)
            elif isinstance(value, xr.Dataset):
                draft.write_dataset(name, value, along=str(next(iter(value.dims))))
            else:
                draft.write_json(f"{name}.json", value)
    return root / key


def score_rows(fit, targets, units, metric, *, times=(np.nan,), level=0.4, group=False):
    random = generator(0, fit)
    subjects = [*SUBJECTS, *(["group"] if group else [])]
    rows = [
        {
            "study": "",
            "fit": fit,
            "subject": subject,
            "session": "all",
            "target": target,
            "unit": unit,
            "time": time,
            "metric": metric,
            "value": level + 0.05 * random.standard_normal(),
            "chance": 0.0,
            "ceiling": 0.8 if metric == "pearson_r" else np.nan,
            "p": 0.001 if level else 0.5,
            "n": 40,
        }
        for subject in subjects
        for unit in units
        for target in targets
        for time in times
    ]
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS))


def scores(root, fit, table, **maps):
    intervals = table[list(KEYS)].assign(low=-0.1, high=0.1)
    details = {"how": {"p": f"as {EVIL} does"}, "notes": [f"note {EVIL}"]}
    return artifact(
        root,
        f"scores-{fit}",
        "evaluate",
        scores=table,
        intervals=intervals,
        details=details,
        **maps,
    )


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("artifacts")
    layers = ["level1", "level2"]
    targets = [f"gabor/{layer}" for layer in layers]
    regions = ["V1", EVIL]
    found = {}
    recordings = pd.DataFrame(
        {
            "recording": ["a", "b"],
            "subject": SUBJECTS,
            "session": [None, None],
            "duration": [100.0, 100.0],
            "shape": ["4x4x1"] * 2,
            "sampling_frequency": [0.5] * 2,
        }
    )
    events = pd.DataFrame({"recording": ["a", "a", "b"], "trial_type": CLASSES, "duration": 2.0})
    about = {"Name": f"Data {EVIL}", "License": "CC0"}
    checks = [{"level": "warning", "where": "events.tsv", "text": f"saw {EVIL}"}]
    stimuli = pd.DataFrame({"stimulus": STIMULI, "modality": "image", "kind": list("xyxyxy")})
    found["ingest/data"] = artifact(
        root, "ingest", "ingest", recordings=recordings, events=events, stimuli=stimuli,
        dataset=about, checks=checks,
    )  # fmt: skip
    variables = {layer: (("stimulus", f"feature:{layer}"), np.ones((3, 2))) for layer in layers}
    data = xr.Dataset(variables, attrs={"layers": json.dumps(layers)})
    found["features/gabor"] = artifact(root, "features", "features", features=data)
    maps = {}
    for subject in SUBJECTS:
        left_out = [{"recording": "a", "what": "voxel", "n": 3, "detail": f"constant {EVIL}"}]
        attrs = {"exclusions": json.dumps(left_out), "steps": json.dumps([f"step {EVIL}"])}
        data = xr.Dataset({"responses": (("sample", "unit"), np.ones((6, 4)))}, attrs=attrs)
        key = f"responses/betas/{subject}"
        found[key] = artifact(root, f"responses-{subject}", "preprocess", responses=data)
        maps[f"maps__{subject}"] = xr.Dataset(
            {
                "pearson_r": (("target", "unit"), np.random.default_rng(0).random((2, 8))),
                "ceiling": ("unit", np.full(8, 0.8)),
            },
            coords={
                "target": np.array(targets, dtype=object),
                "roi": ("unit", np.array(regions * 4, dtype=object)),
                "i": ("unit", np.arange(8) % 4),
                "j": ("unit", np.arange(8) // 4),
                "k": ("unit", np.zeros(8, dtype=int)),
            },
            attrs={"volume_shape": [4, 4, 1], "affine": np.diag([-3.0, 3.0, 3.0, 1.0]).tolist()},
        )
        for name in STUDY["fits"]:
            found[f"fit/{name}/{subject}"] = fit(root, name, subject, targets, regions)
    rows = {
        "encoding": score_rows("encoding", targets, regions, "pearson_r"),
        "shuffled": score_rows("shuffled", targets, regions, "pearson_r", level=0.0),
        "decoding": score_rows("decoding", ["trial_type"], ["all"], "accuracy"),
        "course": score_rows("course", ["trial_type"], ["all"], "auc", times=(-0.1, 0.0, 0.1)),
        "geometry": pd.concat(
            [
                score_rows("geometry", targets, ["V1"], "spearman_rho", group=True),
                ceiling("noise_ceiling_lower", 0.5),
                ceiling("noise_ceiling_upper", 0.7),
            ]
        ),
    }
    for name, table in rows.items():
        parts = maps if name in ("encoding", "shuffled") else {}
        found[f"scores/{name}"] = scores(root, name, table, **parts)
    return found


def ceiling(metric, value):
    rows = score_rows("geometry", ["noise ceiling"], ["V1"], metric, group=True)
    return rows[rows["subject"] == "group"].assign(value=value, p=np.nan)


def fit(root, name, subject, targets, regions):
    facts = {"groups": "run", "notes": []}
    if name in ("decoding", "course"):
        random = generator(0, "classifier", subject)
        data = xr.Dataset(
            {"score": (("unit", "time", "sample", "class"), random.random((1, 1, 9, 3)))},
            coords={
                "unit": np.array(["all"], dtype=object),
                "class": np.array(CLASSES, dtype=object),
                "label": ("sample", np.array(CLASSES * 3, dtype=object)),
            },
        )
        return artifact(root, f"{name}-{subject}", "fit", predictions=data, fit=facts)
    if name == "geometry":
        pairs = list(combinations(STIMULI, 2))
        data = xr.Dataset(
            {
                "brain": (("unit", "session", "pair"), np.random.default_rng(1).random((1, 1, 15))),
                "model": (("target", "pair"), np.random.default_rng(2).random((2, 15))),
            },
            coords={
                "unit": np.array(["V1"], dtype=object),
                "target": np.array(targets, dtype=object),
                "stimulus_a": ("pair", np.array([a for a, _ in pairs], dtype=object)),
                "stimulus_b": ("pair", np.array([b for _, b in pairs], dtype=object)),
            },
            attrs={"n_stimuli": len(STIMULI)},
        )
        return artifact(root, f"{name}-{subject}", "fit", rdms=data, fit=facts)
    random = generator(0, "predictions", name, subject)
    data = xr.Dataset(
        {
            "predicted": (("target", "sample", "unit"), random.random((len(targets), 5, 8))),
            "observed": (("sample", "unit"), random.random((5, 8))),
        },
        coords={
            "target": np.array(targets, dtype=object),
            "unit": np.array([f"u{n}" for n in range(8)], dtype=object),
        },
    )
    return artifact(root, f"{name}-{subject}", "fit", predictions=data, fit=facts)


@pytest.fixture
def judged(tmp_path):
    """Return the function that writes scores of the encoding fit at times, with maps."""

    def write(times, maps):
        table = score_rows("encoding", ["gabor/level1"], ["all"], "pearson_r", times=times)
        table.loc[table["time"] == times[-1], "value"] += 1
        return scores(tmp_path, "encoding", table, **{f"maps__{one}": maps for one in SUBJECTS})

    return write


@pytest.fixture
def material(inputs):
    return Material(study(), inputs)


@pytest.fixture(scope="session")
def study_of():
    """Return the function that makes the study, with changes."""
    return study
