"""Feature extraction against the bare forward pass, its memory, and the price of ten stimuli.

Of the peers, thingsvision needs numpy 1 and a torchvision of 2023, and neuralset's extractor of
pictures a torchvision that goes with this torch: neither installs beside it, so that a loop as one
writes it by hand stands for them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # one thread for the network; decoding has its own

import numpy as np
import pandas as pd
import torch
import transformers
from measure import say
from PIL import Image

from fornix.devices import settings
from fornix.features import forward, huggingface
from fornix.stages import features
from fornix.store import Recipe, Target, create, open_artifact
from fornix.study.compute import Compute
from fornix.study.features.huggingface import HuggingFaceFeatures

BATCH = 16
TINY = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
TINY |= {"intermediate_size": 64, "image_size": 32, "patch_size": 16}
SIZES = {"vit_tiny": (192, 3, 384), "vit_base": (768, 12, 96)}
"""Model -> width, heads, and pictures to time it on."""


def main() -> None:
    """Print the figures."""
    if len(sys.argv) > 1:  # a process of its own, whose memory is measured
        print(json.dumps(extract(Path(sys.argv[1]), TINY, int(sys.argv[2]), files=100)))
        return
    for model in SIZES:
        with tempfile.TemporaryDirectory() as name:
            throughput(Path(name), model)
    peaks = [memory(n) for n in (1000, 20_000)]
    print(f"peak memory: {peaks[0]:.0f} MB for 1,000 pictures, {peaks[1]:.0f} MB for 20,000")
    say("features_peak_memory_20000_over_1000_pictures", peaks[1] / peaks[0], "x", 1.1)
    with tempfile.TemporaryDirectory() as name:
        ten_of_5000(Path(name))


def throughput(root: Path, model: str) -> None:
    """Compare the stage, files to zarr, with the model alone on batches in memory."""
    width, heads, n = SIZES[model]
    config = transformers.ViTConfig(
        hidden_size=width, num_attention_heads=heads, intermediate_size=4 * width
    )
    config.save_pretrained(root / model)
    processor = transformers.ViTImageProcessorPil(size={"height": 224, "width": 224})
    processor.save_pretrained(root / model)
    section = HuggingFaceFeatures(
        kind="huggingface", dataset="d", model=str(root / model), init="random", batch_size=BATCH
    )
    rows = pictures(root, n, files=n, side=256)
    with settings(1):
        network = huggingface.build_network(section, rows, context(root))
        plan = network.prepare.plan(rows)[0]
        batches = [
            network.prepare([rows.iloc[one] for one in plan[at : at + BATCH]])
            for at in range(0, n, BATCH)
        ]

    def bare() -> None:
        with settings(1), torch.inference_mode():
            for batch in batches:
                network.model(**batch.calls[""].arguments, output_hidden_states=True)

    def stage() -> None:
        with tempfile.TemporaryDirectory(dir=root) as target:
            run(section, rows, root, Target(Path(target) / "made"))

    def plain_loop() -> None:
        """Do what one writes by hand: decode, forward, pool, append, save."""
        kept: dict[int, list[Any]] = {}
        with settings(1), torch.inference_mode():
            for at in range(0, n, BATCH):
                paths = rows["path"].iloc[at : at + BATCH]
                images = [Image.open(root / path).convert("RGB") for path in paths]
                inputs = processor(images=images, return_tensors="pt")
                found = network.model(**inputs, output_hidden_states=True)
                for layer, state in enumerate(found.hidden_states):
                    kept.setdefault(layer, []).append(state.mean(1).numpy())
        np.savez(root / "kept.npz", *[np.concatenate(one) for one in kept.values()])

    loading = once(lambda: huggingface.build_network(section, rows, context(root)))
    times: dict[str, list[float]] = {"bare": [], "stage": [], "loop": []}
    for _ in range(2):  # in turns: the machine's mood is the same
        times["bare"].append(once(bare))
        times["stage"].append(once(stage))
        times["loop"].append(once(plain_loop))
    best = {key: min(one) for key, one in times.items()}
    best["stage"] -= loading  # weights are read (or drawn) once, whatever the number of pictures
    rates = ", ".join(f"{key} {n / one:.1f}" for key, one in best.items())
    print(f"pictures/s, {model}, one thread: {rates}; loading {loading:.2f} s")
    say(f"features_{model}_stage_over_bare_forward", best["stage"] / best["bare"], "x", 1.1)
    say(f"features_{model}_stage_over_a_plain_loop", best["stage"] / best["loop"], "x", 1.05)


def memory(n: int) -> float:
    """Return the peak memory, MB, of a process that extracts from ``n`` pictures."""
    with tempfile.TemporaryDirectory() as name:
        call = [sys.executable, __file__, name, str(n)]
        done = subprocess.run(call, capture_output=True, text=True, check=True)
        return float(json.loads(done.stdout.splitlines()[-1]))


def ten_of_5000(root: Path) -> None:
    """Count the forward passes that ten new stimuli cost."""
    counted: list[int] = []
    run_batch = forward.TorchExtractor._run

    def counting(self: Any, batch: Any, wanted: Any, given: Any = None) -> Any:
        if wanted is not None:
            counted.append(len(batch.calls[""].arguments["pixel_values"]))
        return run_batch(self, batch, wanted, given)

    forward.TorchExtractor._run = counting
    section, target = vit(TINY, batch_size=64), Target(root / "features" / "made")
    before = once(lambda: run(section, pictures(root, 5000, files=100), root, target))
    counted.clear()
    after = once(lambda: run(section, pictures(root, 5010, files=100), root, target))
    print(f"5,000 pictures: {before:.1f} s; ten more: {after:.1f} s")
    say("features_stimuli_through_the_model_for_10_more", sum(counted), "stimuli", 10)


def extract(root: Path, config: dict[str, int], n: int, files: int) -> float:
    """Run the stage; return the process's peak memory, MB."""
    target = Target(root / "features" / "made")
    features.BLOCK_BYTES = 1 << 20  # many blocks, as a real set of pictures has
    run(vit(config, batch_size=64), pictures(root, n, files), root, target)
    return float(open_artifact(target.path).manifest["provenance"]["peak_memory_mb"])


