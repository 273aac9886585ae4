"""Every layer is what open_clip itself gives, with weights read from a file."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import tiny
import torch
from extracting import extract
from PIL import Image
from safetensors.torch import save_file
from torchvision_ops import need_torchvision

from fornix.errors import FornixError
from fornix.features import open_clip as kind
from fornix.study.features.open_clip import OpenClipFeatures

need_torchvision()
open_clip = pytest.importorskip("open_clip", reason="pip install 'fornix[vision]'")

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
VISION = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
TEXT = {"context_length": 16, "width": 16, "heads": 2, "layers": 2, "vocab_size": 49408}
CONFIG = {"embed_dim": 12, "vision_cfg": VISION, "text_cfg": TEXT}


def section(model="ViT-B-32", **settings):
    return OpenClipFeatures(kind="open_clip", dataset="data", model=model, **settings)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Return a file of weights as open_clip writes it, and the model: both towers in one."""
    torch.manual_seed(1)
    model = open_clip.create_model("ViT-B-32", **CONFIG).eval()
    path = tmp_path_factory.mktemp("clip") / "tiny.safetensors"
    save_file(model.state_dict(), path)
    return path, model


def made(path, **settings):
    return section(pretrained=str(path), config=CONFIG, **settings)


def pixels(stimuli, root):
    config = open_clip.transform.PreprocessCfg(size=32)
    transform = open_clip.transform.image_transform_v2(config, is_train=False)
    images = [Image.open(root / path).convert("RGB") for path in stimuli["path"]]
    return torch.stack([transform(image) for image in images])


def states(module, run):
    """Return what each block gives on, (stimulus, token, feature)."""
    found = []
    handles = [block.register_forward_hook(lambda _, __, output: found.append(output.clone()))
               for block in module.transformer.resblocks]  # fmt: skip
    with torch.inference_mode():
        joint = run()
    for handle in handles:
        handle.remove()
    return found, joint


@pytest.mark.parametrize(
    ("readout", "expected"),
    [
        ("mean", lambda state: state.mean(1)),
        ("cls", lambda state: state[:, 0]),
        ("tokens", lambda state: state[:, 1:].unflatten(1, (4, 4))),
    ],
)
def test_layers_of_the_image_tower(checkpoint, images, readout, expected):
    path, model = checkpoint
    values = extract(kind, made(path, readouts=[readout]), *images)
    given = pixels(*images)
    blocks, joint = states(model.visual, lambda: model.encode_image(given))
    assert list(values) == ["embeddings", "block1", "block2", "joint"]
    assert blocks[0].shape == (5, 17, 32)
    for layer, state in zip(("block1", "block2"), blocks, strict=True):
        np.testing.assert_allclose(values[layer], expected(state), **CLOSE)
    np.testing.assert_allclose(values["joint"], joint, **CLOSE)


@pytest.mark.parametrize("readout", ["mean", "last", "max", "tokens"])
def test_layers_of_the_text_tower_stop_at_the_end_token(checkpoint, readout):
    path, model = checkpoint
    values = extract(kind, made(path, readouts=[readout]), tiny.texts())
    tokens = open_clip.get_tokenizer("ViT-B-32", context_length=16)(tiny.SENTENCES)
    blocks, joint = states(model, lambda: model.encode_text(tokens))
    assert list(values) == ["embeddings", "block1", "block2", "joint"]
    ends = tokens.argmax(1)  # the end token has the highest number
    assert len(set(ends.tolist())) > 1
    for layer, state in zip(("block1", "block2"), blocks, strict=True):
        for row, end in enumerate(ends):
            own = state[row, : end + 1]
            theirs = {"mean": own.mean(0), "last": own[-1], "max": own.amax(0)}
            theirs["tokens"] = torch.nn.functional.pad(own, (0, 0, 0, 15 - end))
            np.testing.assert_allclose(values[layer][row], theirs[readout], **CLOSE)
    np.testing.assert_allclose(values["joint"], joint, **CLOSE)


def test_a_module_of_a_tower_and_a_residual_network(checkpoint, images):
    path, _ = checkpoint
    values = extract(kind, made(path, layers=["*0.mlp.c_fc"]), *images)
    assert [(k, v.shape) for k, v in values.items()] == [
        ("transformer.resblocks.0.mlp.c_fc", (5, 128))
    ]
    vision = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
    resnet = section("RN50", init="random", config={**CONFIG, "vision_cfg": vision})
    found = extract(kind, resnet, *images)
    assert list(found) == ["embeddings", "block1", "block2", "block3", "block4", "joint"]
    assert found["block4"].shape == (5, 256)


