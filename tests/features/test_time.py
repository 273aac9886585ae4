"""Features in time: words with those before them, sounds and clips on a grid."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import soundfile
import tiny
import torch
import transformers
from extracting import extract

from fornix.errors import FornixError
from fornix.features import huggingface
from fornix.features.clips import clip_info, load_frames
from fornix.features.sounds import load_sound, sound_duration
from fornix.features.timegrid import frames_table, piece_length, pieces

EXACT = {"rtol": 1e-5, "atol": 1e-5}
TEXT = "the cat sat on the small table and the dog ran after the ball"
WORDS = TEXT.split()


def words(passages):
    """Return the stimulus table of words in running text."""
    rows = [
        {"stimulus": f"{name}-{at}", "modality": "word", "path": None, "text": word,
         "digest": f"{name}{at}", "passage": name, "position": at}
        for name, text in passages.items() for at, word in enumerate(text)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize("name", ["gpt2", "bert"])
@pytest.mark.parametrize("context", [0, 3])
def test_a_word_is_read_with_those_before_it_and_none_after(checkpoint, name, context):
    table = words({"a": WORDS, "b": WORDS[::-1]})
    found = extract(huggingface, tiny.section(checkpoint(name), context=context), table)
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint(name))
    model = transformers.AutoModel.from_pretrained(checkpoint(name)).eval()
    for row, at, text in ((4, 4, WORDS), (0, 0, WORDS), (len(WORDS) + 5, 5, WORDS[::-1])):
        before = " ".join(text[max(0, at - context) : at])
        whole = f"{before} {text[at]}" if before else text[at]
        tokens = tokenizer(whole, return_tensors="pt")
        tokens.pop("token_type_ids", None)
        with torch.inference_mode():
            states = model(**tokens, output_hidden_states=True).hidden_states
        ids = tokens["input_ids"][0].tolist()
        alone = tokenizer(f" {text[at]}" if before else text[at], add_special_tokens=False)
        n_own = len(alone["input_ids"])
        last = len(ids) - (1 if name == "bert" else 0)  # BERT ends with a separator
        assert ids[last - n_own : last] == alone["input_ids"]
        for layer, state in zip(found, states, strict=False):
            expected = state[0, last - n_own : last].mean(0)
            np.testing.assert_allclose(found[layer][row], expected.numpy(), **EXACT)


@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_a_window_is_all_that_is_read_with_a_word(checkpoint, name):
    table = words({"a": WORDS})
    readouts = ["mean", "window"]
    section = tiny.section(checkpoint(name), context=3, readouts=readouts, batch_size=2)
    found = extract(huggingface, section, table)
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint(name))
    model = transformers.AutoModel.from_pretrained(checkpoint(name)).eval()
    for at in (0, 2, 5):
        tokens = tokenizer(" ".join(WORDS[max(0, at - 3) : at + 1]), return_tensors="pt")
        tokens.pop("token_type_ids", None)
        with torch.inference_mode():
            states = model(**tokens, output_hidden_states=True).hidden_states
        for layer, state in enumerate(states):
            read = f"block{layer}@window" if layer else "embeddings@window"
            np.testing.assert_allclose(found[read][at], state[0].mean(0).numpy(), **EXACT)
    assert not np.allclose(found["block1@window"][5], found["block1@mean"][5], atol=1e-3)


def test_a_window_of_what_is_read_whole_is_refused(checkpoint, tmp_path):
    for name, table in (("gpt2", tiny.texts()), ("wav2vec2", tiny.sounds(tmp_path))):
        section = tiny.section(checkpoint(name), readouts=["window"])
        with pytest.raises(FornixError, match="the readout window isn't defined"):
            extract(huggingface, section, table, tmp_path)


def test_words_after_change_nothing_and_words_before_do(checkpoint):
    section = tiny.section(checkpoint("gpt2"), context=4)
    whole = extract(huggingface, section, words({"a": WORDS}))["block2"]
    changed = [*WORDS[:6], "garden", *WORDS[7:]]
    other = extract(huggingface, section, words({"a": changed}))["block2"]
    np.testing.assert_array_equal(other[:6], whole[:6])
    assert (other[6:11] != whole[6:11]).any(1).all()
    np.testing.assert_allclose(other[11:], whole[11:], **EXACT)  # four words later


def test_context_that_is_too_long_is_cut_at_its_beginning(checkpoint):
    text = WORDS * 3  # BERT here takes 12 tokens
    found = extract(huggingface, tiny.section(checkpoint("bert")), words({"a": text}))
    some = extract(huggingface, tiny.section(checkpoint("bert"), context=9), words({"a": text}))
    assert np.isfinite(found["block3"]).all()
    np.testing.assert_allclose(found["block3"][-1], some["block3"][-1], **EXACT)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(found["block3"][5], found["block3"][5 + len(WORDS)], **EXACT)


def test_digests_of_words_follow_from_what_is_read(checkpoint):
    from fornix.features.extractor import Context

    section = tiny.section(checkpoint("gpt2"), context=2)
    table = words({"a": WORDS, "b": ["my", *WORDS]})
    rows = huggingface.table(section, table, Context(root=None))
    first, second = rows[rows.passage == "a"], rows[rows.passage == "b"]
    assert first["digest"].tolist()[2:] == second["digest"].tolist()[3:]
    assert first["digest"].iloc[0] != second["digest"].iloc[1]


def test_sounds_on_a_grid_are_means_of_their_tokens(checkpoint, tmp_path):
    table = tiny.sounds(tmp_path, (1.0, 0.5))
    section = tiny.section(checkpoint("wav2vec2"), rate=4.0)
    found = extract(huggingface, section, table, tmp_path, cuts=[2])
    assert len(found["block1"]) == 4 + 2
    whole = extract(
        huggingface, tiny.section(checkpoint("wav2vec2"), readouts=["tokens"]), table.iloc[:1],
        tmp_path,
    )["block1"][0]  # fmt: skip
    per_second = len(whole)
    middles = (np.arange(per_second) + 0.5) / per_second
    for at in range(4):
        inside = (middles >= at / 4) & (middles < (at + 1) / 4)
        np.testing.assert_allclose(found["block1"][at], whole[inside].mean(0), **EXACT)


def test_long_sounds_go_through_the_model_in_pieces(checkpoint, tmp_path):
    table = tiny.sounds(tmp_path, (1.5,))
    with pytest.raises(FornixError, match=r"the sound lasts 1\.5 s") as caught:
        extract(huggingface, tiny.section(checkpoint("wav2vec2"), window=1.0), table, tmp_path)
    assert "give rate" in caught.value.mend
    section = tiny.section(checkpoint("wav2vec2"), window=0.5, rate=4.0)
    found = extract(huggingface, section, table, tmp_path)["block2"]
    again = extract(huggingface, section, table, tmp_path, cuts=[1, 3])["block2"]
    np.testing.assert_allclose(again, found, **EXACT)  # wherever blocks are cut
    sound, rate = soundfile.read(tmp_path / "sound0.wav", dtype="float32")
    soundfile.write(tmp_path / "piece.wav", sound[rate // 2 : rate], rate, subtype="FLOAT")
    piece = table.assign(path="piece.wav")
    alone = extract(huggingface, section, piece, tmp_path)["block2"]
    np.testing.assert_allclose(found[2:4], alone, **EXACT)


def test_a_window_of_sound_goes_from_its_piece_to_the_row(checkpoint, tmp_path):
    table = tiny.sounds(tmp_path, (1.0,))
    section = tiny.section(checkpoint("wav2vec2"), rate=4.0, window=0.5, readouts=["window"])
    found = extract(huggingface, section, table, tmp_path)["block2"]
    halves = tiny.section(checkpoint("wav2vec2"), rate=2.0, window=0.5)
    np.testing.assert_allclose(
        found[[1, 3]], extract(huggingface, halves, table, tmp_path)["block2"], **EXACT
    )
    rows = tiny.section(checkpoint("wav2vec2"), rate=4.0, window=0.5)
    means = extract(huggingface, rows, table, tmp_path)["block2"]
    np.testing.assert_allclose(found[[0, 2]], means[[0, 2]], **EXACT)
    assert not np.allclose(found[1], means[1], atol=1e-3)


@pytest.mark.parametrize(("rate", "window"), [(5.0, 0.2), (10.0, 0.3), (4.0, 0.6)])
def test_each_row_hears_its_own_piece(checkpoint, tmp_path, rate, window):
    """0.6 // 0.2 is 2, and a piece of 0.6 s holds two rows of 0.25 s, whatever is asked for."""
    table = tiny.sounds(tmp_path, (1.5,))
    section = tiny.section(checkpoint("wav2vec2"), rate=rate, window=window)
    found = extract(huggingface, section, table, tmp_path)["block2"]
    sound, hz = soundfile.read(tmp_path / "sound0.wav", dtype="float32")
    rows = int(window * rate + 1e-6)
    length = rows / rate
    for number in range(int(1.5 / length + 1e-6)):
        start = round(number * length * hz)
        part = sound[start : round((number + 1) * length * hz)]
        soundfile.write(tmp_path / "piece.wav", part, hz, subtype="FLOAT")
        alone = tiny.section(checkpoint("wav2vec2"), rate=rate, window=length)
        piece = extract(huggingface, alone, table.assign(path="piece.wav"), tmp_path)["block2"]
        np.testing.assert_allclose(found[number * rows :][:rows], piece, **EXACT)