def vit(config: dict[str, int], **settings: Any) -> HuggingFaceFeatures:
    """Return the section of an untrained ViT: speed doesn't depend on the weights."""
    return HuggingFaceFeatures(
        kind="huggingface", dataset="d", model="vit", init="random", config=config, **settings
    )


def pictures(root: Path, n: int, files: int, side: int = 32) -> pd.DataFrame:
    """Return ``n`` stimuli that share some files."""
    for at in range(files):
        if not (path := root / f"{at}.jpg").exists():
            values = np.random.default_rng(at).integers(0, 256, (side, side, 3), dtype=np.uint8)
            Image.fromarray(values).save(path)
    names = [f"s{at:06d}" for at in range(n)]
    paths = [f"{at % files}.jpg" for at in range(n)]
    table = pd.DataFrame({"stimulus": names, "modality": "image", "path": paths, "text": None})
    return table.assign(digest=names)


def context(root: Path) -> Any:
    """Return what an extractor is given."""
    return features.Context(root, Compute(device="cpu"))


def run(section: HuggingFaceFeatures, rows: pd.DataFrame, root: Path, target: Target) -> None:
    """Run the stage on a stimulus table."""
    index = Target(target.path.with_name(f"{target.path.name}-index"))
    with create(index, Recipe("ingest", {"rows": len(rows)}, {})) as draft:
        draft.write_table("stimuli", rows)
    inputs = {"root": root, "ingest": index.path}
    features.run(section, inputs, target, Compute(device="cpu"))


def once(call: Callable[[], Any]) -> float:
    """Return the wall time of a call, s."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
