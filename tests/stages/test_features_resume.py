"""What is done is never done again: over kills, new stimuli, new layers and new names."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fornix.errors import FornixError
from fornix.features import forward, huggingface, reuse
from fornix.stages import features
from fornix.store import Recipe, Target, create, open_artifact
from fornix.store.draft import Draft
from fornix.study.compute import Compute
from fornix.study.features.huggingface import HuggingFaceFeatures
from fornix.study.features.pixels import PixelFeatures

VIT = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
VIT |= {"intermediate_size": 8, "image_size": 16, "patch_size": 8}


def vit(**settings):
    given = {"layers": ["block1", "block2"], "batch_size": 4} | settings
    return HuggingFaceFeatures(
        kind="huggingface", dataset="d", model="vit", init="random", config=VIT, **given
    )


def table(folder, n, first=0, name="s"):
    """Return stimuli that share a few files; their digests are what tells them apart."""
    for i in range(3):
        path = folder / f"{i}.png"
        if not path.exists():
            rng = np.random.default_rng(i)
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    numbers = range(first, first + n)
    return pd.DataFrame(
        {
            "stimulus": [f"{name}{i:05d}" for i in numbers],
            "modality": "image",
            "path": [f"{i % 3}.png" for i in numbers],
            "text": None,
            "digest": [f"digest{i}" for i in numbers],
        }
    )


@pytest.fixture
def passes(monkeypatch):
    """Return the list of sizes of all forward passes, those that look for layers left out."""
    sizes = []
    run = forward.TorchExtractor._run

    def counted(self, batch, wanted, given=None):
        if wanted is not None:
            sizes.append(len(next(iter(batch.calls.values())).arguments["pixel_values"]))
        return run(self, batch, wanted, given)

    monkeypatch.setattr(forward.TorchExtractor, "_run", counted)
    return sizes


@pytest.fixture
def run(tmp_path):
    """Return a function that runs the stage over a stimulus table."""

    def call(section, stimuli, name="made"):
        index = Target(tmp_path / "ingest" / name)
        with create(index, Recipe("ingest", {}, {})) as draft:
            draft.write_table("stimuli", stimuli)
        target = Target(tmp_path / "features" / name)
        inputs = {"root": tmp_path, "ingest": index.path}
        features.run(section, inputs, target, Compute(device="cpu"))
        return open_artifact(target.path)

    return call


def values(artifact):
    found = artifact.dataset("features").load()
    return {name: found[name].values for name in json.loads(found.attrs["layers"])}


def small_blocks(monkeypatch, rows):
    monkeypatch.setattr(features, "rows_of_block", lambda shapes: rows)


def break_after(monkeypatch, n_blocks, error):
    """Let a job end badly when it has written some blocks."""
    write = Draft.write_rows
    written = []

    def broken(self, name, start, rows):
        if len(written) == n_blocks:
            raise error
        written.append(start)
        write(self, name, start, rows)

    monkeypatch.setattr(Draft, "write_rows", broken)


@pytest.mark.parametrize("section", [vit(), vit(batch_size=3), PixelFeatures(
    kind="pixels", dataset="d", size=4)], ids=["vit", "uneven", "pixels"])  # fmt: skip
def test_resumed_is_uninterrupted_bit_for_bit(run, tmp_path, monkeypatch, section, passes):
    small_blocks(monkeypatch, 8)
    monkeypatch.setattr(features, "find_donors", lambda *_: [])
    stimuli = table(tmp_path, 30)
    whole = run(section, stimuli, "whole")
    passes.clear()
    with monkeypatch.context() as patch:
        break_after(patch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run(section, stimuli, "broken")
    assert not (tmp_path / "features" / "broken").exists()
    passes.clear()
    resumed = run(section, stimuli, "broken")
    assert resumed.digest == whole.digest
    assert resumed.manifest["notes"]["rows_resumed"] == 16
    if section.kind == "huggingface":
        assert sum(passes) == 14


def test_ten_new_stimuli_cost_ten(run, tmp_path, passes):
    section = vit(batch_size=32)
    stimuli = table(tmp_path, 5000)
    before = values(run(section, stimuli))
    assert sum(passes) == 5000
    passes.clear()
    more = pd.concat([table(tmp_path, 10, first=90_000, name="a"), stimuli], ignore_index=True)
    made = run(section, more)  # the artifact of the same path is replaced, and gives its rows
    assert sum(passes) == 10
    after = values(made)
    for name, one in after.items():
        np.testing.assert_array_equal(one[10:], before[name])
        np.testing.assert_allclose(one[:3], before[name][[0, 1, 2]], rtol=1e-5, atol=1e-6)
    assert made.manifest["notes"]["rows_computed"] == 10
    assert made.manifest["notes"]["rows_taken"] == 5000


def test_another_name_costs_nothing(run, tmp_path, passes, monkeypatch):
    before = run(vit(), table(tmp_path, 9), "first")
    passes.clear()
    monkeypatch.setattr(huggingface, "open_extractor", None)  # the model isn't even loaded
    renamed = vit().model_copy(update={"dataset": "other"})
    after = run(renamed, table(tmp_path, 7, first=1, name="other"), "second")
    assert not passes
    assert after.dataset("features")["stimulus"].values[0] == "other00001"
    for name, one in values(after).items():
        np.testing.assert_array_equal(one, values(before)[name][1:8])


def test_one_more_layer_takes_the_others_over(run, tmp_path, monkeypatch):
    stimuli = table(tmp_path, 9)
    before = run(vit(layers=["block1", "block2"]), stimuli, "first")
    asked = []
    call = forward.TorchExtractor.__call__
    monkeypatch.setattr(
        forward.TorchExtractor,
        "__call__",
        lambda self, blocks, layers: asked.append(layers) or call(self, blocks, layers),
    )
    after = run(vit(layers=["embeddings", "block1", "block2"]), stimuli, "second")
    assert asked == [["embeddings"]]
    assert list(values(after)) == ["embeddings", "block1", "block2"]
    for name, one in values(before).items():
        np.testing.assert_array_equal(values(after)[name], one)
    asked.clear()
    run(vit(layers=["block2"]), stimuli, "third")  # fewer layers: nothing is computed
    assert not any(asked)


def test_one_more_readout_takes_the_others_over(run, tmp_path, monkeypatch):
    stimuli = table(tmp_path, 6)
    before = run(vit(readouts=["cls"]), stimuli, "first")
    asked = []
    call = forward.TorchExtractor.__call__
    monkeypatch.setattr(
        forward.TorchExtractor,
        "__call__",
        lambda self, blocks, layers: asked.append(layers) or call(self, blocks, layers),
    )
    after = run(vit(readouts=["cls", "mean"]), stimuli, "second")
    assert asked == [["block1@mean", "block2@mean"]]
    np.testing.assert_array_equal(values(after)["block2@cls"], values(before)["block2"])


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"precision": "bfloat16"}, {"config": {**VIT, "intermediate_size": 4}}]
)
def test_other_numbers_are_never_taken(run, tmp_path, passes, change):
    stimuli = table(tmp_path, 6)
    run(vit(), stimuli, "first")
    passes.clear()
    run(type(vit()).model_validate(vit().model_dump() | change), stimuli, "second")
    assert sum(passes) == 6


def test_rows_of_other_code_are_never_taken(run, tmp_path, passes, monkeypatch):
    stimuli = table(tmp_path, 6)
    run(vit(), stimuli, "first")
    passes.clear()
    describe = Recipe.describe
    monkeypatch.setattr(
        Recipe, "describe", lambda self, target: describe(self, target) | {"code": {"x": "new"}}
    )
    run(vit(), stimuli, "second")
    assert sum(passes) == 6


def test_damaged_artifacts_give_nothing(run, tmp_path, passes):
    stimuli = table(tmp_path, 6)
    made = run(vit(), stimuli, "first")
    shard = next(one for one in made.path.rglob("block1/c/**/0") if one.is_file())
    shard.write_bytes(shard.read_bytes()[::-1])
    passes.clear()
    run(vit(), stimuli, "second")
    assert sum(passes) == 6


def test_a_donor_that_is_replaced_meanwhile(run, tmp_path, monkeypatch):
    stimuli = table(tmp_path, 6)
    made = run(vit(), stimuli, "first")
    read = reuse.Donor.read

    def replaced(self, layer, rows):
        twin = made.path / ".manifest.json"
        twin.write_text(twin.read_text().replace(made.digest, "0" * 32))
        return read(self, layer, rows)

    monkeypatch.setattr(reuse.Donor, "read", replaced)
    with pytest.raises(FornixError, match="was replaced by another run"):
        run(vit(), stimuli, "second")


def test_a_full_disk_loses_nothing_finished(run, tmp_path, monkeypatch, passes):
    small_blocks(monkeypatch, 4)
    stimuli = table(tmp_path, 12)
    with monkeypatch.context() as patch:
        break_after(patch, 2, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(FornixError, match="the disk is full after 8 of 12 rows") as caught:
            run(vit(), stimuli)
        assert "it goes on from there" in caught.value.mend
    passes.clear()
    made = run(vit(), stimuli)
    assert sum(passes) == 4
    assert all(np.isfinite(one).all() for one in values(made).values())


def test_parts_share_the_stimuli(run, tmp_path, passes):
    stimuli = table(tmp_path, 11)
    whole = run(vit(), stimuli, "whole")
    passes.clear()
    other = vit(seed=1)
    parts = [run(other.model_copy(update={"part": f"{i}/3"}), stimuli, f"part{i}")
             for i in (1, 2, 3)]  # fmt: skip
    sizes = [len(part.dataset("features")["stimulus"]) for part in parts]
    assert sum(sizes) == 11
    assert max(sizes) - min(sizes) <= 1
    assert sum(passes) == 11
    passes.clear()
    joined = run(other, stimuli, "joined")
    assert not passes
    assert joined.dataset("features")["stimulus"].values.tolist() == stimuli["stimulus"].tolist()
    assert values(joined)["block1"].shape == values(whole)["block1"].shape


def test_memory_does_not_grow_with_stimuli(run, tmp_path, monkeypatch):
    small_blocks(monkeypatch, 16)
    held = []
    write = features._Job._write

    def noted(self, draft, start, block, saved):
        held.append(sum(one.nbytes for one in block.values()))
        write(self, draft, start, block, saved)

    monkeypatch.setattr(features._Job, "_write", noted)
    run(PixelFeatures(kind="pixels", dataset="d", size=8), table(tmp_path, 100))
    assert max(held) == 16 * 64 * 4


KILLED = """
import sys, time
from pathlib import Path
import pandas as pd
from fornix.stages import features
from fornix.store import Target
from fornix.store.draft import Draft
from fornix.study.compute import Compute
from fornix.study.features.pixels import PixelFeatures

