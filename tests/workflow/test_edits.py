"""``fornix plan --edit``: what a change would cost, before anything is changed."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.long


def planned(text: str) -> dict[str, str]:
    """Return job -> cause from the first block of the output, and stage -> row of the second."""
    first, _, _ = text.partition("\n\n")
    pairs = (line.partition("  ") for line in first.splitlines() if "  " in line)
    return {job.strip(): cause.strip() for job, _, cause in pairs}


def rows(text: str) -> dict[str, list[str]]:
    table = text.partition("\n\n")[2].splitlines()
    return {line.split()[0]: line.split()[1:] for line in table if line}


def test_an_edit_is_planned_as_the_change_would_be(finished):
    before = finished.file.read_bytes()
    out = finished.fornix("plan", "small.yaml", "--edit", "features.gabor.layers=[level1]").stdout
    assert finished.file.read_bytes() == before
    plan = planned(out)
    assert set(plan) == {
        "features gabor",
        *(f"fit of_gabor {subject}" for subject in ("sub-01", "sub-02")),
        "evaluate of_gabor",
        "report small",
    }
    assert plan["features gabor"] == 'section changed: layers "all" -> ["level1"]'
    below = "input changed: a section above it changed: features gabor"
    assert plan["fit of_gabor sub-01"] == plan["evaluate of_gabor"] == below
    table = rows(out)
    assert [table[stage][0] for stage in ("features", "fit", "evaluate", "report", "all")] == [
        *("1", "2", "1", "1", "5")
    ]
    assert table["all"][-2:] == ["5", "scaled"]


def test_costs_of_the_same_settings_are_those_of_their_own_run(finished):
    path = finished.root / "src/fornix/stages/report.py"
    text = path.read_text()
    path.write_text(text + "\nEDITED = True\n")
    try:
        out = finished.fornix("plan", "small.yaml", "--costs").stdout
    finally:
        path.write_text(text)
    manifest = json.loads((finished.root / "results/small/manifest.json").read_text())
    seconds = manifest["provenance"]["wall_s"]
    assert rows(out)["report"][-4:] == ["1", "its", "own", "run"]
    assert f"one after another: {seconds:.1f} s" in out


def test_a_wrong_edit_names_the_nearest_key(finished):
    done = finished.fornix("plan", "small.yaml", "--edit", "features.gabr.size=8", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no key 'gabr' in features" in done.stderr
    assert "did you mean 'gabor'?" in done.stderr


def test_an_artifact_that_was_made_again_by_hand_is_named(finished):
    (path,) = finished.root.glob("cache/features/gabor-*/manifest.json")
    before = path.read_bytes()
    path.write_bytes(before + b" ")
    try:
        plan = finished.plan()
    finally:
        path.write_bytes(before)
    folder = path.parent.relative_to(finished.root)
    assert plan["fit of_gabor sub-01"] == f"input changed: other contents of {folder}"
    assert "fit of_pixels sub-01" not in plan
