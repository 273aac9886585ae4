"""Folders of stimuli that nobody was shown."""

from __future__ import annotations

import numpy as np
import pytest
from indexing import complaint, index
from PIL import Image

from builders import write_description
from fornix.dag.check import check
from fornix.dag.graph import Graph
from fornix.errors import FornixError
from fornix.study.load import load_study

STUDY = """
name: alone
datasets:
  pictures: {{source: local, path: {root}}}
  nobody: {{source: simulate, world: {{name: scenes, n_images: 16}}}}
  brain: {{source: simulate, world: {{name: shapes}}}}
responses:
  betas: {{kind: fmri, dataset: {dataset}}}
features:
  tint: {{kind: colour, dataset: pictures}}
  pixels: {{kind: pixels, dataset: brain}}
fits:
  encoding: {{kind: ridge, responses: betas, features: [pixels]}}
"""


@pytest.fixture
def root(tmp_path):
    root = write_description(tmp_path / "bids")
    for name in ("a.png", "more/b.png", "more/c.jpg"):
        path = root / "stimuli" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), len(name) * 9, dtype=np.uint8)).save(path)
    (root / "stimuli/notes.md").write_text("not a stimulus")
    return root


def test_files_are_found_at_any_depth(root):
    found = index(root, digests=True)
    assert found.stimuli["stimulus"].tolist() == ["a.png", "more/b.png", "more/c.jpg"]
    assert found.stimuli["digest"].nunique() == 3
    assert found.recordings.empty
    assert found.events.empty
    assert found.dataset["kind"] == "stimuli"


def test_a_table_says_which_and_what_they_are(root):
    (root / "stimuli/stimuli.tsv").write_text("stim_file\tkind\nmore/b.png\tfield\na.png\tcell\n")
    found = index(root).stimuli
    assert found["stimulus"].tolist() == ["a.png", "more/b.png"]
    assert found["kind"].tolist() == ["cell", "field"]


def test_what_is_wrong_with_them_is_told(root):
    (root / "stimuli/more/b.png").write_bytes(b"no picture")
    error = complaint(root, digests=True)
    assert "'b.png' can't be read as image" in error.problem
    (root / "stimuli/stimuli.tsv").write_text("stim_file\na.png\nd.png\n")
    assert "'d.png' isn't there" in complaint(root).problem


def test_no_stimuli_at_all(root):
    for path in sorted(root.glob("stimuli/**/*.*")):
        path.unlink()
    assert "neither recordings nor stimuli" in complaint(root).problem


def test_only_files_can_be_there_without_events(root):
    assert "modality word" in complaint(root, stimuli={"modality": "word"}).problem


def test_the_study_is_checked_with_them(root, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(root=root, dataset="brain"))
    lines = list(check(Graph(load_study(path), cache=tmp_path / "cache")))
    assert "datasets.pictures: 3 stimuli, no recordings" in lines


def test_nobodys_responses_are_refused(root, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(root=root, dataset="nobody"))
    with pytest.raises(FornixError, match="'nobody' holds pictures alone: nobody was recorded"):
        load_study(path)
