"""Every layer is what timm itself gives, with weights read from a file."""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import pytest
import tiny
import torch
from extracting import extract
from PIL import Image
from safetensors.torch import save_file
from torchvision_ops import need_torchvision

from fornix.errors import FornixError
from fornix.features import timm as kind
from fornix.features.picture_networks import find_blocks
from fornix.study.features.timm import TimmFeatures

need_torchvision()
timm = pytest.importorskip("timm", reason="pip install 'fornix[vision]'")

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
VIT = {"img_size": 32, "patch_size": 8, "depth": 2, "embed_dim": 24, "num_heads": 2}
MODELS = {
    "vit_tiny_patch16_224": {**VIT, "num_classes": 7},
    "vit_small_patch14_reg4_dinov2": {**VIT, "num_classes": 0},
    "resnet18": {"channels": (4, 8, 12, 16), "layers": (1, 1, 1, 1), "num_classes": 7},
    "convnext_atto": {"depths": (1, 1, 1, 2), "dims": (8, 8, 16, 16), "num_classes": 7},
    "swin_tiny_patch4_window7_224": {
        "img_size": 32, "window_size": 4, "embed_dim": 12, "depths": (1, 2), "num_heads": (1, 2),
        "num_classes": 7,
    },
    "test_efficientnet": {"num_classes": 7},
}  # fmt: skip


def section(model, **settings):
    return TimmFeatures(kind="timm", dataset="data", model=model, **settings)


def drawn(name, seed=1):
    torch.manual_seed(seed)
    model = timm.create_model(name, **MODELS[name]).eval()
    for part in model.modules():  # statistics of their own, as training leaves them
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.uniform_(-0.2, 0.2)
            part.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(part.weight, 0.5, 2)
    return model


@pytest.fixture
def weights(tmp_path):
    """Return a function: model -> its section, with weights in a file, and the model."""

    def make(name, **settings):
        model = drawn(name)
        path = tmp_path / f"{name}.safetensors"
        save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
        found = section(name, weights=str(path), config=MODELS[name], **settings)
        return found, model

    return make


def pixels(stimuli, root, found, model):
    transform = kind.picture_transform(found, model)
    images = [Image.open(root / path).convert("RGB") for path in stimuli["path"]]
    return torch.stack([transform(image) for image in images])


@pytest.mark.parametrize("name", list(MODELS))
def test_layers_are_those_of_timm(weights, images, name):
    wanted = ["embeddings", "block[0-9]*", "pooler", "logits"]
    found, model = weights(name, layers=wanted, readouts=["flatten"])
    values = extract(kind, found, *images)
    given = pixels(*images, found, model)
    with torch.inference_mode():
        last, maps = model.forward_intermediates(given, output_fmt="NCHW", norm=False)
        pooled = model.forward_head(model.forward_features(given), pre_logits=True)
        logits = model(given)
    n = len(find_blocks(model))
    assert list(values) == [
        "embeddings", *(f"block{i + 1}" for i in range(n)), "pooler", "logits",
    ]  # fmt: skip
    prefix = getattr(model, "num_prefix_tokens", 0)
    for at in range(1, min(n, 2) + 1):  # the last blocks; timm's list may begin with the stem
        ours, theirs = values[f"block{n + 1 - at}"], maps[-at].numpy()
        if "vit" in name:
            ours = ours.reshape(5, -1, 24)[:, prefix:].transpose(0, 2, 1)
        if name == "test_efficientnet" and at > 1:
            continue  # timm's list leaves blocks out that keep the size
        np.testing.assert_allclose(ours.reshape(5, -1), theirs.reshape(5, -1), **CLOSE)
    np.testing.assert_allclose(values["pooler"], pooled.flatten(1), **CLOSE)
    np.testing.assert_allclose(values["logits"], logits, **CLOSE)
    if name.startswith("vit_tiny"):
        with torch.inference_mode():
            entering = model.pos_drop(model._pos_embed(model.patch_embed(given)))
        np.testing.assert_allclose(values["embeddings"], entering.flatten(1), **CLOSE)
    assert last is not None


@pytest.mark.parametrize(
    ("readout", "expected"),
    [
        ("cls", lambda state: state[:, 0]),
        ("mean", lambda state: state.mean(1)),
        ("tokens", lambda state: state[:, 1:].unflatten(1, (4, 4))),
    ],
)
def test_readouts_of_a_vision_transformer(weights, images, readout, expected):
    found, model = weights("vit_tiny_patch16_224", layers=["block2"], readouts=[readout])
    given = pixels(*images, found, model)
    with torch.inference_mode():
        entering = model.pos_drop(model._pos_embed(model.patch_embed(given)))
        state = model.blocks(entering)
    values = extract(kind, found, *images)["block2"]
    np.testing.assert_allclose(values, expected(state).numpy(), **CLOSE)


def test_a_tapped_module_isnt_changed_by_a_sum_in_place(weights, images):
    found, model = weights("resnet18", layers=["layer1.0.bn2", "layer1.0.conv1", "fc"])
    given = pixels(*images, found, model)
    kept = {}

    def keep(path, _, __, output):
        kept[path] = output.clone()

    for path in found.layers:
        model.get_submodule(path).register_forward_hook(partial(keep, path))
    with torch.inference_mode():
        model(given)
    values = extract(kind, found, *images)
    for path, output in kept.items():
        theirs = output if output.ndim == 2 else output.mean((2, 3))
        np.testing.assert_allclose(values[path], theirs, **CLOSE)