@pytest.mark.parametrize(
    ("window", "rate", "default", "expected"),
    [(None, None, 30, 30), (None, 1 / 1.5, 2, 1.5), (None, 1 / 0.72, 30, 41 * 0.72),
     (None, 0.25, 2, 4), (5, 1, 2, 5), (0.6, 4, 2, 0.5)],
)  # fmt: skip
def test_pieces_hold_whole_rows(window, rate, default, expected):
    assert np.isclose(piece_length(window, rate, default, "here"), expected)


def test_a_window_shorter_than_a_row_is_refused(checkpoint, tmp_path):
    section = tiny.section(checkpoint("wav2vec2"), rate=1.0, window=0.5)
    with pytest.raises(FornixError, match=r"0\.5 s can't hold a row of 1 s"):
        extract(huggingface, section, tiny.sounds(tmp_path), tmp_path)


@pytest.mark.parametrize("name", ["clap", "timesformer"])
def test_tokens_that_are_not_in_time_need_a_piece_a_row(checkpoint, tmp_path, name):
    make = {"clap": (tiny.sounds, (1.0, 0.5)), "timesformer": (tiny.clips, (4, 2))}[name]
    table = make[0](tmp_path, make[1])
    with pytest.raises(FornixError, match="aren't one after the other in time") as caught:
        extract(huggingface, tiny.section(checkpoint(name), rate=2.0), table, tmp_path)
    assert "1 / rate" in caught.value.mend
    alone = tiny.section(checkpoint(name), rate=2.0, window=0.5)
    found = extract(huggingface, alone, table, tmp_path)
    whole = extract(huggingface, tiny.section(checkpoint(name)), table.iloc[1:], tmp_path)
    for layer, values in found.items():
        assert len(values) == 3
        np.testing.assert_allclose(values[2:], whole[layer], **EXACT, err_msg=layer)


