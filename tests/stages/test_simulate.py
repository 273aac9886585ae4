"""The stage: a whole artifact, made once."""

from __future__ import annotations

from fornix.stages import simulate
from fornix.store import Target, open_artifact
from fornix.study.compute import Compute
from fornix.study.datasets import SimulatedDataset
from fornix.study.worlds.pictures import CONTROL

WORLD = {"name": "shapes", "n_subjects": 1, "n_sessions": 1, "n_runs": 1, "n_images": 16}


def make(path, **settings):
    section = SimulatedDataset(source="simulate", world={**WORLD, "image_size": 32, **settings})
    simulate.run(section, {}, Target(path), Compute())
    return open_artifact(path)


def test_the_truth_lies_beside_the_dataset(tmp_path):
    artifact = make(tmp_path / "world")
    assert (artifact.path / "bids/dataset_description.json").exists()
    truth = artifact.json("truth.json")
    assert truth["planted"]["LOC"] == "content/category"
    assert truth["control"] == CONTROL
    artifact.verify()


def test_an_equal_section_is_adopted_and_another_is_not(tmp_path):
    made = make(tmp_path / "world").path / "manifest.json"
    before = made.stat().st_mtime_ns
    content = made.read_bytes()
    make(tmp_path / "world")
    assert made.read_bytes() == content
    make(tmp_path / "world", seed=5)
    assert made.read_bytes() != content
    assert made.stat().st_mtime_ns > before
