"""Classical features of sounds, clips and pictures: planted tones, gratings and colours."""

from __future__ import annotations

import av
import moten
import numpy as np
import pandas as pd
import pytest
import soundfile
import tiny
from extracting import extract
from PIL import Image
from scipy.signal import butter, sosfiltfilt
from skimage.color import rgb2lab

from fornix.errors import FornixError
from fornix.features import colour, envelope, hog, motion_energy, spectrogram
from fornix.features.stretches import average
from fornix.study.features.colour import ColourFeatures
from fornix.study.features.envelope import EnvelopeFeatures
from fornix.study.features.hog import HogFeatures
from fornix.study.features.motion_energy import MotionEnergyFeatures
from fornix.study.features.spectrogram import SpectrogramFeatures

RATE = 16_000


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


def grating(folder, name, direction, cycles, hertz, *, seconds=1.5, fps=15, side=48):
    """Write a clip of a drifting grating; direction in degrees, cycles a picture."""
    rows, columns = np.mgrid[:side, :side] / side
    angle = np.deg2rad(direction)
    with av.open(str(folder / name), "w") as container:
        stream = container.add_stream("ffv1", rate=fps)
        stream.width = stream.height = side
        stream.pix_fmt = "bgr0"
        for at in range(round(seconds * fps)):
            along = columns * np.cos(angle) + rows * np.sin(angle)
            light = 0.5 + 0.4 * np.cos(2 * np.pi * (cycles * along - hertz * at / fps))
            pixels = np.repeat((255 * light).round().astype(np.uint8)[..., None], 3, 2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return {"stimulus": name, "modality": "video", "path": name, "digest": name}


def test_direction_and_speed_of_a_drifting_grating_are_found(tmp_path):
    planted = [(0, 4, 2.0), (180, 4, 2.0), (90, 8, 4.0)]
    rows = [grating(tmp_path, f"{i}.mkv", *one) for i, one in enumerate(planted)]
    section = MotionEnergyFeatures(
        kind="motion_energy", dataset="d", size=48, n_directions=4,
        spatial_frequencies=[4.0, 8.0], temporal_frequencies=[2.0, 4.0],
    )  # fmt: skip
    found = extract(motion_energy, section, pd.DataFrame(rows), tmp_path)["motion_energy"]
    filters = moten.pyramids.MotionEnergyPyramid(
        stimulus_vhsize=(48, 48), stimulus_fps=15, temporal_frequencies=[2.0, 4.0],
        spatial_frequencies=[4.0, 8.0], spatial_directions=[0.0, 90.0, 180.0, 270.0],
    ).filters  # fmt: skip
    best = [filters[one.argmax()] for one in found]
    answers = [(b["direction"], b["spatial_freq"], b["temporal_freq"]) for b in best]
    assert [a[1:] for a in answers] == [p[1:] for p in planted]
    assert (answers[0][0] - answers[1][0]) % 360 == 180
    assert (answers[0][0] - answers[2][0]) % 180 == 90


def test_motion_energy_is_the_same_wherever_a_clip_is_cut(tmp_path):
    table = pd.DataFrame([grating(tmp_path, "a.mkv", 45, 4, 2.0, seconds=4)])
    section = MotionEnergyFeatures(
        kind="motion_energy", dataset="d", size=24, n_directions=2, rate=5.0,
        spatial_frequencies=[2.0, 4.0], temporal_frequencies=[0.0, 2.0],
    )  # fmt: skip
    whole = extract(motion_energy, section, table, tmp_path)["motion_energy"]
    parts = extract(motion_energy, section, table, tmp_path, cuts=[4, 11])["motion_energy"]
    assert whole.shape[0] == 20
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-4)


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
        (motion_energy, MotionEnergyFeatures(kind="motion_energy", dataset="d")),
        (colour, ColourFeatures(kind="colour", dataset="d")),
    ],
)
def test_stimuli_of_another_kind_are_named(kind, section):
    with pytest.raises(FornixError, match=f"{section.kind} needs"):
        extract(kind, section, tiny.texts())
