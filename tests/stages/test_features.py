"""The stage: stimuli in, layers out, in blocks; recomputed only when stimuli changed."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr

from fornix.errors import FornixError
from fornix.features import gabor
from fornix.stages import features
from fornix.stages import ingest as ingest_stage
from fornix.store import Recipe, Target, create, open_artifact
from fornix.study.compute import Compute
from fornix.study.datasets import RdmDataset
from fornix.study.features.columns import ColumnFeatures
from fornix.study.features.gabor import GaborFeatures
from fornix.study.features.huggingface import HuggingFaceFeatures
from fornix.study.features.pixels import PixelFeatures

N = 11
VIT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
VIT |= {"intermediate_size": 32, "image_size": 32, "patch_size": 8}
SECTIONS = {
    "columns": ColumnFeatures(kind="columns", dataset="d"),
    "pixels": PixelFeatures(kind="pixels", dataset="d", size=8),
    "gabor": GaborFeatures(kind="gabor", dataset="d", size=16, n_levels=2, grid=4),
    "huggingface": HuggingFaceFeatures(
        kind="huggingface", dataset="d", model="vit", init="random", config=VIT, batch_size=4
    ),
}


@pytest.fixture
def stimuli(tmp_path):
    """Write pictures and return their table; digests are those of their contents."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(N):
        name = f"{i:02d}.png"
        Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)).save(tmp_path / name)
        row = {"stimulus": name, "modality": "image", "path": name, "text": None}
        rows.append(row | {"digest": f"digest{i}", "category": "ab"[i % 2], "size": float(i)})
    return pd.DataFrame(rows)


@pytest.fixture
def run(tmp_path):
    """Return a function that runs the stage over a stimulus table."""

    def call(section, table, name="made", code=None):
        index = Target(tmp_path / "ingest" / name)
        with create(index, Recipe("ingest", {}, {})) as draft:
            draft.write_table("stimuli", table)
        target = Target(tmp_path / "features" / name, code or {})
        inputs = {"root": tmp_path, "ingest": index.path}
        features.run(section, inputs, target, Compute(device="cpu"))
        return open_artifact(target.path)

    return call


@pytest.mark.parametrize("kind", SECTIONS)
def test_the_artifact_of_each_kind(run, stimuli, kind):
    made = run(SECTIONS[kind], stimuli)
    found = made.dataset("features").load()
    layers = json.loads(found.attrs["layers"])
    assert (
        layers
        == {
            "columns": ["category", "size"],
            "pixels": ["pixels"],
            "gabor": ["level1", "level2"],
            "huggingface": ["embeddings", "block1", "block2", "pooler"],
        }[kind]
    )
    assert set(found.data_vars) == set(layers)
    assert found["stimulus"].values.tolist() == stimuli["stimulus"].tolist()
    for layer in layers:
        assert found[layer].dims == ("stimulus", f"feature:{layer}")
        assert found[layer].dtype == np.float32
        assert np.isfinite(found[layer]).all()
        assert found[layer].values.std(0).max() > 0
    assert found.attrs["kind"] == kind
    assert isinstance(json.loads(found.attrs["notes"]), list)
    noted = made.manifest["notes"]
    assert noted["layers"] == layers
    assert noted["dims"] == {layer: found.sizes[f"feature:{layer}"] for layer in layers}
    assert noted["stimuli_per_s"] > 0


def test_categories_are_named(run, stimuli):
    found = run(SECTIONS["columns"], stimuli).dataset("features")
    assert json.loads(found.attrs["layer_labels"]) == {"category": ["a", "b"], "size": ["size"]}


@pytest.mark.parametrize("kind", ["gabor", "huggingface"])
def test_blocks_change_nothing(run, stimuli, kind, monkeypatch):
    whole = run(SECTIONS[kind], stimuli, "whole").dataset("features").load()
    row_bytes = 4 * sum(size for dim, size in whole.sizes.items() if dim != "stimulus")
    monkeypatch.setattr(features, "BLOCK_BYTES", 4 * row_bytes)
    monkeypatch.setattr(features, "find_donors", lambda *_: [])
    monkeypatch.setattr(gabor, "BATCH", 3)
    made = run(SECTIONS[kind], stimuli, "blocks")
    parts = made.dataset("features").load()
    layer = json.loads(parts.attrs["layers"])[0]
    assert len(list((made.path / "features.zarr" / layer / "c").iterdir())) == 3
    for layer in whole.data_vars:
        np.testing.assert_allclose(parts[layer], whole[layer], rtol=1e-4, atol=1e-6)
    assert parts.attrs == whole.attrs


def test_blocks_are_bounded_and_a_power_of_two():
    for shapes in (
        {"pixels": (1024,)},
        {f"block{i}": (768,) for i in range(13)},
        {"tokens": (14, 14, 768)},
        {"flat": (10**9,)},
    ):
        rows = features.rows_of_block(shapes)
        assert rows & (rows - 1) == 0
        row_bytes = 4 * sum(int(np.prod(shape)) for shape in shapes.values())
        assert rows == 1 or rows * row_bytes <= features.BLOCK_BYTES
    assert features.rows_of_block({f"block{i}": (768,) for i in range(13)}) == 4096


