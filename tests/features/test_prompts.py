"""Pictures with texts: the states of a plain forward pass, whatever the batch."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import tiny_vlm
import torch
import transformers
from extracting import extract
from PIL import Image

from fornix.errors import FornixError
from fornix.features import huggingface

PROMPTS = {"what": "the cat sat on", "who": "a dog"}
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def prompted(model, **settings):
    settings = {"prompts": PROMPTS, "readouts": ["last"], **settings}
    return tiny.section(model, modality="image+text", **settings)


def direct(folder, path, text, kind=transformers.AutoModelForImageTextToText):
    """Return transformers' own output for one picture and one text, and its inputs."""
    processor = transformers.AutoProcessor.from_pretrained(folder, backend="pil")
    inputs = processor(images=Image.open(path), text=text, return_tensors="pt")
    model = kind.from_pretrained(folder).eval()
    with torch.inference_mode():
        return model(**inputs, output_hidden_states=True), inputs


@pytest.mark.parametrize("name", ["llava", "idefics"])
def test_layers_are_those_of_a_plain_forward_pass(vlm, images, name):
    stimuli, root = images
    found = extract(huggingface, prompted(vlm(name)), *images)
    assert list(found)[:4] == [
        f"what:{one}" for one in ("embeddings", "block1", "block2", "block3")
    ]
    for prompt, text in PROMPTS.items():
        for row, path in enumerate(stimuli["path"]):
            worded = f"User:<image> {text}\nAssistant:"
            reference, inputs = direct(vlm(name), root / path, worded)
            for at, state in enumerate(reference.hidden_states):
                layer = f"{prompt}:block{at}" if at else f"{prompt}:embeddings"
                np.testing.assert_allclose(found[layer][row], state[0, -1].numpy(), **CLOSE)
    # As many places as the picture has tokens: patches, or patches that were joined by four.
    image_token = transformers.AutoTokenizer.from_pretrained(vlm(name)).convert_tokens_to_ids(
        "<image>"
    )
    expected = tiny_vlm.PATCHES if name == "llava" else tiny_vlm.PATCHES // 4
    assert int((inputs["input_ids"] == image_token).sum()) == expected


def test_prompt_and_picture_both_matter(vlm, images):
    found = extract(huggingface, prompted(vlm("llava")), *images)
    what, who = found["what:block3"], found["who:block3"]
    assert np.abs(what - who).max(1).min() > 1e-3
    assert np.ptp(what, axis=0).max() > 1e-3
    # What enters the first block at the last token is that token alone.
    np.testing.assert_array_equal(found["what:embeddings"], found["who:embeddings"])


@pytest.mark.parametrize("name", ["llava", "idefics", "git", "vilt", "bridgetower"])
def test_batches_change_nothing(vlm, images, name):
    section = prompted(vlm(name), readouts=["mean", "cls" if name == "vilt" else "last"])
    whole = extract(huggingface, section, *images)
    alone = extract(huggingface, section.model_copy(update={"batch_size": 1}), *images, cuts=[2])
    for layer, values in whole.items():
        np.testing.assert_allclose(alone[layer], values, **CLOSE)


@pytest.mark.parametrize("name", ["llava", "vilt"])
def test_each_picture_has_a_text_of_its_own(vlm, images, name):
    stimuli, root = images
    stimuli = stimuli.assign(caption=tiny.SENTENCES)
    section = prompted(vlm(name), prompts={}, text="caption", readouts=["mean"])
    found = extract(huggingface, section, stimuli, root)
    for row, (path, text) in enumerate(zip(stimuli["path"], tiny.SENTENCES, strict=True)):
        kind = (
            transformers.AutoModelForImageTextToText if name == "llava" else transformers.AutoModel
        )
        worded = f"User:<image> {text}\nAssistant:" if name == "llava" else text
        reference, _ = direct(vlm(name), root / path, worded, kind)
        expected = reference.hidden_states[-1][0].mean(0).numpy()
        np.testing.assert_allclose(found["block3"][row], expected, **CLOSE)