def test_maps_of_places_have_no_time(checkpoint, tmp_path):
    table = tiny.clips(tmp_path)
    layers = ["embeddings.patch_embeddings.projection"]
    section = tiny.section(checkpoint("videomae"), rate=2.0, layers=layers)
    with pytest.raises(FornixError, match="can't be read on a grid of time"):
        extract(huggingface, section, table, tmp_path)


def test_whisper_reads_silence_after_a_short_sound_and_it_does_not_count(checkpoint, tmp_path):
    table = tiny.sounds(tmp_path, (1.0,))
    found = extract(huggingface, tiny.section(checkpoint("whisper"), rate=2.0), table, tmp_path)
    assert len(found["block1"]) == 2
    tokens = extract(
        huggingface, tiny.section(checkpoint("whisper"), readouts=["tokens"]), table, tmp_path
    )["block1"][0]  # fmt: skip
    assert len(tokens) == 100  # two seconds, always
    np.testing.assert_allclose(found["block1"][1], tokens[25:50].mean(0), **EXACT)


def test_clips_on_a_grid(checkpoint, tmp_path):
    table = tiny.clips(tmp_path, (8, 4))  # at 4 frames a second
    section = tiny.section(checkpoint("videomae"), rate=2.0, window=1.0)
    found = extract(huggingface, section, table, tmp_path)["block3"]
    assert len(found) == 4 + 2
    tokens = extract(
        huggingface, tiny.section(checkpoint("videomae"), readouts=["flatten"]), table.iloc[1:],
        tmp_path,
    )["block3"].reshape(2, 16, 16)  # fmt: skip
    # Two steps in time of 4 x 4 places: half a second each.
    np.testing.assert_allclose(found[4:], tokens.mean(1), **EXACT)


