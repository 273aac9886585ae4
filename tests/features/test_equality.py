"""Each layer is that of a plain forward pass, whatever the family, the batches and the workers."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import tiny
import torch
import transformers
from extracting import extract
from PIL import Image

from fornix.errors import FornixError
from fornix.features import huggingface
from fornix.study.compute import Compute
from fornix.study.features.base import Projection

EXACT = {"rtol": 1e-5, "atol": 1e-5}
PICTURES = ["vit", "deit", "beit", "dinov2", "dinov3", "siglip", "clip", "convnext", "resnet"]
PICTURES += ["siglip_both", "vit_mae"]
TEXTS = ["bert", "gpt2", "llama", "qwen", "neox", "phi3", "t5_encoder", "xlnet"]
SOUNDS = ["wav2vec2", "hubert", "whisper", "clap"]
CLIPS = ["videomae", "vjepa2", "vivit", "timesformer"]
WITHIN = {"vit_mae": transformers.ViTModel, "t5_encoder": transformers.T5EncoderModel}
"""Models that run without what hides patches, or without the decoder that isn't there."""

RATE = 16_000


def plain(folder, name, rows, root):
    """Return the hidden states of each stimulus alone, by transformers and nothing else."""
    model = WITHIN.get(name, transformers.AutoModel).from_pretrained(folder).eval()
    found = []
    for _, row in rows.iterrows():
        if name in PICTURES:
            processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
            image = Image.open(root / row["path"]).convert("RGB")
            inputs = processor(images=image, return_tensors="pt")
            run = getattr(model, "get_image_features", model)
        elif name in TEXTS:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            inputs = tokenizer(row["text"], return_tensors="pt")
            inputs.pop("token_type_ids", None)
            run = model
        elif name in SOUNDS:
            extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
            sound, _ = soundfile.read(root / row["path"], dtype="float32")
            inputs = extractor(sound, sampling_rate=RATE, return_tensors="pt")
            run = model.get_encoder() if name == "whisper" else model
            run = model.get_audio_features if name == "clap" else run
        else:
            frames = tiny.frames_of(root / row["path"], 4)
            values = (np.stack(frames).transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5
            inputs = {model.main_input_name: torch.tensor(values[None], dtype=torch.float32)}
            run = model
        with torch.inference_mode():
            states = run(**inputs, output_hidden_states=True).hidden_states
        if name == "whisper":  # 100 tokens of 2 s, of which the sound takes some
            states = [one[:, : round(50 * len(sound) / RATE)] for one in states]
        found.append(states)
    return found


def mean(state):
    if state.ndim == 4:
        return state[0].mean((1, 2))
    return state[0].mean(0)


@pytest.fixture
def stimuli(tmp_path):
    """Return a function: architecture -> stimulus table and folder."""

    def make(name):
        if name in PICTURES:
            return tiny.pictures(tmp_path), tmp_path
        if name in TEXTS:
            short = [text for text in tiny.SENTENCES if len(text.split()) < 10]
            return tiny.texts(short), tmp_path
        return (tiny.sounds if name in SOUNDS else tiny.clips)(tmp_path), tmp_path

    return make


@pytest.mark.parametrize("name", [*PICTURES, *TEXTS, *SOUNDS, *CLIPS])
def test_each_layer_is_that_of_a_plain_forward_pass(checkpoint, stimuli, name):
    rows, root = stimuli(name)
    folder = checkpoint(name)
    reference = plain(folder, name, rows, root)
    variants = [
        (rows, {"batch_size": 1}, [], Compute(device="cpu")),
        (rows, {"batch_size": 3}, [2], Compute(device="cpu")),
        (rows.iloc[::-1].reset_index(drop=True), {}, [], Compute(device="cpu", threads=2)),
    ]
    for table, settings, cuts, resources in variants:
        section = tiny.section(folder, **settings)
        found = extract(huggingface, section, table, root, cuts=cuts, resources=resources)
        layers = [layer for layer in found if layer not in ("pooler", "joint")]
        assert len(layers) == len(reference[0])
        order = [rows["stimulus"].tolist().index(one) for one in table["stimulus"]]
        for at, layer in enumerate(layers):
            expected = np.stack([mean(reference[i][at]).numpy() for i in order])
            np.testing.assert_allclose(found[layer], expected, **EXACT, err_msg=layer)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_siglip_reads_texts_padded_to_its_limit(checkpoint, batch_size):
    rows = tiny.texts([text for text in tiny.SENTENCES if len(text.split()) < 10])
    section = tiny.section(checkpoint("siglip_both"), batch_size=batch_size)
    found = extract(huggingface, section, rows)
    model = transformers.SiglipModel.from_pretrained(checkpoint("siglip_both")).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint("siglip_both"))
    inputs = tokenizer(
        rows["text"].tolist(), padding="max_length", max_length=32, return_tensors="pt"
    )
    with torch.inference_mode():
        expected = model.get_text_features(**inputs, output_hidden_states=True)
    np.testing.assert_allclose(found["joint"], expected.pooler_output.numpy(), **EXACT)
    own = inputs["attention_mask"][..., None]
    for layer, state in zip(list(found)[:-1], expected.hidden_states, strict=True):
        mean = (state * own).sum(1) / own.sum(1)
        np.testing.assert_allclose(found[layer], mean.numpy(), **EXACT, err_msg=layer)


