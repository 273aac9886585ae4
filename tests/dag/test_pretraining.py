"""A fit that needs stimuli alone, and features that are made of it."""

from __future__ import annotations

import copy

import pytest

from fornix.dag.graph import Graph
from fornix.errors import FornixError
from fornix.study.load import parse_study

VIT = {"kind": "huggingface", "dataset": "shapes", "model": "fit:vit", "checkpoint": [0, 5, 10]}
DINO = {
    **{"kind": "dino", "dataset": "pictures", "image_size": 16, "patch_size": 8, "width": 8},
    **{"depth": 1, "heads": 1, "training": {"steps": 10}, "checkpoints": [5]},
}
STUDY = {
    "name": "small",
    "datasets": {
        "shapes": {"source": "simulate", "world": {"name": "shapes", "n_subjects": 2}},
        "pictures": {"source": "simulate", "world": {"name": "shapes", "seed": 5}},
    },
    "responses": {"betas": {"kind": "fmri", "dataset": "shapes"}},
    "features": {"vit": VIT, "pixels": {"kind": "pixels", "dataset": "shapes"}},
    "fits": {
        "vit": DINO,
        "encoding": {"kind": "ridge", "responses": "betas", "features": ["vit"]},
        "plain": {"kind": "ridge", "responses": "betas", "features": ["pixels"]},
    },
}
BELOW = {("features", "vit_0"), ("features", "vit_5"), ("features", "vit_10")}
BELOW |= {("fit", "encoding"), ("evaluate", "encoding"), ("report", "small")}


def graph(**changes):
    raw = copy.deepcopy(STUDY)
    for path, value in changes.items():
        here = raw
        *steps, last = path.split("__")
        for step in steps:
            here = here[step]
        here[last] = value
    return Graph(parse_study(raw))


def moved(**changes):
    before, after = graph().jobs, graph(**changes).jobs
    return {key[:2] for key in before if before[key].folder != after[key].folder}


def test_it_is_one_job_that_needs_stimuli_alone():
    found = graph()
    (job,) = found.of("fit", "vit")
    assert job.subject is None
    assert {(one.stage, one.name) for one in job.needs.values()} == {
        ("ingest", "pictures"),
        ("simulate", "pictures"),
    }
    assert "fornix.models.dino" in job.code.modules
    assert not list(found.of("evaluate", "vit"))
    assert found.report.needs["pretraining/vit"] is job


def test_features_of_each_checkpoint_need_it():
    found = graph()
    for name in ("vit_0", "vit_5", "vit_10"):
        assert found.find("features", name).needs["model"] is found.find("fit", "vit")
    assert len({job.folder for job in found.of("features")}) == 4


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("fits__vit__momentum", 0.9, BELOW | {("fit", "vit")}),
        ("scores", {"permutations": 7}, {("evaluate", "encoding"), ("evaluate", "plain"),
                                          ("report", "small")}),
        ("features__pixels__size", 8, {("features", "pixels"), ("fit", "plain"),
                                       ("evaluate", "plain"), ("report", "small")}),
    ],
)  # fmt: skip
def test_an_edit_moves_what_is_below_it(path, value, expected):
    assert moved(**{path: value}) == expected


def test_a_fits_name_moves_nothing():
    raw = copy.deepcopy(STUDY)
    raw["fits"]["other"] = raw["fits"].pop("vit")
    raw["features"]["vit"]["model"] = "fit:other"
    after = Graph(parse_study(raw))
    for name in ("vit_0", "vit_10"):
        assert after.find("features", name).folder == graph().find("features", name).folder


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("features__vit__model", "fit:vitt", ["no fit named 'vitt'", "vit"]),
        ("features__vit__model", "fit:plain", ["kind ridge", "trains no model"]),
        ("features__vit__checkpoint", [0, 7], ["no checkpoint 7", "0, 5, 10"]),
        ("features__vit__init", "random", ["untrained twin is the checkpoint 0"]),
        ("fits__vit__dataset", "picture", ["no dataset named 'picture'"]),
        ("fits__vit__checkpoints", [50], ["no step 50", "0 to 10"]),
        ("fits__vit__width", 10, ["multiple of 4"]),
        ("fits__vit__image_size", 20, ["no multiple of patch_size"]),
        ("claims", [{"text": "x", "test": "above_chance", "scores": {"fit": "vit",
                     "metric": "pearson_r"}}], ["no fit named 'vit'"]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(path, value, words):
    with pytest.raises(FornixError) as caught:
        graph(**{path: value})
    assert all(word in str(caught.value) for word in words)
