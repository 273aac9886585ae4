"""Change one thing; only what depends on it runs again. Change it back; nothing does."""

from __future__ import annotations

import copy
import os
from contextlib import contextmanager

import pytest

pytestmark = pytest.mark.long

SUBJECTS = ("sub-01", "sub-02")


def jobs(*names: str) -> set[str]:
    """Spell out jobs; fits and responses have one a subject."""
    found = set()
    for name in names:
        each = name.startswith(("fit", "preprocess"))
        found |= {f"{name} {subject}" for subject in SUBJECTS} if each else {name}
    return found


@contextmanager
def edited(path, old: str, new: str):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    try:
        yield
    finally:
        path.write_text(text)


@contextmanager
def changed_study(project, *path, value):
    raw = copy.deepcopy(project.raw)
    here = raw
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    project.write(raw)
    try:
        yield
    finally:
        project.write()


def test_a_second_run_does_nothing(finished):
    assert finished.plan() == {}
    assert "Nothing to be done" in finished.snakemake().stderr


def test_a_features_layer_list_reruns_its_own_fits_only(finished):
    with changed_study(finished, "features", "gabor", "layers", value=["level1"]):
        plan = finished.plan()
    below = jobs("features gabor", "fit of_gabor", "evaluate of_gabor", "report small")
    assert set(plan) == below
    assert plan["features gabor"].startswith('section changed: layers "all" -> ["level1"]')


def test_a_filter_reruns_preprocessing_and_below_and_no_features(finished):
    with changed_study(finished, "responses", "betas", "high_pass", value=0.02):
        plan = finished.plan()
    fits = jobs("fit of_gabor", "fit of_pixels", "evaluate of_gabor", "evaluate of_pixels")
    assert set(plan) == jobs("preprocess betas", "report small") | fits
    assert "high_pass 0.0078 -> 0.02" in plan["preprocess betas sub-01"]


def test_permutations_rerun_no_fit(finished):
    with changed_study(finished, "scores", "permutations", value=30):
        plan = finished.plan()
    assert set(plan) == jobs("evaluate of_gabor", "evaluate of_pixels", "report small")


def test_a_title_reruns_the_report_alone(finished):
    with changed_study(finished, "title", value="Another title"):
        assert set(finished.plan()) == {"report small"}


def test_resources_rerun_nothing(finished):
    with changed_study(finished, "compute", value={"memory_mb": 3000}):
        assert finished.plan() == {}


def test_touching_files_reruns_nothing(finished):
    for path in (finished.root / "data/shapes").rglob("*"):
        os.utime(path)
    for path in (finished.root / "src").rglob("*.py"):
        os.utime(path)
    os.utime(finished.file)
    assert finished.plan() == {}


def test_a_recording_rewritten_in_place_reruns_all_that_read_it(finished):
    path = next((finished.root / "data/shapes/sub-01").rglob("*_bold.nii.gz"))
    before, times = path.read_bytes(), path.stat()
    # The last byte of the CRC trailer: same size, same dates, another content.
    path.write_bytes(before[:-5] + bytes([before[-5] ^ 1]) + before[-4:])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    try:
        graph = finished.fornix("plan", "small.yaml", check=False)
    finally:
        path.write_bytes(before)
    assert "ingest shapes" in graph.stdout
    assert "input changed: dataset:shapes" in graph.stdout
    assert finished.plan() == {}


def test_a_docstring_of_the_report_reruns_nothing(finished):
    path = finished.root / "src/fornix/report/__init__.py"
    with edited(path, '"""', '"""Edited. '):
        assert finished.plan() == {}


def test_code_of_the_report_reruns_the_report(finished):
    path = finished.root / "src/fornix/stages/report.py"
    with edited(path, "from __future__ import annotations\n", EDIT):
        plan = finished.plan()
    assert set(plan) == {"report small"}
    assert plan["report small"] == "code changed: fornix.stages.report"


def test_code_of_a_filter_reruns_preprocessing_and_no_features(finished):
    path = finished.root / "src/fornix/preprocess/fmri.py"
    with edited(path, "from __future__ import annotations\n", EDIT):
        plan = finished.plan()
    assert "preprocess betas sub-01" in plan
    assert plan["preprocess betas sub-01"] == "code changed: fornix.preprocess.fmri"
    assert not {job for job in plan if job.startswith(("features", "ingest"))}


def test_code_of_one_extractor_leaves_the_others_alone(finished):
    path = finished.root / "src/fornix/features/gabor.py"
    with edited(path, "from __future__ import annotations\n", EDIT):
        plan = finished.plan()
    assert set(plan) == jobs("features gabor", "fit of_gabor", "evaluate of_gabor", "report small")


def test_running_a_change_and_switching_back_reruns_nothing(finished, tmp_path):
    project = finished.copy(tmp_path / "project")  # what is made is no other test's
    scores = (project.root / "results/small/scores.csv").read_bytes()
    with changed_study(project, "features", "gabor", "layers", value=["level2"]):
        ran = project.snakemake().stderr
        assert "features gabor:" in ran
        assert "features pixels:" not in ran
        assert (project.root / "results/small/scores.csv").read_bytes() != scores
    assert project.plan() == {}
    assert "Nothing to be done" in project.snakemake().stderr
    assert (project.root / "results/small/scores.csv").read_bytes() == scores


EDIT = "from __future__ import annotations\n\nEDITED = True\n"