root = Path(sys.argv[1])
features.rows_of_block = lambda shapes: 4
save = Draft.save
def slow(self, state):
    save(self, state)
    print(state["rows"], flush=True)
    time.sleep(0.2)
Draft.save = slow
section = PixelFeatures(kind="pixels", dataset="d", size=4)
inputs = {"root": root, "ingest": root / "ingest" / "made"}
features.run(section, inputs, Target(root / "features" / "killed"), Compute())
"""


def test_sigkill_costs_a_block_and_no_bit(run, tmp_path, monkeypatch):
    small_blocks(monkeypatch, 4)
    section = PixelFeatures(kind="pixels", dataset="d", size=4)
    monkeypatch.setattr(features, "find_donors", lambda *_: [])
    whole = run(section, table(tmp_path, 30))
    call = [sys.executable, "-c", KILLED, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True, env=environment) as job:
        for line in job.stdout:
            if int(line) >= 12:
                job.kill()
                break
        job.wait()
    assert job.returncode == -signal.SIGKILL
    assert not (tmp_path / "features" / "killed").exists()
    done = subprocess.run(call, capture_output=True, text=True, check=True, env=environment)
    assert int(done.stdout.split()[0]) == 16  # goes on after the third block
    found = open_artifact(tmp_path / "features" / "killed")
    assert found.digest == whole.digest
    assert found.manifest["notes"]["rows_resumed"] == 12
