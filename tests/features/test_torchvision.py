"""Every layer is what torchvision itself gives, with weights read from a file."""

from __future__ import annotations

import sys
from functools import partial, wraps

import numpy as np
import pytest
import tiny
import torch
from extracting import extract
from PIL import Image
from safetensors.torch import save_file
from torchvision_ops import need_torchvision

from fornix.errors import FornixError
from fornix.features import torchvision as kind
from fornix.study.features.torchvision import TorchvisionFeatures

need_torchvision()
from torchvision import models  # noqa: E402

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
CONFIGS = {
    "vit_b_32": {
        "image_size": 64, "patch_size": 16, "num_layers": 2, "num_heads": 2, "hidden_dim": 24,
        "mlp_dim": 32, "num_classes": 7,
    },
    "swin_t": {"patch_size": [4, 4], "embed_dim": 12, "depths": [1, 1], "num_heads": [1, 2],
               "num_classes": 7},
    "squeezenet1_1": {"num_classes": 7},
    "shufflenet_v2_x0_5": {"num_classes": 7},
    "resnet18": {"width_per_group": 64, "num_classes": 7},
}  # fmt: skip
BLOCKS = {
    "vit_b_32": ["encoder.layers.encoder_layer_0", "encoder.layers.encoder_layer_1"],
    "swin_t": ["features.1", "features.3"],
    "squeezenet1_1": [f"features.{i}" for i in (3, 4, 6, 7, 9, 10, 11, 12)],
    "shufflenet_v2_x0_5": ["stage2", "stage3", "stage4"],
    "resnet18": ["layer1", "layer2", "layer3", "layer4"],
}
HEADS = {"vit_b_32": "heads.head", "swin_t": "head", "shufflenet_v2_x0_5": "fc", "resnet18": "fc"}
SIZED = {
    "vit_b_32": models.VisionTransformer,
    "swin_t": partial(models.SwinTransformer, window_size=[7, 7]),
}


def _build(model, weights=None, **config):
    assert weights is None
    return model(**config)


def section(model, **settings):
    return TorchvisionFeatures(kind="torchvision", dataset="data", model=model, **settings)


