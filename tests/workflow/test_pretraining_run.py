"""A network that the study trains itself: what is below it runs again, and nothing else."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

pytestmark = pytest.mark.long

SIZES = {"image_size": 16, "patch_size": 8, "width": 8, "depth": 1, "heads": 1}
HEAD = {"prototypes": 16, "head_width": 8, "bottleneck": 8, "crops": {"n_local": 0}}


@pytest.fixture(scope="module")
def project(tmp_path_factory, finished):
    root = tmp_path_factory.mktemp("pretraining") / "project"
    plan = {"steps": 4, "batch_size": 8}
    raw = {**finished.raw, "claims": []}
    raw["fits"] = {
        "vit": {"kind": "dino", "dataset": "shapes", "training": plan, **SIZES, **HEAD},
        "of_vit": {**finished.raw["fits"]["of_gabor"], "features": ["vit"]},
    }
    vit = {"kind": "huggingface", "dataset": "shapes", "model": "fit:vit", "checkpoint": [0, 4]}
    raw["features"] = {"vit": vit}
    found = replace(finished.begun(root, "features", "fits", "scores", "reports"), raw=raw)
    found.write()
    found.snakemake()
    return found


def plan_of(project, *path, value):
    raw = copy.deepcopy(project.raw)
    here = raw
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    project.write(raw)
    try:
        return project.plan()
    finally:
        project.write()


BELOW = {"features vit_0", "features vit_4", "evaluate of_vit", "report small"}
BELOW |= {"fit of_vit sub-01", "fit of_vit sub-02"}


def test_a_second_run_does_nothing(project):
    assert project.plan() == {}


def test_another_training_reruns_what_is_made_of_it(project):
    found = plan_of(project, "fits", "vit", "momentum", value=0.9)
    assert set(found) == BELOW | {"fit vit"}
    assert found["fit vit"].startswith("section changed: momentum 0.996 -> 0.9")


def test_other_scores_rerun_no_training(project):
    found = plan_of(project, "scores", "permutations", value=30)
    assert set(found) == {"evaluate of_vit", "report small"}


def test_the_page_shows_the_training(project):
    page = (project.root / "results/small/report.html").read_text()
    assert 'id="pretraining"' in page
    assert "Training curves" in page
    assert "self-distillation without labels" in page.lower()
