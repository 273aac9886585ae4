"""A fit that outgrows the memory: peak memory and time in one piece, and in blocks of units.

500 samples, 40,000 units, 4 layers of 200 features; each fit in a process of its own, whose peak
is that of the job (ru_maxrss: everything it ever held at once, imports included). Both end in
the same bytes.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from measure import say

from fornix.stages import fit
from fornix.store.artifact import Recipe, Target, create, open_artifact
from fornix.study.compute import Compute
from fornix.study.fits.ridge import RidgeFit

N, UNITS, LAYERS, WIDTH = 500, 40_000, 4, 200
AMPLE, LITTLE = 16_000, 1_000
"""Memory of the job in one piece and in blocks, MB."""


def main() -> None:
    """Measure, and print one line a goal."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        whole, blocks = (measured(folder, memory) for memory in (AMPLE, LITTLE))
    print(f"in one piece {whole}; in blocks {blocks}")
    say("memory_whole_peak", whole["peak_mb"], "MB", AMPLE)
    say("memory_blocks_peak", blocks["peak_mb"], "MB", LITTLE)
    say("memory_blocks_of_whole", blocks["peak_mb"] / whole["peak_mb"], "share", 1)
    say("memory_blocks_time", blocks["s"] / whole["s"], "x", 2.0)
    say("memory_same_bytes", whole["digest"] == blocks["digest"], "share", 1, at_least=True)


def measured(folder: Path, memory_mb: int) -> dict[str, Any]:
    """Return seconds, peak memory and digest of a fit in a process of its own."""
    call = [sys.executable, __file__, str(folder), str(memory_mb)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def fitted(folder: Path, memory_mb: int) -> dict[str, Any]:
    """Fit, and return what it took."""
    section = RidgeFit(kind="ridge", responses="r", features=["f"])
    inputs = {"responses": folder / "responses", "features/f": folder / "features"}
    target = Target(folder / f"fit-{memory_mb}")
    start = time.perf_counter()
    resources = Compute(device="cpu", memory_mb=memory_mb)
    fit.run(section, inputs, target, resources, subject="01")
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {"s": seconds, "peak_mb": peak, "digest": open_artifact(target.path).digest}


def make(folder: Path) -> None:
    """Write responses and features."""
    rng = np.random.default_rng(0)
    names = np.asarray([f"s{i:04}" for i in range(N)], dtype=object)
    runs = np.asarray([str(i % 5) for i in range(N)], dtype=object)
    sample = {"session": "", "run": runs, "recording": runs, "stimulus": names}
    coords: dict[str, Any] = {
        key: ("sample", np.full(N, value, dtype=object) if isinstance(value, str) else value)
        for key, value in sample.items()
    }
    coords |= {"onset": ("sample", np.arange(N) * 3.0), "trial": ("sample", np.arange(N))}
    coords["unit"] = np.arange(UNITS).astype(str).astype(object)
    coords["roi"] = ("unit", np.full(UNITS, "brain", dtype=object))
    values = rng.standard_normal((N, UNITS), dtype=np.float32)
    dataset = xr.Dataset({"responses": (("sample", "unit"), values)}, coords, {"subject": "01"})
    write(folder, "responses", dataset, along="unit")
    layers = {f"layer{i}": rng.normal(size=(N, WIDTH)).astype(np.float32) for i in range(LAYERS)}
    data = {key: (("stimulus", f"feature:{key}"), one) for key, one in layers.items()}
    attrs = {"layers": json.dumps(list(layers))}
    dataset = xr.Dataset(data, {"stimulus": names}, attrs)
    write(folder, "features", dataset, along="stimulus")


def write(folder: Path, name: str, dataset: xr.Dataset, *, along: str) -> None:
    """Write an artifact of one dataset."""
    with create(Target(folder / name), Recipe("bench", {}, {})) as draft:
        draft.write_dataset(name, dataset, along=along)


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(fitted(Path(sys.argv[1]), int(sys.argv[2]))))
    else:
        main()