def drawn(name):
    torch.manual_seed(1)
    return models.get_model(name, weights=None, **CONFIGS[name]).eval()


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Return a function: model -> its section, with weights in a file, and the model."""
    # torchvision fixes the depths of what it names; tiny ones are put under these names.
    for name, tiny_one in SIZED.items():
        named = models._api.BUILTIN_MODELS[name]
        build = wraps(named)(partial(_build, tiny_one))
        monkeypatch.setitem(models._api.BUILTIN_MODELS, name, build)

    def make(name, **settings):
        model = drawn(name)
        path = tmp_path / f"{name}.safetensors"
        save_file(model.state_dict(), path)
        found = section(name, weights_file=str(path), config=CONFIGS[name], **settings)
        return found, model

    return make


def reference(found, model, stimuli, root, paths):
    """Return what modules give on, what enters the head, and the logits, by hooks of torch."""
    kept = {}

    def keep(path, _, inputs, output):
        kept[path] = inputs[0].clone(), output.clone()

    for path in paths:
        model.get_submodule(path).register_forward_hook(partial(keep, path))
    transform = kind.picture_transform(found)
    images = [transform(Image.open(root / path).convert("RGB")) for path in stimuli["path"]]
    with torch.inference_mode():
        return kept, model(torch.stack(images))


@pytest.mark.parametrize("name", list(CONFIGS))
def test_layers_are_those_of_torchvision(weights, images, name):
    stimuli, root = images[0].iloc[:2], images[1]
    found, model = weights(name, layers=["embeddings", "block[0-9]*", "*pooler", "logits"]
                           if name in HEADS else ["embeddings", "block[0-9]*", "logits"],
                           readouts=["flatten"])  # fmt: skip
    values = extract(kind, found, stimuli, root)
    paths = BLOCKS[name]
    head = HEADS.get(name)
    kept, logits = reference(found, model, stimuli, root, [*paths, *([head] if head else [])])
    blocks = [f"block{i + 1}" for i in range(len(paths))]
    ends = ["pooler", "logits"] if head else ["logits"]
    assert list(values) == ["embeddings", *blocks, *ends]
    last = (0, 3, 1, 2) if name == "swin_t" else None
    for layer, path in [("embeddings", paths[0]), *zip(blocks, paths, strict=True)]:
        theirs = kept[path][layer != "embeddings"]
        theirs = theirs if last is None else theirs.permute(last)
        np.testing.assert_allclose(values[layer], theirs.flatten(1), **CLOSE)
    np.testing.assert_allclose(values["logits"], logits, **CLOSE)
    if head:
        np.testing.assert_allclose(values["pooler"], kept[head][0], **CLOSE)


def test_a_plain_network_has_a_block_a_convolution():
    from fornix.features.picture_networks import find_blocks

    with torch.device("meta"):
        found = {name: find_blocks(models.get_model(name, weights=None))
                 for name in ("alexnet", "vgg16", "densenet121", "convnext_tiny")}  # fmt: skip
    assert found["alexnet"] == [f"features.{i}" for i in (2, 5, 7, 9, 12)]
    assert len(found["vgg16"]) == 13
    assert found["densenet121"] == [f"features.denseblock{i}" for i in (1, 2, 3, 4)]
    assert found["convnext_tiny"] == [f"features.{i}" for i in (1, 3, 5, 7)]


def test_the_class_token_is_the_first(weights, images):
    found, model = weights("vit_b_32", layers=["block2"], readouts=["cls", "tokens"])
    values = extract(kind, found, *images)
    path = BLOCKS["vit_b_32"][-1]
    kept, _ = reference(found, model, *images, [path])
    np.testing.assert_allclose(values["block2@cls"], kept[path][1][:, 0], **CLOSE)
    grid = kept[path][1][:, 1:].unflatten(1, (4, 4))
    np.testing.assert_allclose(values["block2@tokens"], grid, **CLOSE)


def test_batch_size_changes_no_number(weights, images):
    whole = extract(kind, weights("vit_b_32")[0], *images)
    parts = extract(kind, weights("vit_b_32", batch_size=2)[0], *images, cuts=[3])
    for layer, values in whole.items():
        np.testing.assert_allclose(parts[layer], values, **CLOSE)


def test_the_untrained_twin_follows_its_seed(weights, images):
    def features(seed):
        twin = section("vit_b_32", init="random", seed=seed, config=CONFIGS["vit_b_32"])
        return extract(kind, twin, *images)["block2"]

    np.testing.assert_array_equal(features(0), features(0))
    assert np.abs(features(1) - features(0)).max() > 0.01


def test_published_weights_are_pickles_and_read_only_if_told_so(images, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    stimuli, root = images[0].iloc[:2], images[1]
    with pytest.raises(FornixError, match="publishes its weights as pickles") as caught:
        extract(kind, section("shufflenet_v2_x0_5"), stimuli, root)
    assert "pickled: true" in caught.value.mend
    told = section("shufflenet_v2_x0_5", pickled=True)
    with pytest.raises(FornixError, match="HF_HUB_OFFLINE forbids fetching it") as caught:
        extract(kind, told, stimuli, root)
    assert "https://download.pytorch.org/" in caught.value.mend
    url = models.get_model_weights("shufflenet_v2_x0_5").DEFAULT.url
    torch.manual_seed(1)
    model = models.get_model("shufflenet_v2_x0_5", weights=None).eval()
    path = tmp_path / "checkpoints" / url.rpartition("/")[2]
    path.parent.mkdir()
    torch.save(model.state_dict(), path)
    values = extract(kind, told, stimuli, root)
    kept, _ = reference(told, model, stimuli, root, ["fc"])
    np.testing.assert_allclose(values["pooler"], kept["fc"][0], **CLOSE)
    torch.save({"run": Runs()}, path)
    with pytest.raises(FornixError, match="torchvision can't build the model: Weights only"):
        extract(kind, told, stimuli, root)


class Runs:
    def __reduce__(self):
        return print, ("code of a checkpoint has run",)


def test_the_old_names_of_densenet_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    told = section("densenet121", pickled=True)
    torch.manual_seed(1)
    model = models.get_model("densenet121", weights=None)
    old = {}
    for name, value in model.state_dict().items():
        for part in ("norm1", "norm2", "conv1", "conv2") if "denselayer" in name else ():
            name = name.replace(f".{part}.", f".{part[:-1]}.{part[-1]}.")  # noqa: PLW2901
        old[name] = value
    assert any(".norm.1." in name for name in old)
    path = tmp_path / "checkpoints" / "densenet121-a639ec97.pth"
    path.parent.mkdir()
    torch.save(old, path)
    found = kind.load_model(told).state_dict()
    assert all(torch.equal(found[name], value) for name, value in model.state_dict().items())


def test_what_is_wrong_is_said(images, weights, monkeypatch):
    with pytest.raises(FornixError, match="no classification model 'resnet81'") as caught:
        extract(kind, section("resnet81"), *images)
    assert "did you mean 'resnet" in caught.value.mend
    with pytest.raises(FornixError, match="no weights 'IMAGENET_V2'") as caught:
        extract(kind, section("resnet50", weights="IMAGENET_V2"), *images)
    assert "did you mean 'IMAGENET1K_V2'?" in caught.value.mend
    found, _ = weights("shufflenet_v2_x0_5")
    other = found.model_copy(update={"model": "squeezenet1_1"})
    with pytest.raises(FornixError, match="torchvision can't build the model"):
        extract(kind, other, *images)
    with pytest.raises(FornixError, match="needs image stimuli"):
        extract(kind, found, tiny.texts())
    with pytest.raises(FornixError, match="cls isn't defined"):
        extract(kind, found.model_copy(update={"readouts": ["cls"]}), *images)
    before = kind.fingerprint(found)
    twins = [section("resnet18", init="random", seed=seed) for seed in (0, 1)]
    assert len({before, *map(kind.fingerprint, twins)}) == 3
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(FornixError, match="torchvision isn't installed"):
        kind.fingerprint(found)
