"""Arrays that are laid out whole and filled in blocks, over a kill if need be."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
import zarr

from fornix.store import Recipe, Target, create, open_artifact
from fornix.store import draft as module

RECIPE = Recipe("features", {}, {})
ROWS, TOTAL = 16, 70


def values(first: int, last: int, width: int) -> np.ndarray:
    """Return features whose value tells the stimulus."""
    return np.repeat(np.arange(first, last, dtype=np.float32)[:, None], width, 1)


def lay_out(draft, widths):
    variables = {
        name: (("stimulus", f"feature:{name}"), (TOTAL, width)) for name, width in widths.items()
    }
    names = ("stimulus", np.asarray([f"s{i:04d}" for i in range(TOTAL)]))
    draft.lay_out("features", variables, {"stimulus": names}, {"notes": ""}, rows=ROWS)


def fill(draft, widths, starts):
    for start in starts:
        last = min(TOTAL, start + ROWS)
        block = {name: values(start, last, width) for name, width in widths.items()}
        draft.write_rows("features", start, block)
        draft.save({"rows": last})


@pytest.mark.parametrize("widths", [{"a": 768, "b": 768}, {"a": 1000, "b": 3, "c": 300_000}])
def test_a_block_is_a_shard_and_is_written_once(tmp_path, widths, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_BYTES", 1 << 14)
    target = Target(tmp_path / "features")
    written: dict[str, int] = {}
    with create(target, RECIPE) as draft:
        lay_out(draft, widths)
        for start in range(0, TOTAL, ROWS):
            fill(draft, widths, [start])
            for path in draft.path.rglob("c/*/0"):
                stamp = path.stat().st_mtime_ns
                assert written.setdefault(str(path), stamp) == stamp, f"{path} was written again"
        draft.describe("features", notes="done")
    found = open_artifact(target.path).dataset("features").load()
    assert found.attrs["notes"] == "done"
    assert found["stimulus"].values[3] == "s0003"
    group = zarr.open_group(target.path / "features.zarr", mode="r")
    for name, width in widths.items():
        np.testing.assert_array_equal(found[name], values(0, TOTAL, width))
        array = group[name]
        assert array.shards == (ROWS, width)
        assert array.chunks[1] == width
        assert array.chunks[0] * width * 4 <= module.CHUNK_BYTES or array.chunks[0] == 1
    assert not list(target.path.glob(".progress*"))


def test_a_killed_draft_goes_on_where_it_was(tmp_path):
    widths = {"a": 5}
    whole, broken = Target(tmp_path / "whole"), Target(tmp_path / "broken")
    with create(whole, RECIPE) as draft:
        assert draft.resumed is None
        lay_out(draft, widths)
        fill(draft, widths, range(0, TOTAL, ROWS))
    with pytest.raises(KeyboardInterrupt), create(broken, RECIPE) as draft:
        lay_out(draft, widths)
        fill(draft, widths, [0, 16])
        raise KeyboardInterrupt
    assert not broken.path.exists()
    with create(broken, RECIPE) as draft:
        assert draft.resumed == {"rows": 32}
        fill(draft, widths, range(32, TOTAL, ROWS))
    assert open_artifact(broken.path).digest == open_artifact(whole.path).digest


def test_a_draft_of_another_recipe_is_thrown_away(tmp_path):
    target = Target(tmp_path / "features")
    with pytest.raises(KeyboardInterrupt), create(target, RECIPE) as draft:
        lay_out(draft, {"a": 5})
        fill(draft, {"a": 5}, [0])
        raise KeyboardInterrupt
    with create(Target(target.path, {"fornix.x": "other"}), RECIPE) as draft:
        assert draft.resumed is None
        assert not list(draft.path.iterdir())
        draft.write_json("a.json", 1)


def test_what_is_never_written_reads_as_missing(tmp_path):
    target = Target(tmp_path / "features")
    with create(target, RECIPE) as draft:
        lay_out(draft, {"a": 5})
        fill(draft, {"a": 5}, [0])
    found = open_artifact(target.path).dataset("features")["a"].values
    assert np.isfinite(found[:ROWS]).all()
    assert np.isnan(found[ROWS:]).all()


def test_chunks_are_at_most_a_mebibyte_and_shards_64():
    values = xr.Variable(("stimulus", "feature"), np.empty((4096, 768), np.float32))
    layout = module._chunking(values, "stimulus")
    assert layout == {"chunks": (256, 768), "shards": (4096, 768)}
    wide = xr.Variable(("sample", "unit"), np.empty((100, 40_000), np.float32))
    layout = module._chunking(wide, "unit")
    assert layout["chunks"] == (100, 2048)
    assert layout["shards"] == (100, 40_960)


def test_one_target_is_read_without_the_others():
    cube = xr.Variable(("target", "sample", "unit"), np.empty((10, 100, 4000), np.float32))
    assert module._chunking(cube, "unit") == {"chunks": (1, 100, 2048), "shards": (10, 100, 4096)}