def test_sounds_are_resampled_and_mixed(tmp_path):
    rate = 44_100
    times = np.arange(rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * times)
    soundfile.write(tmp_path / "tone.wav", np.stack([tone, 0 * tone], 1), rate, subtype="FLOAT")
    found = load_sound(tmp_path / "tone.wav", 16_000)
    assert found.dtype == np.float32
    expected = 0.25 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(found[1000:15_000], expected[1000:15_000], atol=1e-3)
    part = load_sound(tmp_path / "tone.wav", 16_000, 0.5, 0.75)
    assert len(part) == 4000
    assert sound_duration(tmp_path / "tone.wav") == pytest.approx(1.0)


def test_frames_are_those_shown_at_a_time(tmp_path):
    table = tiny.clips(tmp_path, (9,))
    path = tmp_path / table["path"][0]
    frames = tiny.frames_of(path, 9)
    info = clip_info(path)
    assert (info.width, info.height, info.rate) == (32, 32, 4.0)
    assert info.duration == pytest.approx(2.25, abs=0.01)
    found = load_frames(path, np.array([0.0, 0.24, 0.26, 1.6, 9.0]))
    for one, at in zip(found, (0, 0, 1, 6, 8), strict=True):
        np.testing.assert_array_equal(one, frames[at])
    later = load_frames(path, np.array([1.1, 1.3]))
    np.testing.assert_array_equal(later, np.stack([frames[4], frames[5]]))


@pytest.mark.parametrize("content", [b"", b"not media at all"])
def test_broken_sounds_and_clips_are_named(tmp_path, content):
    for name, read in (("a.wav", sound_duration), ("a.mp4", clip_info)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FornixError, match="can't be read") as caught:
            read(tmp_path / name)
        assert name in caught.value.where


def test_a_clip_without_pictures_or_sound(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 1000)
    (tmp_path / "a.mkv").write_bytes((tmp_path / "a.wav").read_bytes())
    with pytest.raises(FornixError, match="no video stream"):
        clip_info(tmp_path / "a.mkv")
    table = tiny.clips(tmp_path, (2,))
    with pytest.raises(FornixError, match="no sound track"):
        load_sound(tmp_path / table["path"][0], 16_000)


def test_rows_of_time(tmp_path):
    table = tiny.sounds(tmp_path, (1.0, 0.55))
    rows = frames_table(table, tmp_path, 10.0)
    assert rows["stimulus"].tolist() == ["sound0.wav"] * 10 + ["sound1.wav"] * 6
    np.testing.assert_allclose(rows["time"][:10], np.arange(10) / 10)
    assert rows["digest"].nunique() == 2
    sizes = [len(one) for one in pieces(rows, 0.4)]
    assert sizes == [4, 4, 2, 4, 2]