def made_anew(run, section, first, second):
    """Tell whether the second table makes the artifact anew."""
    before = run(section, first).path.stat().st_ino
    return run(section, second).path.stat().st_ino != before


@pytest.mark.parametrize("kind", SECTIONS)
def test_only_what_is_read_makes_it_anew(run, stimuli, kind):
    section = SECTIONS[kind]
    assert not made_anew(run, section, stimuli, stimuli)
    elsewhere = stimuli.assign(note=[f"{i}" for i in range(N)])
    renamed = section.model_copy(update={"dataset": "another"})
    assert made_anew(run, renamed, stimuli, elsewhere) == (kind == "columns")
    redrawn = stimuli.assign(digest=["new", *stimuli["digest"][1:]])
    assert made_anew(run, section, stimuli, redrawn) == (kind != "columns")
    assert made_anew(run, section, stimuli, stimuli[::-1])
    assert made_anew(run, section, stimuli, stimuli.iloc[1:])


def test_weights_make_it_anew(run, stimuli, tmp_path):
    import transformers

    folder = tmp_path / "model"
    torch.manual_seed(0)
    model = transformers.ViTModel(transformers.ViTConfig(**VIT))
    model.save_pretrained(folder)
    transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    section = HuggingFaceFeatures(kind="huggingface", dataset="d", model=str(folder))
    assert not made_anew(run, section, stimuli, stimuli)
    before = run(section, stimuli)
    with torch.no_grad():
        model.embeddings.cls_token += 1
    model.save_pretrained(folder)
    assert run(section, stimuli).digest != before.digest


def test_bytes_are_the_same_again(run, stimuli):
    for kind, section in SECTIONS.items():
        one, other = run(section, stimuli, f"{kind}1"), run(section, stimuli, f"{kind}2")
        assert one.digest == other.digest


def test_what_is_optional_and_not_there_is_left_out(run, stimuli):
    section = HuggingFaceFeatures(
        kind="huggingface", dataset="d", model="vit", init="random", config=VIT, text="caption"
    )
    with pytest.raises(FornixError, match="no column 'caption'"):
        run(section, stimuli)
    found = run(section.model_copy(update={"optional": True}), stimuli).dataset("features")
    assert json.loads(found.attrs["layers"]) == []
    (note,) = json.loads(found.attrs["notes"])
    assert note == "left out: the stimulus table has no column 'caption'"
    assert found["stimulus"].values.tolist() == stimuli["stimulus"].tolist()


def test_bad_stimuli(run, stimuli, tmp_path):
    with pytest.raises(FornixError, match="has no stimuli"):
        run(SECTIONS["pixels"], stimuli.iloc[:0])
    with pytest.raises(FornixError, match="pixels needs image stimuli"):
        run(SECTIONS["pixels"], stimuli.assign(modality="label"))
    (tmp_path / "03.png").write_bytes(b"not a picture")
    with pytest.raises(FornixError, match="can't be read") as caught:
        run(SECTIONS["gabor"], stimuli)
    assert "03.png" in caught.value.where
    assert not (tmp_path / "features" / "made").exists()
    assert not list((tmp_path / "features").glob(".*.partial"))


def test_values_that_are_not_finite_are_noted(run, stimuli):
    stimuli.loc[2, "size"] = np.inf
    found = run(SECTIONS["columns"], stimuli).dataset("features")
    assert "layer size: not finite for 1 stimuli" in json.loads(found.attrs["notes"])


@pytest.mark.real
def test_pixels_of_objects_barely_explain_temporal_cortex(real_data, tmp_path):
    root = real_data("objects92")
    dataset = RdmDataset(source="rdms", path=str(root))
    index, target = Target(tmp_path / "ingest"), Target(tmp_path / "pixels")
    ingest_stage.run(dataset, {"root": root}, index, Compute())
    section = PixelFeatures(kind="pixels", dataset="objects")
    features.run(section, {"root": root, "ingest": index.path}, target, Compute())
    values = open_artifact(target.path).dataset("features")["pixels"].values
    assert values.shape == (92, 1024)
    pairs = np.triu_indices(92, 1)
    model = 1 - np.corrcoef(values)[pairs]
    with np.load(root / "human_it_rdms.npz") as archive:
        brains = archive["rdm"].mean(1)
    found = np.mean([spearmanr(model, brain[pairs]).statistic for brain in brains])
    assert found == pytest.approx(0.02, abs=0.02)
    animate = ColumnFeatures(
        kind="columns", dataset="objects", columns=[], any_of={"animate": ["human", "animal"]}
    )
    features.run(animate, {"root": root, "ingest": index.path}, target, Compute())
    values = open_artifact(target.path).dataset("features")["animate"].values[:, 0]
    model = np.abs(values[:, None] - values)[pairs]
    found = np.mean([spearmanr(model, brain[pairs]).statistic for brain in brains])
    assert found == pytest.approx(0.386, abs=0.01)
