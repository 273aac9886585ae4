"""Classical features of sounds, clips and pictures: planted tones, gratings and colours."""

from __future__ import annotations

import av
import numpy as np
import pandas as pd
import pytest
import soundfile
import tiny
from extracting import extract
from PIL import Image
from scipy.signal import butter, sosfiltfilt, stft
from skimage.color import rgb2lab
from skimage.feature import hog as reference_hog
from transformers.audio_utils import mel_filter_bank
from transformers.audio_utils import spectrogram as reference_spectrogram

from fornix.errors import FornixError
from fornix.features import colour, envelope, hog, spectrogram
from fornix.features.stretches import average
from fornix.study.features.colour import ColourFeatures
from fornix.study.features.envelope import EnvelopeFeatures
from fornix.study.features.hog import HogFeatures
from fornix.study.features.spectrogram import SpectrogramFeatures

RATE = 16_000
RED_AND_BLUE = (200, 30, 30), (20, 60, 220)


def sound(folder, values, name="a.wav", rate=RATE):
    soundfile.write(folder / name, values, rate, subtype="FLOAT")
    row = {"stimulus": name, "modality": "audio", "path": name, "digest": name}
    return pd.DataFrame([row])


def test_a_tone_is_found_at_its_frequency_and_level(tmp_path):
    times = np.arange(2 * RATE) / RATE
    tone = np.where(times < 1, 0.5 * np.sin(2 * np.pi * 1000 * times), 0.0)
    section = SpectrogramFeatures(kind="spectrogram", dataset="d", rate=10.0)
    found = extract(spectrogram, section, sound(tmp_path, tone), tmp_path)
    assert found["spectrogram"].shape == (20, 201)
    assert (found["spectrogram"][1:9].argmax(1) == 1000 / (RATE / 2) * 200).all()
    np.testing.assert_allclose(found["spectrogram"][2:8].max(1), 20 * np.log10(0.5), atol=0.1)
    assert (found["spectrogram"][12:] == -80).all()
    bands = spectrogram.mel_bands(section)
    np.testing.assert_allclose(bands.sum(0), 1)
    assert abs(found["mel"][4].argmax() - bands[25].argmax()) <= 1


def test_the_spectrogram_is_that_of_the_whole_sound_wherever_it_is_cut(tmp_path, monkeypatch):
    values = 0.1 * np.random.default_rng(0).standard_normal(3 * RATE)
    section = SpectrogramFeatures(kind="spectrogram", dataset="d", rate=20.0)
    table = sound(tmp_path, values)
    whole = extract(spectrogram, section, table, tmp_path)
    parts = extract(spectrogram, section, table, tmp_path, cuts=[7, 31])
    for name, one in whole.items():
        np.testing.assert_allclose(parts[name], one, rtol=1e-4, atol=1e-3)
    mean = section.model_copy(update={"rate": None})
    once = extract(spectrogram, mean, table, tmp_path)
    monkeypatch.setattr("fornix.features.stretches.WINDOW_S", 0.5)
    pieces = extract(spectrogram, mean, table, tmp_path)
    np.testing.assert_allclose(pieces["mel"], once["mel"], rtol=1e-4)
    np.testing.assert_allclose(once["mel"][0], whole["mel"].mean(0), atol=0.1)


def test_the_envelope_of_modulated_noise_is_its_modulation(tmp_path):
    rng = np.random.default_rng(0)
    slow = butter(2, 4 / (RATE / 2), output="sos")
    planted = 0.5 + 0.4 * np.tanh(200 * sosfiltfilt(slow, rng.standard_normal(6 * RATE)) / 3)
    noise = planted * rng.standard_normal(6 * RATE) * 0.1
    section = EnvelopeFeatures(kind="envelope", dataset="d", rate=50.0)
    table = sound(tmp_path, noise)
    found = extract(envelope, section, table, tmp_path)
    truth = planted.reshape(300, -1).mean(1)
    assert np.corrcoef(found["envelope"][:, 0], truth)[0, 1] > 0.95
    shuffled = rng.permutation(truth)
    assert abs(np.corrcoef(found["envelope"][:, 0], shuffled)[0, 1]) < 0.2
    rises = np.maximum(np.gradient(truth), 0)
    assert np.corrcoef(found["onset"][:, 0], rises)[0, 1] > 0.7
    parts = extract(envelope, section, table, tmp_path, cuts=[100, 220])
    np.testing.assert_allclose(parts["envelope"], found["envelope"], atol=1e-3)


