"""Texts for pictures: what plain generation gives, once for each content."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
import transformers
from extracting import extract
from PIL import Image

from fornix.errors import FornixError
from fornix.features import captions, huggingface
from fornix.features.extractor import Context
from fornix.stages import features
from fornix.store import Recipe, Target, create, open_artifact
from fornix.study.compute import Compute
from fornix.study.features.captions import CaptionFeatures
from fornix.study.study import Study

CPU = Compute(device="cpu")


@pytest.fixture
def stimuli(tmp_path):
    """Return pictures, each with a digest of its own; they differ, and so do their texts."""
    table = tiny.pictures(tmp_path, 6)
    for at, path in enumerate(table["path"]):
        values = np.full((40, 40, 3), 255, np.uint8) * np.asarray(tuple(f"{at + 1:03b}"), np.uint8)
        Image.fromarray(values).save(tmp_path / path)
    return table.assign(digest=[f"digest{at}" for at in range(len(table))])


@pytest.fixture
def run(tmp_path):
    """Return a function that runs the stage over a stimulus table."""

    def call(section, table, name="made", **sources):
        index = Target(tmp_path / "ingest" / name)
        with create(index, Recipe("ingest", {}, {})) as draft:
            draft.write_table("stimuli", table)
        target = Target(tmp_path / "features" / name)
        given = {f"source/{key}": one.path for key, one in sources.items()}
        inputs = {"root": tmp_path, "ingest": index.path, **given}
        features.run(section, inputs, target, CPU)
        return open_artifact(target.path)

    return call


def section(model, **settings):
    settings = {"max_new_tokens": 6, **settings}
    return CaptionFeatures(kind="captions", dataset="data", model=str(model), **settings)


def generate(one, stimuli, root):
    context = Context(root=root, resources=CPU)
    with captions.open_generator(one, context, "here") as (write, _):
        return write(stimuli)


def greedy(model, inputs, steps=6):
    """Return the tokens that are likeliest, one at a time, without transformers' generate."""
    ids = inputs.pop("input_ids")
    inputs.pop("attention_mask", None)
    start = ids.shape[1]
    with torch.inference_mode():
        for _ in range(steps):
            ids = torch.cat([ids, model(input_ids=ids, **inputs).logits[:, -1:].argmax(-1)], 1)
    return ids[0, start:]


@pytest.mark.parametrize("name", ["llava", "idefics"])
def test_texts_are_the_likeliest_tokens(vlm, stimuli, tmp_path, name):
    found = generate(section(vlm(name), prompt="the cat"), stimuli, tmp_path)
    processor = transformers.AutoProcessor.from_pretrained(vlm(name), backend="pil")
    model = transformers.AutoModelForImageTextToText.from_pretrained(vlm(name)).eval()
    for text, path in zip(found, stimuli["path"], strict=True):
        inputs = processor(
            images=Image.open(tmp_path / path), text="User:<image> the cat\nAssistant:",
            return_tensors="pt",
        )  # fmt: skip
        tokens = greedy(model, dict(inputs))
        assert text == processor.tokenizer.decode(tokens, skip_special_tokens=True).strip()


@pytest.mark.parametrize("name", ["blip", "git"])
@pytest.mark.parametrize("prompt", ["", "the cat"])
def test_captioners_go_on_from_the_prompt(vlm, stimuli, tmp_path, name, prompt):
    found = generate(section(vlm(name), prompt=prompt), stimuli, tmp_path)
    processor = transformers.AutoProcessor.from_pretrained(vlm(name), backend="pil")
    model = transformers.AutoModelForImageTextToText.from_pretrained(vlm(name)).eval()
    begun = processor.tokenizer(prompt, add_special_tokens=False).input_ids
    ids = torch.tensor([[2, *begun]])
    for text, path in zip(found, stimuli["path"], strict=True):
        pixels = processor.image_processor(Image.open(tmp_path / path), return_tensors="pt")
        if name == "git":
            tokens = greedy(model, {"input_ids": ids, **pixels})
        else:
            seen = model.vision_model(**pixels).last_hidden_state
            tokens = greedy(model.text_decoder, {"input_ids": ids, "encoder_hidden_states": seen})
        tokens = tokens.tolist()
        tokens = tokens[: tokens.index(3)] if 3 in tokens else tokens  # the end of the text
        assert text == processor.tokenizer.decode(tokens, skip_special_tokens=True).strip()


def test_the_picture_matters(vlm, stimuli, tmp_path):
    assert len(set(generate(section(vlm("git")), stimuli, tmp_path))) > 1


def test_batches_change_no_text(vlm, stimuli, tmp_path):
    whole = generate(section(vlm("git"), prompt="the"), stimuli, tmp_path)
    one = section(vlm("git"), prompt="the")
    assert [generate(one, stimuli.iloc[[at]], tmp_path)[0] for at in range(6)] == whole