def test_maps_whose_channels_come_last_keep_their_places(weights, images):
    found, model = weights("swin_tiny_patch4_window7_224", layers=["block2"], readouts=["tokens"])
    given = pixels(*images, found, model)
    with torch.inference_mode():
        maps = model.forward_intermediates(given, intermediates_only=True)
    np.testing.assert_allclose(
        extract(kind, found, *images)["block2"], maps[-1].permute(0, 2, 3, 1), **CLOSE
    )


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "resnet18"])
def test_batch_size_changes_no_number(weights, images, name):
    whole = extract(kind, weights(name)[0], *images)
    parts = extract(kind, weights(name, batch_size=2)[0], *images, cuts=[3])
    assert list(whole)[-1] == "pooler"  # logits are computed when asked for
    for layer, values in whole.items():
        np.testing.assert_allclose(parts[layer], values, **CLOSE)


def test_compiled_blocks_give_the_same_numbers(weights, images, monkeypatch):
    compiled_blocks = []

    def trace(function):  # as torch.compile does, without generating machine code
        compiled_blocks.append(function)
        return compiler(function, backend="eager")

    compiler = torch.compile
    monkeypatch.setattr(torch, "compile", trace)
    name = "vit_tiny_patch16_224"
    wanted = {"layers": ["block1", "block2", "blocks.0.mlp.fc1", "pooler"]}
    eager, compiled = weights(name, **wanted)[0], weights(name, compile=True, **wanted)[0]
    values = extract(kind, compiled, *images)
    assert len(compiled_blocks) == 1  # not the one in which a module is read
    for layer, expected in extract(kind, eager, *images).items():
        np.testing.assert_allclose(values[layer], expected, **CLOSE)


def test_the_untrained_twin_follows_its_seed_and_moves_no_other_generator(images):
    def features(seed):
        return extract(kind, section("vit_tiny_patch16_224", init="random", seed=seed,
                                     config=VIT), *images)["block2"]  # fmt: skip

    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    first = features(0)
    assert torch.equal(torch.rand(4), expected)
    np.testing.assert_array_equal(features(0), first)
    assert np.abs(features(1) - first).max() > 0.01


def test_the_fingerprint_follows_weights_config_and_seed(weights):
    found, _ = weights("resnet18")
    before = kind.fingerprint(found)
    assert kind.fingerprint(found) == before
    save_file(drawn("resnet18", 2).state_dict(), found.weights)
    assert kind.fingerprint(found) != before
    twins = [section("resnet18", init="random", **more) for more in
             ({}, {"seed": 1}, {"config": {"num_classes": 3}})]  # fmt: skip
    assert len({kind.fingerprint(one) for one in twins}) == 3


def test_published_weights_come_from_the_cache_of_the_hub(weights, images, tmp_path, monkeypatch):
    """A cache as the hub writes it, with weights of another model than the default draws."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    name = "test_vit.r160_in1k"  # timm's own tiny model
    with pytest.raises(FornixError, match="HF_HUB_OFFLINE forbids") as caught:
        extract(kind, section(name), *images)
    assert "hf download timm/test_vit.r160_in1k model.safetensors" in caught.value.mend

    repository = tmp_path / "hub" / "models--timm--test_vit.r160_in1k"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    torch.manual_seed(1)
    model = timm.create_model("test_vit").eval()
    save_file(model.state_dict(), snapshot / "model.safetensors")
    notes = []
    values = extract(kind, section(name), *images, notes=notes)
    assert any("no revision" in note for note in notes)
    given = pixels(*images, section(name), model)
    assert given.shape[-1] == 160
    with torch.inference_mode():
        pooled = model.forward_head(model.forward_features(given), pre_logits=True)
    np.testing.assert_allclose(values["pooler"], pooled, **CLOSE)


def test_what_is_wrong_is_said(images, tmp_path, weights, monkeypatch):
    with pytest.raises(FornixError, match="timm has no model 'resnet81'") as caught:
        extract(kind, section("resnet81"), *images)
    assert "did you mean 'resnet" in caught.value.mend
    with pytest.raises(FornixError, match="no weights 'a9_in1k' of resnet50"):
        extract(kind, section("resnet50.a9_in1k"), *images)
    pickled = tmp_path / "weights.pth"
    torch.save({}, pickled)
    with pytest.raises(FornixError, match="isn't safetensors, and could run code"):
        extract(kind, section("resnet18", weights=str(pickled)), *images)
    found, _ = weights("resnet18")
    other = found.model_copy(update={"model": "convnext_atto", "config": {}})
    with pytest.raises(FornixError, match="timm can't build the model"):
        extract(kind, other, *images)
    with pytest.raises(FornixError, match="needs image stimuli"):
        extract(kind, found, tiny.texts())
    with pytest.raises(FornixError, match="cls isn't defined"):
        extract(kind, found.model_copy(update={"readouts": ["cls"]}), *images)
    with pytest.raises(ValueError, match="config needs init: random or weights"):
        section("resnet18", config={"num_classes": 2})
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(FornixError, match="timm isn't installed") as caught:
        kind.fingerprint(found)
    assert caught.value.mend == "pip install 'fornix[vision]'"


@pytest.mark.parametrize(
    ("name", "config", "shapes"),
    [
        # Maps whose channels come last, and blocks that give tokens of two kinds.
        ("samvit_base_patch16_224", {**VIT, "depth": 1}, {"block1": (4, 4, 24)}),
        ("tnt_s_patch16_224", {"depth": 1}, {"block1": (14, 14, 384)}),
    ],
)
def test_networks_of_other_layouts(images, name, config, shapes):
    wanted = section(name, init="random", config=config, readouts=["tokens"], layers=[*shapes])
    found = extract(kind, wanted, *images)
    assert {layer: values.shape[1:] for layer, values in found.items()} == shapes