def test_sound_tracks_of_clips_are_read(tmp_path):
    values = (0.3 * np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE)).astype(np.float32)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        pcm = (values * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    row = {"stimulus": "a", "modality": "video", "path": "a.mkv", "digest": "a"}
    section = SpectrogramFeatures(kind="spectrogram", dataset="d", layers=["spectrogram"])
    found = extract(spectrogram, section, pd.DataFrame([row]), tmp_path)["spectrogram"]
    assert found[0].argmax() == round(500 / (RATE / 2) * 200)


def test_colours_are_those_of_cielab(tmp_path):
    values = np.zeros((8, 8, 3), np.uint8)
    values[:, :4], values[:, 4:] = (200, 30, 30), (20, 60, 220)
    Image.fromarray(values).save(tmp_path / "a.png")
    table = pd.DataFrame([{"stimulus": "a", "modality": "image", "path": "a.png", "digest": "a"}])
    section = ColourFeatures(kind="colour", dataset="d", size=8, grid=2, bins=4)
    found = extract(colour, section, table, tmp_path)
    lab = rgb2lab(values)
    np.testing.assert_allclose(found["mean"][0], lab.mean((0, 1)), rtol=1e-4)
    grid = found["grid"][0].reshape(2, 2, 3)
    np.testing.assert_allclose(grid[:, 0], [lab[0, 0]] * 2, rtol=1e-4)
    np.testing.assert_allclose(grid[:, 1], [lab[0, 7]] * 2, rtol=1e-4)
    histogram = found["histogram"].reshape(3, 4)
    np.testing.assert_allclose(histogram.sum(1), 1)
    assert set(histogram[1]) == {0.0, 0.5}


def test_the_last_row_is_the_mean_of_what_there_is(tmp_path):
    values = 0.1 * np.random.default_rng(0).standard_normal(round(1.1 * RATE))
    table = sound(tmp_path, values)
    section = SpectrogramFeatures(kind="spectrogram", dataset="d", rate=2.0)
    found = extract(spectrogram, section, table, tmp_path)["mel"]
    assert len(found) == 3
    np.testing.assert_allclose(found[2].mean(), found[1].mean(), atol=1)  # dB: no silence in it
    loud = EnvelopeFeatures(kind="envelope", dataset="d", rate=2.0, layers=["envelope"])
    found = extract(envelope, loud, table, tmp_path)["envelope"]
    np.testing.assert_allclose(found[2], found[1], rtol=0.1)


@pytest.mark.parametrize("rate", [1.7, 7.3, 100.0])
def test_any_rate_gives_the_same_wherever_blocks_are_cut(tmp_path, rate):
    values = 0.1 * np.random.default_rng(0).standard_normal(round(2.345 * RATE))
    section = SpectrogramFeatures(kind="spectrogram", dataset="d", rate=rate)
    table = sound(tmp_path, values)
    whole = extract(spectrogram, section, table, tmp_path)["mel"]
    cuts = sorted({1, 2, len(whole) // 2, len(whole) - 1})
    parts = extract(spectrogram, section, table, tmp_path, cuts=cuts)["mel"]
    np.testing.assert_allclose(parts, whole, atol=1e-2)


def test_the_spectrogram_is_the_short_time_transform_of_scipy(tmp_path):
    values = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    section = SpectrogramFeatures(kind="spectrogram", dataset="d", rate=100.0)
    found = extract(spectrogram, section, sound(tmp_path, values), tmp_path)
    _, _, reference = stft(
        values, RATE, "hann", 400, 240, boundary="zeros", padded=True, scaling="spectrum"
    )
    power = (2 * np.abs(reference)) ** 2
    expected = 10 * np.log10(power[:, 5:90]).T
    np.testing.assert_allclose(found["spectrogram"][5:90], np.maximum(expected, -80), atol=0.01)


def test_the_mel_spectrogram_is_that_of_whisper(tmp_path):
    values = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    section = SpectrogramFeatures(kind="spectrogram", dataset="d", rate=100.0)
    found = extract(spectrogram, section, sound(tmp_path, values), tmp_path)["mel"]
    bands = mel_filter_bank(201, 80, 0, 8000, RATE, norm="slaney", mel_scale="slaney")
    theirs = reference_spectrogram(
        values, np.hanning(401)[:-1], 400, 160, fft_length=400, power=2.0, mel_filters=bands,
        mel_floor=1e-12, pad_mode="constant",
    )  # fmt: skip
    level = 10 * np.log10(theirs[:, 5:90]).T
    offset = level.mean(0) - found[5:90].mean(0)  # scales differ by a constant a band
    np.testing.assert_allclose(found[5:90] + offset, level, atol=0.01)


def test_mel_bands_without_a_frequency_are_told(tmp_path):
    section = SpectrogramFeatures(kind="spectrogram", dataset="d", n_mels=200)
    notes = []
    extract(spectrogram, section, sound(tmp_path, np.ones(RATE)), tmp_path, notes=notes)
    assert "of 200 mel bands lie between two frequencies" in notes[0]
    notes = []
    usual = section.model_copy(update={"n_mels": 80})
    extract(spectrogram, usual, sound(tmp_path, np.ones(RATE)), tmp_path, notes=notes)
    assert notes == []


def test_colours_of_frames_follow_the_film(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 40, 20, "bgr0"
        for at in range(25):
            pixels = np.full((20, 40, 3), (200, 30, 30) if at < 10 else (20, 60, 220), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    row = {"stimulus": "a", "modality": "video", "path": "a.mkv", "digest": "a"}
    section = ColourFeatures(kind="colour", dataset="d", rate=2.0, layers=["mean"])
    found = extract(colour, section, pd.DataFrame([row]), tmp_path, cuts=[3])["mean"]
    red, blue = (rgb2lab(np.array([[one]], np.uint8))[0, 0] for one in RED_AND_BLUE)
    np.testing.assert_allclose(found, [red] * 2 + [blue] * 3, atol=0.1)
    once = section.model_copy(update={"rate": None})
    mean = extract(colour, once, pd.DataFrame([row]), tmp_path)["mean"]
    np.testing.assert_allclose(mean[0], (10 * red + 15 * blue) / 25, atol=0.1)
    edges = HogFeatures(kind="hog", dataset="d", rate=2.0)
    found = extract(hog, edges, pd.DataFrame([row]), tmp_path)["hog"]
    assert len(found) == 5


def test_only_the_picture_counts_whatever_its_shape(tmp_path):
    Image.new("RGB", (90, 30), (200, 30, 30)).save(tmp_path / "a.png")
    table = pd.DataFrame([{"stimulus": "a", "modality": "image", "path": "a.png", "digest": "a"}])
    section = ColourFeatures(kind="colour", dataset="d")
    found = extract(colour, section, table, tmp_path)
    red = rgb2lab(np.array([[RED_AND_BLUE[0]]], np.uint8))[0, 0]
    np.testing.assert_allclose(found["mean"][0], red, atol=0.01)
    assert (found["histogram"].reshape(3, -1).max(1) == 1).all()
    with pytest.raises(FornixError, match="no rows in time"):
        extract(colour, section.model_copy(update={"rate": 2.0}), table, tmp_path)


def test_hog_is_scikit_images(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    table = pd.DataFrame([{"stimulus": "a", "modality": "image", "path": "a.png", "digest": "a"}])
    section = HogFeatures(kind="hog", dataset="d", size=64, cell=8, block=3)
    found = extract(hog, section, table, tmp_path)["hog"][0]
    expected = reference_hog(
        pixels / 255, 9, (8, 8), (3, 3), block_norm="L2-Hys", feature_vector=True
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("section", "settings", "says"),
    [
        (SpectrogramFeatures, {"kind": "spectrogram", "rate": 200.0}, "hop must be 0.005 s"),
        (SpectrogramFeatures, {"kind": "spectrogram", "f_max": 9000.0}, "don't fit below half"),
        (EnvelopeFeatures, {"kind": "envelope", "rate": 2e4}, "more than the sampling_rate"),
        (ColourFeatures, {"kind": "colour", "grid": 65}, "more than the 64 pixels"),
        (HogFeatures, {"kind": "hog", "cell": 100}, "larger than the picture"),
    ],
)
def test_settings_that_cannot_be_met_are_told(section, settings, says):
    with pytest.raises(ValueError, match=says):
        section(dataset="d", **settings)


def test_gradients_follow_orientation(tmp_path):
    rows = []
    for name, stripes in (("vertical", (1, 0)), ("horizontal", (0, 1))):
        y, x = np.mgrid[:64, :64]
        light = 127 + 100 * np.sin((x * stripes[0] + y * stripes[1]) / 2)
        Image.fromarray(light.astype(np.uint8)).save(tmp_path / f"{name}.png")
        rows.append({"stimulus": name, "modality": "image", "path": f"{name}.png", "digest": name})
    section = HogFeatures(kind="hog", dataset="d", size=64, n_orientations=2)
    found = extract(hog, section, pd.DataFrame(rows), tmp_path)["hog"].reshape(2, -1, 2)
    share = found.mean(1)
    assert share[0, 0] > 5 * share[0, 1] or share[0, 1] > 5 * share[0, 0]
    assert share[0].argmax() != share[1].argmax()


def test_bins_take_the_nearest_sample_where_they_hold_none():
    values = np.arange(4, dtype=np.float32)[:, None]
    times = np.array([0.0, 0.25, 0.5, 0.75])
    found = average(values, times, np.array([0.0, 0.5]), 0.5)
    np.testing.assert_array_equal(found[:, 0], [0.5, 2.5])
    fine = average(values, times, np.array([0.0, 0.1, 0.2]), 0.1)
    np.testing.assert_array_equal(fine[:, 0], [0, 1, 1])


@pytest.mark.parametrize(
    ("kind", "section"),
    [
        (spectrogram, SpectrogramFeatures(kind="spectrogram", dataset="d")),
        (colour, ColourFeatures(kind="colour", dataset="d")),
    ],
)
def test_stimuli_of_another_kind_are_named(kind, section):
    with pytest.raises(FornixError, match=f"{section.kind} needs"):
        extract(kind, section, tiny.texts())
