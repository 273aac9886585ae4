"""``fornix show``: what a person wants to know about an artifact, on one screen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from fornix.errors import FornixError
from fornix.store import Recipe, Target, create
from fornix.store.show import show


@pytest.fixture
def path(tmp_path):
    target = Target(tmp_path / "betas-12ab", {"fornix.stages.fit": "1f2e"}, {"numpy": "2.4.1"})
    section = {"kind": "fmri", "samples": {"method": "lsa", "window": [4.0, 8.0]}, "rois": {}}
    with create(target, Recipe("preprocess", section, {"ingest": "cafe"})) as draft:
        dataset = xr.Dataset(
            {"responses": (("sample", "unit"), np.zeros((7, 3), "float32"), {"units": "z-score"})},
            coords={"onset": ("sample", np.arange(7.0), {"units": "s"})},
        )
        draft.write_dataset("responses", dataset, along="unit")
        draft.write_table("events", pd.DataFrame({"onset": [1.0, 2.0], "trial_type": ["a", "b"]}))
        draft.write_json("facts.json", {"a": 1})
        draft.file("blob.bin").write_bytes(bytes(1_500_000))
        draft.note(n_trials=7, warnings=["a warning"])
    return target.path


def test_it_says_everything_once(path):
    text = show(path)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for expected in (
        f"artifact {path}",
        "stage preprocess",
        "state whole",
        "responses (sample 7, unit 3) float32 [z-score]",
        "onset (sample 7) float64 [s]",
        "blob.bin 1.5 MB",
        "kind fmri",
        "samples.method lsa",
        "samples.window [4.0, 8.0]",
        "ingest cafe",
        "numpy 2.4.1",
        "fornix.stages.fit 1f2e",
        "n_trials 7",
        'warnings ["a warning"]',
        "fornix 0.1.0",
    ):
        assert lines.count(expected) == 1, expected
    assert any("2 rows: onset, trial_type" in line for line in lines)
    titles = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert titles == ["parts", "section", "inputs", "versions", "code", "notes", "history"]


def test_the_manifest_will_do_as_a_path(path):
    assert show(path / "manifest.json") == show(path)


def test_damage_is_said_and_does_not_stop_it(path):
    (path / "facts.json").write_text("{}", encoding="utf-8")
    (path / "blob.bin").unlink()
    lines = [" ".join(line.split()) for line in show(path).splitlines()]
    assert "state DAMAGED: blob.bin, facts.json" in lines
    assert "blob.bin missing" in lines


def test_a_damaged_array_or_table_can_still_be_shown(path):
    (path / "responses.zarr" / "zarr.json").unlink()
    (path / "events.parquet").write_bytes(b"nothing")
    lines = [" ".join(line.split()) for line in show(path).splitlines()]
    assert "state DAMAGED: events.parquet, responses.zarr" in lines
    assert sum("can't be read" in line for line in lines) == 2


def test_there_must_be_an_artifact(tmp_path):
    with pytest.raises(FornixError, match="no artifact here"):
        show(tmp_path)