def test_clips_have_texts(vlm, tmp_path):
    clips = tiny.clips(tmp_path)
    assert len(generate(section(vlm("llava"), prompt="a"), clips, tmp_path)) == 2


def test_the_artifact_and_who_reads_it(vlm, checkpoint, run, stimuli, tmp_path):
    made = run(section(vlm("git"), prompt="the"), stimuli)
    table = made.table("texts")
    assert list(table) == ["stimulus", "prompt", "text", "digest"]
    assert table["stimulus"].tolist() == stimuli["stimulus"].tolist()
    assert table["text"].tolist() == generate(section(vlm("git"), prompt="the"), stimuli, tmp_path)
    assert list(made.manifest["parts"]) == ["texts.parquet"]
    assert made.manifest["notes"]["texts_generated"] == 6
    # A model of texts reads them as if they were the stimuli's own.
    reader = tiny.section(checkpoint("bert"), source="said")
    read = run(reader, stimuli, "read", said=made).dataset("features")
    texts = stimuli.assign(text=table["text"], modality="text")
    own = extract(huggingface, tiny.section(checkpoint("bert")), texts)
    np.testing.assert_allclose(read["block3"].values, own["block3"], rtol=1e-4, atol=1e-5)
    # So does one of pictures and texts, beside the picture.
    both = tiny.section(vlm("vilt"), source="said", modality="image+text", readouts=["cls"])
    beside = run(both, stimuli, "beside", said=made).dataset("features")
    captioned = tiny.section(vlm("vilt"), text="said", modality="image+text", readouts=["cls"])
    own = extract(huggingface, captioned, stimuli.assign(said=table["text"]), tmp_path)
    np.testing.assert_allclose(beside["block3"].values, own["block3"], rtol=1e-4, atol=1e-5)


def test_a_text_is_generated_once_for_each_content(vlm, run, stimuli):
    one = section(vlm("git"))
    first = run(one, stimuli.iloc[:4], "first")
    twice = pd.concat([stimuli, stimuli.iloc[:2].assign(stimulus=["copy0", "copy1"])])
    more = run(one, twice, "more")
    notes = more.manifest["notes"]
    assert (notes["texts_generated"], notes["texts_taken"]) == (2, 4)
    texts = more.table("texts").set_index("stimulus")["text"]
    assert texts["copy1"] == texts["picture1.png"]
    assert texts.tolist()[:4] == first.table("texts")["text"].tolist()
    # Another prompt is another text.
    other = run(section(vlm("git"), prompt="the"), stimuli, "other")
    assert other.manifest["notes"]["texts_taken"] == 0


def test_a_killed_job_goes_on(vlm, run, stimuli, monkeypatch):
    one = section(vlm("git"), batch_size=2)
    whole = run(section(vlm("git"), batch_size=2, max_new_tokens=5), stimuli, "whole")
    short = one.model_copy(update={"max_new_tokens": 5, "seed": 1})
    calls = []
    inner = captions._generate

    def failing(*args):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(args[-1]["stimulus"].tolist())
        return inner(*args)

    monkeypatch.setattr(captions, "_generate", failing)
    with pytest.raises(KeyboardInterrupt):
        run(short, stimuli, "killed")
    monkeypatch.setattr(captions, "_generate", inner)
    made = run(short, stimuli, "killed")
    assert made.manifest["notes"]["texts_resumed"] == 4
    assert made.manifest["notes"]["texts_generated"] == 2
    assert made.digest == whole.digest


def test_what_cannot_be_captioned(vlm, checkpoint, run, stimuli):
    with pytest.raises(FornixError, match="writes no texts"):
        run(section(vlm("vilt")), stimuli)
    with pytest.raises(FornixError, match="processor"):
        run(section(checkpoint("vit")), stimuli)
    with pytest.raises(FornixError):
        run(section(vlm("git")), tiny.texts())


def test_a_fit_cannot_take_texts_for_numbers(tmp_path):
    said = {"kind": "captions", "dataset": "data", "model": str(tmp_path)}
    read = {"kind": "huggingface", "dataset": "data", "model": str(tmp_path), "source": "said"}
    study = {
        "name": "small",
        "datasets": {"data": {"source": "local", "path": str(tmp_path)}},
        "responses": {"betas": {"kind": "fmri", "dataset": "data"}},
        "features": {"said": said, "read": read},
        "fits": {"encoding": {"kind": "ridge", "responses": "betas", "features": ["read"]}},
    }
    assert Study.model_validate(study).features["read"].source == "said"
    study["fits"]["encoding"]["features"] = ["said"]
    with pytest.raises(ValueError, match="gives texts, not numbers"):
        Study.model_validate(study)