def test_a_model_that_draws_at_random_is_caught_in_the_act(checkpoint, stimuli, monkeypatch):
    rows, root = stimuli("vit_mae")
    monkeypatch.setattr(huggingface, "MASKED", "none")
    with pytest.raises(FornixError, match="gives one stimulus other numbers each time"):
        extract(huggingface, tiny.section(checkpoint("vit_mae")), rows, root)


@pytest.mark.parametrize("name", ["vit", "gpt2"])
def test_workers_change_no_bit(checkpoint, stimuli, name):
    rows, root = stimuli(name)
    section = tiny.section(checkpoint(name), batch_size=2)
    alone = extract(huggingface, section, rows, root)
    helped = extract(
        huggingface, section, rows, root, resources=Compute(device="cpu", workers=2), cuts=[3]
    )
    helped_again = extract(huggingface, section, rows, root, cuts=[3])
    for layer, values in alone.items():
        np.testing.assert_array_equal(helped[layer], helped_again[layer])
        np.testing.assert_allclose(helped[layer], values, **EXACT)


def test_several_readouts_of_one_pass(checkpoint, stimuli, monkeypatch):
    rows, root = stimuli("vit")
    passes = []
    run = huggingface.outputs
    monkeypatch.setattr(huggingface, "outputs", lambda *a: passes.append(1) or run(*a))
    section = tiny.section(checkpoint("vit"), readouts=["cls", "mean", "tokens"], batch_size=5)
    both = extract(huggingface, section, rows, root)
    assert len(passes) == 2  # one to see the layers, one for all
    assert list(both)[:4] == [
        "embeddings@cls",
        "embeddings@mean",
        "embeddings@tokens",
        "block1@cls",
    ]
    assert both["block2@tokens"].shape == (5, 4, 4, 16)  # places only, as they lie in the picture
    for readout in ("cls", "mean"):
        one = extract(huggingface, tiny.section(checkpoint("vit"), readouts=[readout]), rows, root)
        np.testing.assert_allclose(both[f"block2@{readout}"], one["block2"], **EXACT)
    places = both["block2@tokens"].reshape(5, 16, 16)
    whole = extract(huggingface, tiny.section(checkpoint("vit"), readouts=["flatten"]), rows, root)
    np.testing.assert_allclose(whole["block2"].reshape(5, 17, 16)[:, 1:], places, **EXACT)


@pytest.mark.parametrize("name", ["vit", "gpt2", "neox", "llama", "phi3"])
def test_queries_keys_and_values(checkpoint, stimuli, name):
    rows, root = stimuli(name)
    found = extract(
        huggingface, tiny.section(checkpoint(name), layers=["query?", "key2", "value2"]), rows, root
    )
    n_blocks = {"gpt2": 2}.get(name, 3)
    assert list(found) == ["query1", "query2", "key2", "value2", "query3"][: n_blocks + 2]
    model = transformers.AutoModel.from_pretrained(checkpoint(name)).eval()
    path = {
        "vit": "layers.1.attention.k_proj",
        "gpt2": "h.1.attn.c_attn",
        "neox": "layers.1.attention.query_key_value",
        "llama": "layers.1.self_attn.k_proj",
        "phi3": "layers.1.self_attn.qkv_proj",
    }[name]
    kept = []
    model.get_submodule(path).register_forward_hook(lambda *a: kept.append(a[2]))
    if name == "vit":
        processor = transformers.AutoImageProcessor.from_pretrained(checkpoint(name), backend="pil")
        inputs = processor(images=Image.open(root / rows["path"][0]), return_tensors="pt")
    else:
        tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint(name))
        inputs = tokenizer(rows["text"][0], return_tensors="pt")
        inputs.pop("token_type_ids", None)
    with torch.inference_mode():
        model(**inputs)
    keys = kept[0][0]
    if name == "gpt2":
        keys = keys[:, 16:32]
    elif name == "phi3":  # four heads of queries share one of keys: 16, 4 and 4 features
        keys = keys[:, 16:20]
    elif name == "neox":  # head by head: query, key, value of 8 features each
        keys = torch.cat([keys[:, 8:16], keys[:, 32:40]], 1)
    np.testing.assert_allclose(found["key2"][0], keys.mean(0).numpy(), **EXACT)


