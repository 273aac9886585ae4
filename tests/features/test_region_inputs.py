"""VisualBERT and LXMERT: texts with places of another network's layer for regions."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
import transformers
from extracting import extract

from fornix.errors import FornixError
from fornix.features import huggingface
from fornix.features.region_inputs import places_of
from fornix.stages import features
from fornix.store import Recipe, Target, create, open_artifact
from fornix.study.compute import Compute

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture
def seen(checkpoint, images):
    """Return a function that runs a vision model and returns its artifact."""
    stimuli, root = images

    def call(**settings):
        settings = {"layers": ["block2"], "readouts": ["tokens"], **settings}
        with create(Target(root / "ingest"), Recipe("ingest", {}, {})) as draft:
            draft.write_table("stimuli", stimuli)
        target = Target(root / "features" / "seen")
        inputs = {"root": root, "ingest": root / "ingest"}
        features.run(
            tiny.section(checkpoint("vit"), **settings), inputs, target, Compute(device="cpu")
        )
        return open_artifact(target.path)

    return call


def section(model, **settings):
    settings = {"source": "seen", "modality": "image+text", "readouts": ["mean", "cls"]} | settings
    return tiny.section(model, **settings)


def arguments(name, grid):
    """Return what a model is given of (row, column, feature)."""
    flat = torch.from_numpy(grid.reshape(1, -1, grid.shape[-1]))
    ones = torch.ones(flat.shape[:2])
    if name == "lxmert":
        boxes = torch.from_numpy(places_of(*grid.shape[:2]))[None]
        return {"visual_feats": flat, "visual_pos": boxes, "visual_attention_mask": ones}
    kinds = ones.long()
    return {"visual_embeds": flat, "visual_attention_mask": ones, "visual_token_type_ids": kinds}


@pytest.mark.parametrize("name", ["visualbert", "lxmert"])
def test_layers_are_those_of_a_plain_forward_pass(vlm, seen, images, name):
    stimuli, root = images
    stimuli = stimuli.assign(caption=tiny.SENTENCES)
    source = seen()
    found = extract(huggingface, section(vlm(name), text="caption"), stimuli, root, seen=source)
    grids = source.dataset("features")["block2"].values
    assert grids.shape == (5, 4, 4, 16)
    tokenizer = transformers.AutoTokenizer.from_pretrained(vlm(name))
    model = transformers.AutoModel.from_pretrained(vlm(name)).eval()
    for row, text in enumerate(tiny.SENTENCES):
        ids = tokenizer(text, return_tensors="pt").input_ids
        with torch.inference_mode():
            given = arguments(name, grids[row])
            reference = model(input_ids=ids, output_hidden_states=True, **given)
        if name == "visualbert":
            pairs = {"block3": reference.hidden_states[-1]}
        else:
            pairs = {"text_embeddings": reference.language_hidden_states[0]}
            pairs |= {"image_embeddings": reference.vision_hidden_states[0]}
        for layer, state in pairs.items():
            np.testing.assert_allclose(found[f"{layer}@mean"][row], state[0].mean(0), **CLOSE)
            np.testing.assert_allclose(found[f"{layer}@cls"][row], state[0, 0], **CLOSE)


@pytest.mark.parametrize("name", ["visualbert", "lxmert"])
def test_prompts_and_batches(vlm, seen, images, name):
    one = section(vlm(name), prompts={"a": "the cat", "b": "a small dog"})
    source = seen()
    whole = extract(huggingface, one, *images, seen=source)
    parts = extract(
        huggingface, one.model_copy(update={"batch_size": 2}), *images, seen=source, cuts=[1]
    )
    for layer, values in whole.items():
        np.testing.assert_allclose(parts[layer], values, **CLOSE)
    last = [name for name in whole if "block" in name and name.endswith("mean")][-1]
    assert last.startswith("b:")
    assert np.ptp(whole[last], axis=0).max() > 1e-5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": "all"}, "has 5 layers"),
        ({"readouts": ["mean"]}, "of 1 dimensions"),
    ],
)
def test_regions_that_do_not_fit(vlm, seen, images, settings, message):
    one = section(vlm("lxmert"), prompts={"a": "the cat"})
    with pytest.raises(FornixError, match=message):
        extract(huggingface, one, *images, seen=seen(**settings))


def test_regions_are_needed(vlm, images):
    one = section(vlm("visualbert"), prompts={"a": "the cat"}, source=None)
    with pytest.raises(FornixError, match="which another network finds"):
        extract(huggingface, one, *images)
