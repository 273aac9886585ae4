"""Nothing stale is ever served, and nothing that is the same is ever made again.

Each change here is one that a cache is known to miss: by size and date, by file names alone, by
the version that someone forgot to raise.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager

import pytest
import yaml

pytestmark = pytest.mark.long

DATA = "data/shapes"


@contextmanager
def kept(*paths):
    """Put files back as they were."""
    before = {path: path.read_bytes() for path in paths}
    try:
        yield
    finally:
        for path, content in before.items():
            path.write_bytes(content)


def stages(plan: dict[str, str]) -> set[str]:
    return {job.split()[0] for job in plan}


def rewritten(path, old: bytes, new: bytes) -> None:
    """Change a file's content and leave its size, name and dates."""
    times, content = path.stat(), path.read_bytes()
    assert len(old) == len(new)
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_subject_is_added(finished):
    root = finished.root / DATA
    added = [root / "sub-03", root / "derivatives/regions/sub-03"]
    try:
        for folder in added:
            shutil.copytree(folder.with_name("sub-01"), folder)
            for path in [*folder.rglob("*sub-01*")]:
                path.rename(path.with_name(path.name.replace("sub-01", "sub-03")))
        plan = finished.plan()
    finally:
        for folder in added:
            shutil.rmtree(folder)
    assert plan["ingest shapes"].startswith("input changed: dataset:shapes")
    assert {"preprocess betas sub-03", "fit of_gabor sub-03", "evaluate of_gabor"} <= set(plan)
    assert finished.plan() == {}


def test_a_subject_is_removed(finished):
    root = finished.root / DATA
    away = finished.root / "away"
    (root / "sub-02").rename(away)
    try:
        plan = finished.plan()
    finally:
        away.rename(root / "sub-02")
    assert plan["ingest shapes"].startswith("input changed: dataset:shapes")
    assert "evaluate of_gabor" in plan
    assert not [job for job in plan if job.endswith("sub-02")]
    assert finished.plan() == {}


@pytest.mark.parametrize(
    ("pattern", "old", "new"),
    [
        ("sub-01/**/*_events.tsv", b"\n12.0\t", b"\n12.1\t"),
        ("task-shapes_bold.json", b"2.0", b"2.5"),
        ("stimuli/stimuli.tsv", b"square", b"circle"),
        ("derivatives/regions/sub-01/**/*_dseg.tsv", b"V1", b"V9"),
    ],
    ids=["events", "repetition time", "stimulus table", "region names"],
)
def test_a_table_is_edited_in_place(finished, pattern, old, new):
    path = next((finished.root / DATA).glob(pattern))
    with kept(path):
        rewritten(path, old, new)
        plan = finished.plan()
    assert plan["ingest shapes"].startswith("input changed: dataset:shapes")
    assert stages(plan) == {"ingest", "preprocess", "features", "fit", "evaluate", "report"}
    assert finished.plan() == {}


def test_a_stimulus_is_replaced(finished):
    first, second = sorted((finished.root / DATA / "stimuli").glob("*.png"))[:2]
    with kept(first):
        shutil.copy2(second, first)
        plan = finished.plan()
    assert {"features gabor", "features pixels"} <= set(plan)
    assert finished.plan() == {}


def test_a_library_has_another_version(finished):
    place = finished.root / "src/scikit_learn-99.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: scikit-learn\nVersion: 99.0\n")
    try:
        plan = finished.plan()
    finally:
        shutil.rmtree(place)
    assert plan["preprocess betas sub-01"] == "code changed: scikit-learn"
    assert not {"ingest shapes", "features gabor"} & set(plan)
    assert finished.plan() == {}


def test_a_helper_several_imports_away_is_changed(finished):
    path = finished.root / "src/fornix/solvers/fractions.py"
    with kept(path):
        path.write_text(path.read_text() + "\nEDITED = True\n")
        plan = finished.plan()
    assert plan["fit of_gabor sub-01"] == "code changed: fornix.solvers.fractions"
    assert stages(plan) == {"fit", "evaluate", "report"}


def test_the_project_is_moved(finished, tmp_path):
    moved = type(finished)(tmp_path / "elsewhere", finished.raw)
    finished.root.rename(moved.root)
    try:
        assert moved.plan() == {}
    finally:
        moved.root.rename(finished.root)
    assert finished.plan() == {}


def test_the_study_is_renamed(finished):
    finished.write({**finished.raw, "name": "renamed"})
    try:
        assert set(finished.plan()) == {"report renamed"}
    finally:
        finished.write()


def test_keys_are_in_another_order(finished):
    def turned(value):
        if isinstance(value, dict):
            return {key: turned(one) for key, one in reversed(value.items())}
        return value

    # The order of fits and features is the order of the report: only sections are turned.
    raw = {key: finished.raw[key] for key in reversed(finished.raw)}
    for key in ("datasets", "responses", "features", "fits"):
        raw[key] = {name: turned(section) for name, section in raw[key].items()}
    finished.write(raw)
    try:
        assert finished.plan() == {}
    finally:
        finished.write()


def test_threads_and_memory_are_changed(finished):
    finished.write({**finished.raw, "compute": {"threads": 2, "memory_mb": 5000}})
    try:
        assert finished.plan() == {}
    finally:
        finished.write()


def test_another_study_shares_what_it_can(finished):
    raw = {**finished.raw, "name": "other", "fits": {"mine": finished.raw["fits"]["of_gabor"]}}
    raw["claims"] = []
    other = finished.root / "other.yaml"
    other.write_text(yaml.safe_dump(raw))
    try:
        lines = finished.fornix("plan", "other.yaml").stdout
    finally:
        other.unlink()
    # A fit under another name is another fit; all above it is there.
    assert {line.split()[0] for line in lines.splitlines()[:-1]} == {"fit", "evaluate", "report"}
    assert finished.plan() == {}