def test_long_texts_are_cut_and_counted(checkpoint):
    notes = []
    long, cut = " ".join(["cat"] * 40), " ".join(["cat"] * 14)  # start and end make 16
    found = extract(kind, made(checkpoint[0]), tiny.texts([long, cut, "dog"]), notes=notes)
    np.testing.assert_allclose(found["block2"][0], found["block2"][1], **CLOSE)
    assert any("1 of 3 texts were cut at 16 tokens" in note for note in notes)


def test_batch_size_changes_no_number(checkpoint, images):
    for stimuli, root in (images, (tiny.texts(), None)):
        whole = extract(kind, made(checkpoint[0]), stimuli, root)
        parts = extract(kind, made(checkpoint[0], batch_size=2), stimuli, root, cuts=[3])
        for layer, values in whole.items():
            np.testing.assert_allclose(parts[layer], values, **CLOSE)


def test_the_untrained_twin_follows_its_seed(checkpoint, images):
    def features(seed):
        return extract(kind, section(init="random", seed=seed, config=CONFIG), *images)["block2"]

    np.testing.assert_array_equal(features(0), features(0))
    assert np.abs(features(1) - features(0)).max() > 0.01
    assert np.abs(extract(kind, made(checkpoint[0]), *images)["block2"] - features(0)).max() > 0.01


def test_tagged_weights_come_from_the_cache_with_their_preprocessing(images, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    config = open_clip.get_model_config("ViT-B-32")
    # The tag's repository, preprocessing and activation, on a model that fits a test.
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: {**config, **CONFIG})
    monkeypatch.setattr(open_clip.factory, "get_model_config", lambda name: {**config, **CONFIG})
    found = section(pretrained="openai")
    with pytest.raises(FornixError, match="HF_HUB_OFFLINE forbids") as caught:
        extract(kind, found, *images)
    assert "hf download timm/vit_base_patch32_clip_224.openai open_clip" in caught.value.mend

    repository = tmp_path / "hub" / "models--timm--vit_base_patch32_clip_224.openai"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    torch.manual_seed(1)
    model = open_clip.create_model("ViT-B-32", force_quick_gelu=True, **CONFIG).eval()
    save_file(model.state_dict(), snapshot / "open_clip_model.safetensors")
    values = extract(kind, found, *images)
    with torch.inference_mode():
        joint = model.encode_image(pixels(*images))
    np.testing.assert_allclose(values["joint"], joint, **CLOSE)


def test_what_is_wrong_is_said(checkpoint, images, tmp_path, monkeypatch):
    with pytest.raises(FornixError, match="open_clip has no model 'ViT-B-33'") as caught:
        extract(kind, section("ViT-B-33", pretrained="openai"), *images)
    assert "did you mean 'ViT-B-32" in caught.value.mend
    with pytest.raises(FornixError, match="no weights 'openia' of ViT-B-32") as caught:
        extract(kind, section(pretrained="openia"), *images)
    assert "did you mean 'openai'?" in caught.value.mend
    pickled = tmp_path / "weights.pt"
    torch.save({}, pickled)
    with pytest.raises(FornixError, match="isn't safetensors, and could run code"):
        extract(kind, section(pretrained=str(pickled)), *images)
    with pytest.raises(FornixError, match="open_clip can't build the model"):
        extract(kind, section(pretrained=str(checkpoint[0]), config={"embed_dim": 3}), *images)
    with pytest.raises(FornixError, match="needs image stimuli, but 5 of 5 are label stimuli"):
        extract(kind, made(checkpoint[0]), images[0].assign(modality="label"), images[1])
    for readout, stimuli in (("cls", tiny.texts()), ("last", images[0])):
        with pytest.raises(FornixError, match=f"{readout} isn't defined"):
            extract(kind, made(checkpoint[0], readouts=[readout]), stimuli, images[1])
    with pytest.raises(ValueError, match="names no weights"):
        section()
    one = made(checkpoint[0])
    twins = [section(init="random", seed=seed, config=CONFIG) for seed in (0, 1)]
    assert len({kind.fingerprint(found) for found in (one, *twins)}) == 3
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(FornixError, match="open_clip isn't installed"):
        kind.fingerprint(one)
