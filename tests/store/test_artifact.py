"""An artifact is there whole or not at all, and stays what it was."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

from fornix.errors import FornixError
from fornix.store import Recipe, Target, adopt, create, open_artifact
from fornix.store import draft as module

RECIPE = Recipe("features", {"layers": ["a"], "size": 3}, {"stimuli": "abc"})


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(tmp_path / "cache" / "vit-123", {"fornix.stages": "1f"}, {"torch": "2.13.0"})


def responses(n_samples: int = 12, n_units: int = 5, first: int = 0) -> xr.Dataset:
    """Return responses whose value tells the sample and the unit."""
    sample = np.arange(first, first + n_samples)
    values = (100 * sample[:, None] + np.arange(n_units)).astype("float32")
    attrs = {"units": "z-score"}
    return xr.Dataset(
        {"responses": (("sample", "unit"), values, attrs)},
        coords={
            "onset": ("sample", sample * 2.5, {"units": "s"}),
            "run": ("sample", [f"{one % 2:02d}" for one in sample]),
            "kept": ("sample", sample % 3 > 0),
            "unit": [f"V1-{i}" for i in range(n_units)],
            "x": ("unit", np.linspace(-30, 30, n_units), {"units": "mm"}),
        },
        attrs={"subject": "01", "volume_shape": [4, 5, 6]},
    )


def fill(target: Target, recipe: Recipe = RECIPE, text: str = "hello") -> None:
    with create(target, recipe) as draft:
        draft.write_json("facts.json", {"text": text})
        draft.file("deep/er/file.txt").write_text(text, encoding="utf-8")


def test_every_kind_of_part_comes_back(target):
    table = pd.DataFrame({"run": ["01", None], "n": [1, 2], "x": [0.5, np.nan]})
    with create(target, RECIPE) as draft:
        draft.write_json("facts.json", {"b": [1, 2.5, None], "a": "µ"})
        draft.write_table("events", table)
        draft.write_dataset("responses", responses(), along="unit")
        draft.file("deep/er/file.txt").write_text("anything", encoding="utf-8")
        draft.note(n_trials=12)
    made = open_artifact(target.path)
    assert made.json("facts.json") == {"b": [1, 2.5, None], "a": "µ"}
    pd.testing.assert_frame_equal(made.table("events"), table)
    xr.testing.assert_identical(made.dataset("responses").load(), responses())
    assert (made.part("deep") / "er" / "file.txt").read_text(encoding="utf-8") == "anything"
    assert set(made.manifest["parts"]) == {"facts.json", "events.parquet", "responses.zarr", "deep"}
    assert made.manifest["notes"] == {"n_trials": 12}
    assert made.damage() == []
    made.verify()


def test_the_manifest_says_what_made_it(target):
    fill(target)
    manifest = json.loads((target.path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["recipe"] == {
        "stage": "features",
        "section": {"layers": ["a"], "size": 3},
        "inputs": {"stimuli": "abc"},
        "code": {"fornix.stages": "1f"},
        "versions": {"torch": "2.13.0"},
    }
    assert manifest["provenance"]["wall_s"] >= 0
    assert manifest["provenance"]["started"].endswith("+00:00")
    assert open_artifact(target.path / "manifest.json").digest == manifest["digest"]


def test_plain_xarray_reads_a_part_with_names_and_units(target):
    with create(target, RECIPE) as draft, warnings.catch_warnings():
        warnings.simplefilter("error")  # zarr warns of data types that others can't read
        draft.write_dataset("responses", responses(), along="unit")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = xr.open_zarr(target.path / "responses.zarr", consolidated=False, chunks=None)
    assert found["responses"].dims == ("sample", "unit")
    assert found["responses"].attrs["units"] == "z-score"
    assert found["onset"].attrs["units"] == "s"
    assert found["responses"].sel(unit="V1-3").values[2] == 203
    assert found["run"].values.tolist()[:3] == ["00", "01", "00"]
    assert found.attrs["volume_shape"] == [4, 5, 6]


def test_a_part_is_sharded_zarr_v3(target, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_BYTES", 12 * 4 * 10)  # room for ten units
    monkeypatch.setattr(module, "SHARD_BYTES", 12 * 4 * 40)
    with create(target, RECIPE) as draft:
        draft.write_dataset("responses", responses(n_units=100), along="unit")
    group = zarr.open_group(target.path / "responses.zarr", mode="r")
    array = group["responses"]
    assert array.metadata.zarr_format == 3
    assert array.metadata.dimension_names == ("sample", "unit")
    assert array.chunks == (12, 8)  # a power of two
    assert array.shards == (12, 40)
    assert array[1].tolist() == list(range(100, 200))
    shards = (target.path / "responses.zarr/responses/c").rglob("*")
    assert sum(path.is_file() for path in shards) == 3


@pytest.mark.parametrize("kind", ["str", "string", "U", "object"])
def test_text_of_every_kind_is_stored_as_text(target, kind):
    words = ["house", "", "Gesäß"]
    text = np.array(words) if kind == "U" else pd.Series(words, dtype=kind)
    dataset = xr.Dataset(
        {"word": ("sample", text, {"units": "label"})},
        coords={"again": ("sample", text), "sample": text},
    )
    with create(target, RECIPE) as draft, warnings.catch_warnings():
        warnings.simplefilter("error")
        draft.write_dataset("words", dataset, along="sample")
    found = open_artifact(target.path).dataset("words")
    for name in ("word", "again", "sample"):
        assert found[name].values.tolist() == words
    assert found["word"].attrs == {"units": "label"}


def test_an_empty_dataset_can_be_stored(target):
    with create(target, RECIPE) as draft:
        draft.write_dataset("responses", responses(n_samples=0), along="sample")
    assert open_artifact(target.path).dataset("responses").sizes == {"sample": 0, "unit": 5}


def test_equal_contents_have_equal_digests_wherever_and_whenever_made(tmp_path):
    first, second, other = (Target(tmp_path / name) for name in ("a", "b/c", "d"))
    for target in (first, second):
        with create(target, RECIPE) as draft:
            draft.write_dataset("responses", responses(), along="unit")
            draft.write_table("table", pd.DataFrame({"a": [1, 2]}))
            draft.note(when=str(target.path))
    fill(other)
    assert open_artifact(first.path).digest == open_artifact(second.path).digest
    assert open_artifact(other.path).digest != open_artifact(first.path).digest


def test_nothing_is_left_of_a_stage_that_failed(target):
    def stage() -> None:
        with create(target, RECIPE) as draft:
            draft.write_json("facts.json", 1)
            msg = "the stage failed"
            raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="the stage failed"):
        stage()
    assert list(target.path.parent.iterdir()) == []
    with pytest.raises(FornixError, match="no artifact here"):
        open_artifact(target.path)


@pytest.mark.parametrize("note", [float("nan"), object()])
def test_nothing_is_left_of_a_record_that_is_no_json(target, note):
    def stage() -> None:
        with create(target, RECIPE) as draft:
            draft.note(odd=note)

    with pytest.raises((ValueError, TypeError)):
        stage()
    assert list(target.path.parent.iterdir()) == []


def test_a_failed_stage_leaves_the_old_artifact(target):
    def stage() -> None:
        with create(target, RECIPE) as draft:
            draft.write_json("facts.json", 1)
            raise KeyboardInterrupt

    fill(target)
    with pytest.raises(KeyboardInterrupt):
        stage()
    assert open_artifact(target.path).json("facts.json") == {"text": "hello"}


def test_a_new_artifact_replaces_the_old_one(target):
    with create(target, RECIPE) as draft:
        draft.write_json("old.json", 1)
    fill(target)
    made = open_artifact(target.path)
    assert set(made.manifest["parts"]) == {"facts.json", "deep"}
    assert not (target.path / "old.json").exists()
    assert [path.name for path in target.path.parent.iterdir()] == [target.path.name]


def test_what_a_user_put_there_stays(target):
    fill(target)
    (target.path / "my notes.txt").write_text("mine", encoding="utf-8")
    (target.path / "figures").mkdir()
    (target.path / "figures" / "one.png").write_bytes(b"1")
    fill(target, text="new")
    assert (target.path / "my notes.txt").read_text(encoding="utf-8") == "mine"
    assert (target.path / "figures" / "one.png").read_bytes() == b"1"
    made = open_artifact(target.path)
    assert made.json("facts.json") == {"text": "new"}
    made.verify()


def test_a_folder_that_was_no_artifact_keeps_its_files(target):
    target.path.mkdir(parents=True)
    (target.path / "thesis.tex").write_text("mine", encoding="utf-8")
    (target.path / "facts.json").write_text("in the way", encoding="utf-8")
    fill(target)
    assert (target.path / "thesis.tex").read_text(encoding="utf-8") == "mine"
    assert open_artifact(target.path).json("facts.json") == {"text": "hello"}


def test_adopting_needs_an_artifact(target):
    assert not adopt(target, RECIPE)
    fill(target)
    assert adopt(target, RECIPE)


def test_a_finished_artifact_is_adopted_after_its_manifest_is_deleted(target):
    """Snakemake deletes the output of a job before it runs the job again."""
    fill(target)
    before = open_artifact(target.path).manifest
    (target.path / "manifest.json").unlink()
    assert adopt(target, RECIPE)
    assert open_artifact(target.path).manifest == before


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("fit", RECIPE.section, RECIPE.inputs),
        Recipe("features", {"layers": ["b"], "size": 3}, RECIPE.inputs),
        Recipe("features", {"layers": ["a"]}, RECIPE.inputs),
        Recipe("features", RECIPE.section, {"stimuli": "abd"}),
        Recipe("features", RECIPE.section, {"images": "abc"}),
    ],
)
def test_another_recipe_is_not_adopted(target, recipe):
    fill(target)
    assert not adopt(target, recipe)
    assert adopt(target, RECIPE)


def test_other_code_is_not_adopted(target):
    fill(target)
    assert not adopt(Target(target.path, {"fornix.stages": "2e"}, target.versions), RECIPE)
    assert not adopt(Target(target.path, target.code, {"torch": "2.14.0"}), RECIPE)


def test_a_recipe_with_tuples_is_adopted(target):
    """JSON has lists only: the record comes back with them."""
    recipe = Recipe("fit", {"alphas": (-1.0, 6.0, 15)}, {})
    fill(target, recipe)
    assert adopt(target, recipe)


@pytest.mark.parametrize("how", ["edited", "lost", "added to"])
def test_a_damaged_artifact_is_not_adopted(target, how):
    fill(target)
    part = target.path / "deep" / "er" / "file.txt"
    if how == "edited":
        part.write_text("hellO", encoding="utf-8")
    elif how == "lost":
        part.unlink()
    else:
        part.with_name("more.txt").touch()
    assert not adopt(target, RECIPE)
    assert open_artifact(target.path).damage() == ["deep"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 99}'])
def test_a_record_that_is_not_ours_is_not_adopted(target, text):
    fill(target)
    (target.path / ".manifest.json").write_text(text, encoding="utf-8")
    assert not adopt(target, RECIPE)


def test_an_edited_chunk_is_seen(target):
    with create(target, RECIPE) as draft:
        draft.write_dataset("responses", responses(), along="unit")
        draft.write_json("facts.json", 1)
    made = open_artifact(target.path)
    chunk = next(
        path for path in (target.path / "responses.zarr/responses/c").rglob("*") if path.is_file()
    )
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(bytes(data))
    assert made.damage() == ["responses.zarr"]
    with pytest.raises(FornixError, match=r"changed or lost: responses\.zarr") as caught:
        made.verify()
    assert caught.value.mend == "delete the folder and rerun"
    shutil.rmtree(target.path / "responses.zarr")
    assert made.damage() == ["responses.zarr"]


def test_a_project_folder_may_move(target, tmp_path):
    with create(target, RECIPE) as draft:
        draft.write_dataset("responses", responses(), along="unit")
    tmp_path.joinpath("cache").rename(tmp_path / "elsewhere")
    moved = Target(tmp_path / "elsewhere" / "vit-123", target.code, target.versions)
    made = open_artifact(moved.path)
    made.verify()
    xr.testing.assert_identical(made.dataset("responses").load(), responses())
    (moved.path / "manifest.json").unlink()
    assert adopt(moved, RECIPE)
    assert str(tmp_path) not in json.dumps(dict(made.manifest))


def test_a_part_that_is_not_there_is_named_with_those_that_are(target):
    fill(target)
    made = open_artifact(target.path)
    with pytest.raises(FornixError, match=r"no part 'faces\.zarr'; it has \['deep', 'facts.json'"):
        made.dataset("faces")


def test_a_manifest_that_cannot_be_read_is_refused(target):
    fill(target)
    (target.path / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(FornixError, match="the manifest can't be read"):
        open_artifact(target.path)
