"""Surprisal is what a token-by-token computation gives, whatever the windows."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
import transformers
from extracting import extract

from fornix.errors import FornixError
from fornix.features import surprisal
from fornix.features.extractor import Context
from fornix.features.running_text import sliding, tokenize
from fornix.stages import features
from fornix.store import Recipe, Target, create, open_artifact
from fornix.study.features.surprisal import SurprisalFeatures

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "the",
    "mat",
    ".",
    "the",
    "small",
    "brown",
    "dog",
    "ran",
    "after",
    "the",
    "cat",
    ",",
    "unbelievably",
    "!",
    "a",
    "ball",
]


def section(model, **settings):
    return SurprisalFeatures(kind="surprisal", dataset="data", model=str(model), **settings)


def running(*passages):
    """Return the stimulus table of some passages of words."""
    return pd.DataFrame(
        [
            {"stimulus": f"p{p}-{at}-{word}", "modality": "word", "path": None, "text": word,
             "digest": f"{p} {at}", "passage": f"p{p}", "position": at}
            for p, words in enumerate(passages)
            for at, word in enumerate(words)
        ]
    )  # fmt: skip


@pytest.fixture(scope="module")
def reference(checkpoint):
    """Return a function: token-by-token surprisal and entropy of words, given so many before."""
    folder = checkpoint("gpt2")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()

    def compute(words, context=None):
        # The word with its space is what is scored: each word's tokens on their own.
        own = [
            tokenizer((" " if at else "") + word, add_special_tokens=False).input_ids
            for at, word in enumerate(words)
        ]
        found = []
        for at, mine in enumerate(own):
            first = 0 if context is None else max(0, at - context)
            before = [tokenizer.bos_token_id, *chain.from_iterable(own[first:at])]
            bits, entropy = 0.0, None
            for token in mine:
                with torch.inference_mode():
                    guess = model(torch.tensor([before])).logits[0, -1].double().softmax(-1)
                assert float(guess.sum()) == pytest.approx(1)
                if entropy is None:
                    entropy = -float((guess * guess.log2()).sum())
                bits -= float(guess[token].log2())
                before = [*before, token]
            found.append((bits, entropy))
        return np.asarray(found)

    return compute


@pytest.mark.parametrize("context", [None, 0, 1, 3])
def test_words_are_scored_as_token_by_token(checkpoint, reference, context):
    passages = [WORDS, WORDS[3:9]]
    found = extract(surprisal, section(checkpoint("gpt2"), context=context), running(*passages))
    expected = np.concatenate([reference(words, context) for words in passages])
    assert list(found) == ["surprisal", "entropy"]
    np.testing.assert_allclose(found["surprisal"][:, 0], expected[:, 0], rtol=1e-5)
    np.testing.assert_allclose(found["entropy"][:, 0], expected[:, 1], rtol=1e-5)
    assert (found["entropy"] > 0).all()
    assert (found["entropy"] < np.log2(300)).all()


def test_the_context_matters(checkpoint):
    model = checkpoint("gpt2")
    near, far = (
        extract(surprisal, section(model, context=n), running(WORDS))["surprisal"] for n in (0, 3)
    )
    assert near[0] == pytest.approx(far[0])
    assert (np.abs(near - far)[1:] > 1e-4).mean() > 0.9


def test_windows_slide_and_each_word_has_half_of_one_before_it(checkpoint):
    model = checkpoint("gpt2")
    words = WORDS * 3
    found = extract(surprisal, section(model, window=17), running(words))
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    lm = transformers.AutoModelForCausalLM.from_pretrained(model).eval()
    ids = tokenizer(" ".join(words)).input_ids
    bits = []
    for at, token in enumerate(ids):
        begin = 0 if at < 16 else (at - 8) // 8 * 8
        assert at - begin < 16
        assert at < 16 or at - begin >= 8
        with torch.inference_mode():
            logits = lm(torch.tensor([[1, *ids[begin:at]]])).logits[0, -1]
        bits.append(-float(logits.log_softmax(-1)[token]) / np.log(2))
    passage = tokenize(tokenizer, words)
    expected = [sum(bits[at] for at in passage.own(word)) for word in range(len(words))]
    np.testing.assert_allclose(found["surprisal"][:, 0], expected, rtol=1e-4)


def test_few_passes_do(checkpoint):
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint("gpt2"))
    passage = tokenize(tokenizer, WORDS * 50)
    windows = list(sliding(passage, range(len(WORDS) * 50), 100))
    assert len(windows) == -(-(len(passage.tokens) - 50) // 50)
    scored = [at for one in windows for at in range(one.scored, one.stop)]
    assert scored == list(range(len(passage.tokens)))


def test_words_after_change_nothing(checkpoint):
    for settings in ({"window": 17}, {"context": 2}):
        one = section(checkpoint("gpt2"), **settings)
        whole = extract(surprisal, one, running(WORDS * 3))
        part = extract(surprisal, one, running(WORDS * 2))
        for layer, values in part.items():
            np.testing.assert_allclose(values, whole[layer][: len(values)], rtol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"context": 2}, {"window": 17}])
def test_blocks_and_batches_change_nothing(checkpoint, settings):
    model, stimuli = checkpoint("gpt2"), running(WORDS * 2, WORDS[::-1])
    whole = extract(surprisal, section(model, **settings), stimuli)
    parts = extract(surprisal, section(model, **settings, batch_size=2), stimuli, cuts=[7, 30])
    for layer, values in whole.items():
        np.testing.assert_allclose(parts[layer], values, rtol=1e-4, atol=1e-6)


def test_texts_have_their_sum_and_mean(checkpoint, reference):
    found = extract(surprisal, section(checkpoint("gpt2")), tiny.texts())
    assert list(found) == ["surprisal", "mean_surprisal", "entropy"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint("gpt2"))
    for row, text in enumerate(tiny.SENTENCES):
        total = reference(text.split())[:, 0].sum()
        assert found["surprisal"][row, 0] == pytest.approx(total, rel=1e-5)
        tokens = len(tokenizer(text).input_ids)
        assert found["mean_surprisal"][row, 0] == pytest.approx(total / tokens, rel=1e-5)


def test_a_learned_text_is_less_surprising(tmp_path, checkpoint):
    # Planted truth: after training on one sentence, its words come expected, another's don't.
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint("gpt2"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint("gpt2"))
    known = ["the", "cat", "sat", "on", "the", "mat"]
    ids = torch.tensor([[1, *tokenizer(" ".join(known)).input_ids]])
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    torch.manual_seed(0)
    for _ in range(60):
        optimizer.zero_grad()
        model(ids, labels=ids).loss.backward()
        optimizer.step()
    model.save_pretrained(tmp_path / "m")
    tokenizer.save_pretrained(tmp_path / "m")
    stimuli = running(known, ["the", "mat", "sat", "on", "the", "cat"])
    found = extract(surprisal, section(tmp_path / "m"), stimuli)
    assert (found["surprisal"][:6] < 1).all()
    assert found["surprisal"][7] > 3  # mat, where cat is expected
    np.testing.assert_allclose(found["entropy"][6], found["entropy"][0])


def test_layers_are_chosen(checkpoint):
    found = extract(surprisal, section(checkpoint("gpt2"), layers=["entropy"]), running(WORDS[:3]))
    assert list(found) == ["entropy"]
    with pytest.raises(FornixError, match="no layer matches"):
        extract(surprisal, section(checkpoint("gpt2"), layers=["block1"]), running(WORDS[:3]))


def test_without_a_start_token_the_first_is_as_likely_as_any(tmp_path, checkpoint):
    folder = tmp_path / "m"
    transformers.AutoModelForCausalLM.from_pretrained(checkpoint("gpt2")).save_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint("gpt2"))
    tokenizer.bos_token = tokenizer.eos_token = None
    tokenizer.save_pretrained(folder)
    notes = []
    found = extract(surprisal, section(folder), running(["the", "cat"]), notes=notes)
    assert "no start token" in " ".join(notes)
    assert found["surprisal"][0, 0] == pytest.approx(np.log2(300), rel=1e-6)
    assert found["entropy"][0, 0] == pytest.approx(np.log2(300), rel=1e-6)
    assert np.isfinite(found["surprisal"]).all()


def test_a_masked_model_is_refused(checkpoint):
    with pytest.raises(FornixError, match="no causal language model"):
        extract(surprisal, section(checkpoint("bert")), running(WORDS))


def test_a_model_that_reads_ahead_is_caught_in_the_act(checkpoint):
    one = section(checkpoint("gpt2"))
    with surprisal.open_extractor(one, running(WORDS), Context(root=Path())) as extractor:
        forward = extractor.model.forward

        def ahead(input_ids, attention_mask):
            found = forward(input_ids=input_ids, attention_mask=attention_mask)
            found.logits = found.logits + input_ids[:, -1, None, None] * torch.arange(300) % 7
            return found

        extractor.model.forward = ahead
        with pytest.raises(FornixError, match="no causal language model"):
            extractor.check_causal()


def test_pictures_are_refused(checkpoint, images):
    with pytest.raises(FornixError):
        extract(surprisal, section(checkpoint("gpt2")), *images)


def test_words_that_come_later_cost_only_themselves(checkpoint, tmp_path):
    made = []
    for name, words in (("first", WORDS), ("more", WORDS * 2)):
        stimuli = running(words)
        with create(Target(tmp_path / "ingest" / name), Recipe("ingest", {}, {})) as draft:
            draft.write_table("stimuli", stimuli)
        target = Target(tmp_path / "features" / name)
        inputs = {"root": tmp_path, "ingest": tmp_path / "ingest" / name}
        features.run(section(checkpoint("gpt2")), inputs, target, tiny.CPU)
        made.append(open_artifact(target.path))
    first, more = (one.dataset("features") for one in made)
    assert more["surprisal"].dims == ("stimulus", "feature:surprisal")
    assert made[1].manifest["notes"]["rows_taken"] == len(WORDS)
    whole = extract(surprisal, section(checkpoint("gpt2")), running(WORDS * 2))
    np.testing.assert_array_equal(more["surprisal"][: len(WORDS)], first["surprisal"])
    np.testing.assert_allclose(more["surprisal"].values, whole["surprisal"], rtol=1e-5)
