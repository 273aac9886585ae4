"""An artifact's safety (digests, fsync, rename, sharded zarr) against plain zarr and .npy."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import xarray as xr
from measure import best, say

from fornix.store import Recipe, Target, create, open_artifact

SHAPE = (4000, 8000)  # samples x units, 128 MB


def main() -> None:
    """Write and read the same array in three ways."""
    values = np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32)
    data = xr.Dataset({"responses": (("sample", "unit"), values)})
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)

        def fornix() -> None:
            with create(Target(root / "artifact"), Recipe("bench", {}, {})) as draft:
                draft.write_dataset("responses", data, along="unit")

        def plain_zarr() -> None:
            data.to_zarr(root / "plain.zarr", mode="w", consolidated=False, zarr_format=3)

        wrote, wrote_zarr = best(fornix), best(plain_zarr)
        wrote_npy = best(lambda: np.save(root / "plain.npy", values))
        artifact = open_artifact(root / "artifact")
        read = best(lambda: artifact.dataset("responses")["responses"].values)
        read_npy = best(lambda: np.load(root / "plain.npy"))
    print(f"write: fornix {wrote:.2f} s, zarr {wrote_zarr:.2f} s, npy {wrote_npy:.2f} s")
    print(f"read:  fornix {read:.2f} s, npy {read_npy:.2f} s")
    say("store_write_over_plain_zarr", wrote / wrote_zarr, "x", 3)
    say("store_read_rate", values.nbytes / read / 1e6, "MB/s", 200, at_least=True)


if __name__ == "__main__":
    main()