def test_other_maps_are_not_taken_for_queries(checkpoint, stimuli):
    rows, root = stimuli("bert")
    with pytest.raises(FornixError, match=r"no layer matches 'query\*'"):
        extract(huggingface, tiny.section(checkpoint("mamba"), layers=["query*"]), rows, root)


def test_attention_maps(checkpoint, stimuli):
    rows, root = stimuli("vit")
    section = tiny.section(checkpoint("vit"), layers=["attention2"], readouts=["cls", "tokens"])
    found = extract(huggingface, section, rows, root)
    maps = found["attention2@cls"].reshape(5, 2, 17)  # head by head, in every token
    np.testing.assert_allclose(maps.sum(2), 1, rtol=1e-5)
    assert np.abs(maps - 1 / 17).max() > 1e-4
    assert found["attention2@tokens"].shape == (5, 4, 4, 34)


def test_logits_come_from_the_head(tmp_path, stimuli):
    rows, root = stimuli("vit")
    config = transformers.ViTConfig(**tiny.VISION, num_labels=7)
    folder = tiny.pictured(tmp_path / "head", config, transformers.ViTForImageClassification)
    found = extract(huggingface, tiny.section(folder, layers=["block3", "logits"]), rows, root)
    model = transformers.ViTForImageClassification.from_pretrained(folder).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    images = [Image.open(root / path).convert("RGB") for path in rows["path"]]
    with torch.inference_mode():
        expected = model(**processor(images=images, return_tensors="pt")).logits
    np.testing.assert_allclose(found["logits"], expected.numpy(), **EXACT)
    assert list(found) == ["block3", "logits"]


def test_layers_by_path_and_by_position(checkpoint, stimuli):
    rows, root = stimuli("vit")
    section = tiny.section(checkpoint("vit"), layers=[-1, "layers.0.mlp*fc1"])
    found = extract(huggingface, section, rows, root)
    assert list(found) == ["pooler", "layers.0.mlp.fc1"]
    assert found["layers.0.mlp.fc1"].shape == (5, 32)


def test_half_precision_is_close_and_not_the_same(checkpoint, stimuli):
    rows, root = stimuli("vit")
    full = extract(huggingface, tiny.section(checkpoint("vit")), rows, root)
    half = extract(huggingface, tiny.section(checkpoint("vit"), precision="bfloat16"), rows, root)
    np.testing.assert_allclose(half["block3"], full["block3"], rtol=0.1, atol=0.05)
    assert (half["block3"] != full["block3"]).any()


def test_a_projection_keeps_distances(checkpoint, stimuli):
    rows, root = stimuli("convnext")
    whole = tiny.section(checkpoint("convnext"), readouts=["flatten"], layers=["embeddings"])
    small = whole.model_copy(update={"projection": Projection(n_components=600)})
    before = extract(huggingface, whole, rows, root)["embeddings"]
    after = extract(huggingface, small, rows, root)["embeddings"]
    assert before.shape == (5, 2048)
    assert after.shape == (5, 600)
    pairs = np.triu_indices(5, 1)

    def distances(values):
        return np.linalg.norm(values[:, None] - values, axis=2)[pairs]

    np.testing.assert_allclose(distances(after), distances(before), rtol=0.15)
    again = extract(huggingface, small, rows, root)["embeddings"]
    np.testing.assert_array_equal(after, again)


def test_a_compiled_model_gives_the_same(checkpoint, stimuli, monkeypatch):
    monkeypatch.setattr(torch._dynamo.config, "suppress_errors", False)
    rows, root = stimuli("vit")
    plain_section = tiny.section(checkpoint("vit"), layers=["block3", "query2"])
    compiled = plain_section.model_copy(update={"compile": True, "layers": ["block3"]})
    before = extract(huggingface, plain_section, rows, root)
    compilations = []
    backend = torch._dynamo.lookup_backend("eager")
    monkeypatch.setattr(
        torch.nn.Module, "compile",
        lambda self: setattr(self, "_compiled_call_impl", torch.compile(
            self._call_impl, backend=lambda *a: compilations.append(1) or backend(*a))),
    )  # fmt: skip
    after = extract(huggingface, compiled, rows, root)
    assert compilations
    np.testing.assert_allclose(after["block3"], before["block3"], **EXACT)
    notes = []
    tapped = plain_section.model_copy(update={"compile": True})
    both = extract(huggingface, tapped, rows, root, notes=notes)
    np.testing.assert_allclose(both["query2"], before["query2"], **EXACT)
    assert "outputs of modules are asked for: nothing is compiled" in notes
