"""Appended blocks make the same shards as one write, and are written once."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
import zarr

from fornix.store import Recipe, Target, create, open_artifact
from fornix.store import artifact as module


def block(first: int, last: int, widths: dict[str, int]) -> xr.Dataset:
    """Return features whose value tells the stimulus."""
    row = np.arange(first, last, dtype=np.float32)
    return xr.Dataset(
        {
            name: (("stimulus", f"feature:{name}"), np.repeat(row[:, None], width, 1))
            for name, width in widths.items()
        },
        coords={"stimulus": [f"s{i:04d}" for i in range(first, last)]},
        attrs={"notes": str(last)},
    )


@pytest.mark.parametrize("widths", [{"a": 768, "b": 768}, {"a": 1000, "b": 3, "c": 300_000}])
def test_blocks_of_a_power_of_two_fill_their_shards(tmp_path, widths, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_BYTES", 1 << 14)
    monkeypatch.setattr(module, "SHARD_BYTES", 1 << 18)
    rows, total = 16, 70
    target = Target(tmp_path / "features")
    written: dict[str, int] = {}
    with create(target, Recipe("features", {}, {})) as draft:
        for first in range(0, total, rows):
            last = min(total, first + rows)
            one = block(first, last, widths)
            draft.write_dataset("features", one, along="stimulus", append=first > 0)
            for path in draft.path.rglob("c/*/0"):
                stamp = path.stat().st_mtime_ns
                assert written.setdefault(str(path), stamp) == stamp, f"{path} was written again"
    found = open_artifact(target.path).dataset("features").load()
    xr.testing.assert_equal(found, block(0, total, widths))
    assert found.attrs["notes"] == str(total)  # those of the last block
    group = zarr.open_group(target.path / "features.zarr", mode="r")
    for name, width in widths.items():
        array = group[name]
        assert array.shards[1] == array.chunks[1] == width
        assert rows % array.shards[0] == 0
        assert array.shards[0] % array.chunks[0] == 0
        assert array.chunks[0] * width * 4 <= module.CHUNK_BYTES or array.chunks[0] == 1


def test_chunks_are_at_most_a_mebibyte_and_shards_64():
    values = xr.Variable(("stimulus", "feature"), np.empty((4096, 768), np.float32))
    layout = module._chunking(values, "stimulus")
    assert layout == {"chunks": (256, 768), "shards": (4096, 768)}
    wide = xr.Variable(("sample", "unit"), np.empty((100, 40_000), np.float32))
    layout = module._chunking(wide, "unit")
    assert layout["chunks"] == (100, 2048)
    assert layout["shards"] == (100, 40_960)
