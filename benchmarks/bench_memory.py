"""What outgrows the memory: peak memory and time in one piece, and in blocks of units.

500 samples, 40,000 units, 4 layers of 200 features; each fit and evaluation in a process of its
own, whose peak is that of the job (ru_maxrss: everything it ever held at once, imports included).
Both fits end in the same bytes. Evaluations always go by blocks; "in one piece" is all units as
one block, whose sums differ in their last bits.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from measure import say

from fornix.evaluation import blocks, held_out
from fornix.stages import evaluate, fit
from fornix.store.artifact import Recipe, Target, create, open_artifact
from fornix.study.compute import Compute
from fornix.study.fits.ridge import RidgeFit
from fornix.study.scores import Evaluation, Scores

N, UNITS, LAYERS, WIDTH = 500, 40_000, 4, 200
AMPLE, LITTLE = 16_000, 1_000
"""Memory of the job in one piece and in blocks, MB."""
SECTION = RidgeFit(kind="ridge", responses="r", features=["f"])


def main() -> None:
    """Measure, and print one line a goal."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        fits = [measured(folder, "fitted", memory) for memory in (AMPLE, LITTLE)]
        scores = [measured(folder, "judged", memory) for memory in (AMPLE, LITTLE)]
    compared("", *fits)
    say("memory_same_bytes", fits[0]["digest"] == fits[1]["digest"], "share", 1, at_least=True)
    compared("evaluation_", *scores)


def compared(what: str, whole: dict[str, Any], cut: dict[str, Any]) -> None:
    """Print what a job took in one piece and in blocks."""
    print(f"in one piece {whole}; in blocks {cut}")
    say(f"memory_{what}whole_peak", whole["peak_mb"], "MB", AMPLE)
    say(f"memory_{what}blocks_peak", cut["peak_mb"], "MB", LITTLE)
    say(f"memory_{what}blocks_of_whole", cut["peak_mb"] / whole["peak_mb"], "share", 1)
    say(f"memory_{what}blocks_time", cut["s"] / whole["s"], "x", 2.0)


def measured(folder: Path, what: str, memory_mb: int) -> dict[str, Any]:
    """Return seconds, peak memory and digest of a job in a process of its own."""
    call = [sys.executable, __file__, str(folder), what, str(memory_mb)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def fitted(folder: Path, memory_mb: int) -> Path:
    """Fit, and return where the artifact is."""
    inputs = {"responses": folder / "responses", "features/f": folder / "features"}
    target = Target(folder / f"fit-{memory_mb}")
    resources = Compute(device="cpu", memory_mb=memory_mb)
    fit.run(SECTION, inputs, target, resources, subject="01")
    return target.path


def judged(folder: Path, memory_mb: int) -> Path:
    """Evaluate the fit, and return where the artifact is."""
    if memory_mb == AMPLE:
        held_out.AT_ONCE = blocks.ARRAY_BYTES = 1 << 40
        blocks.MOST = UNITS
    section = Evaluation(fit=SECTION, scores=Scores(ceiling=False, permutations=500))
    target = Target(folder / f"scores-{memory_mb}")
    evaluate.run(section, {"fit/01": folder / f"fit-{AMPLE}"}, target, Compute(device="cpu"))
    return target.path


def took(job: Callable[[Path, int], Path], folder: Path, memory_mb: int) -> dict[str, Any]:
    """Run a job; return seconds, peak memory and digest of what it made."""
    start = time.perf_counter()
    path = job(folder, memory_mb)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {"s": seconds, "peak_mb": peak, "digest": open_artifact(path).digest}


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
    # Regions lie in stretches of the units, as those of a volume do.
    coords["roi"] = ("unit", np.asarray([f"region{i // 50 % 5}" for i in range(UNITS)], object))
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
        job = {"fitted": fitted, "judged": judged}[sys.argv[2]]
        print(json.dumps(took(job, Path(sys.argv[1]), int(sys.argv[3]))))
    else:
        main()