def test_pictures_that_would_be_padded_share_no_batch(vlm, tmp_path):
    # ViLT pads pictures of a batch to one size, and its patches would be those of the padding.
    sizes = [(40, 40), (40, 80), (40, 40)]
    tables = [tiny.pictures(tmp_path / str(at), 1, size) for at, size in enumerate(sizes)]
    stimuli = tables[0].iloc[[0, 0, 0]].reset_index(drop=True)
    stimuli["path"] = [f"{at}/{table['path'].iloc[0]}" for at, table in enumerate(tables)]
    found = extract(huggingface, prompted(vlm("vilt"), readouts=["mean"]), stimuli, tmp_path)
    for row, path in enumerate(stimuli["path"]):
        reference, _ = direct(vlm("vilt"), tmp_path / path, "a dog", transformers.AutoModel)
        expected = reference.hidden_states[-1][0].mean(0).numpy()
        np.testing.assert_allclose(found["who:block3"][row], expected, **CLOSE)


def test_streams_that_are_kept_apart_have_names(vlm, images):
    section = prompted(vlm("bridgetower"), prompts={"it": "a dog"}, readouts=["mean"])
    found = extract(huggingface, section, *images)
    names = ["text_embeddings", "image_embeddings", "cross_text_block1", "cross_image_block2"]
    assert {f"it:{name}" for name in names} <= set(found)
    # Only what has read the picture depends on it.
    assert np.ptp(found["it:text_embeddings"], axis=0).max() == 0
    assert np.ptp(found["it:cross_text_block2"], axis=0).max() > 1e-4
    reference, _ = direct(
        vlm("bridgetower"), images[1] / "picture0.png", "a dog", transformers.AutoModel
    )
    text, image, cross = reference.hidden_states
    pairs = {"text_block2": text[2], "image_block1": image[1].transpose(0, 1)}
    pairs |= {"cross_image_block2": cross[1][1]}
    for name, state in pairs.items():
        np.testing.assert_allclose(found[f"it:{name}"][0], state[0].mean(0).numpy(), **CLOSE)


def test_the_state_that_reads_both_streams(vlm, images):
    found = extract(huggingface, prompted(vlm("flava"), readouts=["mean"]), *images)
    names = ["text_block3", "image_block3", "cross"]
    assert {f"what:{name}" for name in names} <= set(found)
    reference, _ = direct(vlm("flava"), images[1] / "picture0.png", "a dog", transformers.AutoModel)
    expected = reference.multimodal_output.last_hidden_state[0].mean(0).numpy()
    np.testing.assert_allclose(found["who:cross"][0], expected, **CLOSE)
    assert np.abs(found["what:cross"] - found["who:cross"]).max() > 1e-4
    np.testing.assert_array_equal(found["what:image_block3"], found["who:image_block3"])


@pytest.mark.parametrize("name", ["llava", "idefics"])
def test_clips_are_shown_as_frames(vlm, tmp_path, name):
    stimuli = tiny.clips(tmp_path, n_frames=(8, 8))
    found = extract(huggingface, prompted(vlm(name)), stimuli, tmp_path)
    processor = transformers.AutoProcessor.from_pretrained(vlm(name), backend="pil")
    model = transformers.AutoModelForImageTextToText.from_pretrained(vlm(name)).eval()
    for row, path in enumerate(stimuli["path"]):
        frames = [Image.fromarray(one) for one in tiny.frames_of(tmp_path / path, 8)]
        text = "User:" + "<image>" * 8 + " a dog\nAssistant:"
        inputs = processor(images=[frames], text=[text], return_tensors="pt")
        with torch.inference_mode():
            reference = model(**inputs, output_hidden_states=True).hidden_states[-1][0, -1]
        np.testing.assert_allclose(found["who:block3"][row], reference.numpy(), **CLOSE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompts": {}}, "needs a text with every picture"),
        ({"readouts": ["cls"]}, "readout cls isn't defined"),
        ({"prompts": {}, "text": "text", "readouts": ["tokens"]}, "different lengths"),
    ],
)
def test_what_cannot_be_asked(vlm, images, settings, message):
    stimuli, root = images
    stimuli = stimuli.assign(text="a dog")
    with pytest.raises(FornixError, match=message):
        extract(huggingface, prompted(vlm("llava"), **settings), stimuli, root)


def test_a_random_order_of_patches_is_not_read(vlm, images):
    with pytest.raises(FornixError, match="random order"):
        extract(huggingface, prompted(vlm("vilt"), readouts=["last"]), *images)


def test_a_model_without_a_processor_is_refused(checkpoint, images):
    with pytest.raises(FornixError, match="processor"):
        extract(huggingface, prompted(checkpoint("vit")), *images)
