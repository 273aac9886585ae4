"""Sounds and clips of every container: the right samples and frames at the right times."""

from __future__ import annotations

import av
import numpy as np
import pandas as pd
import pytest
import soundfile
import tiny
from extracting import extract

from fornix.errors import FornixError
from fornix.features import huggingface
from fornix.features.clips import clip_info, load_frames
from fornix.features.sounds import load_sound, sound_duration
from fornix.features.timegrid import frames_table

FPS = 10
N_FRAMES = 40
GREY = 6
"""Grey levels from a frame to the next, so that a frame's own says its number."""

RATE = 44_100
CLICKS = (1.0, 2.0, 3.0)
TRACKS = {".webm": ("libopus", 48_000), ".avi": ("pcm_s16le", RATE)}


def write_clip(path, *, codec="libx264", n_frames=N_FRAMES, sound=False, begins=0.0):
    """Write a clip whose frames say their numbers, perhaps with clicks at whole seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS)
        stream.width, stream.height = 32, 48
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 2_000_000
        if codec in ("libx264", "mpeg4"):  # frames aren't stored in the order they are shown in
            stream.options = {"bf": "2", "b_strategy": "0", "g": "12"}
        track = _add_track(container, path.suffix) if sound else None
        for at in range(n_frames):
            pixels = np.full((48, 32, 3), GREY * at, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
        if track is not None:
            _write_clicks(container, track, begins, n_frames / FPS)


def _add_track(container, suffix):
    codec, rate = TRACKS.get(suffix, ("aac", RATE))
    return container.add_stream(codec, rate=rate, layout="mono")


def _write_clicks(container, track, begins, seconds):
    rate = track.rate
    values = np.zeros(round(seconds * rate), np.float32)
    for click in CLICKS:
        values[round((click - begins) * rate) :][:30] = 0.9
    whole = av.AudioFrame.from_ndarray(values[None], format="fltp", layout="mono")
    whole.sample_rate = rate
    convert = av.AudioResampler(format=track.format, layout="mono", rate=rate)
    fifo = av.AudioFifo()
    for frame in convert.resample(whole):
        frame.pts = None
        fifo.write(frame)
    at = round(begins * rate)
    while (frame := fifo.read(track.codec_context.frame_size or 1024, partial=True)) is not None:
        frame.pts = at
        at += frame.samples
        container.mux(track.encode(frame))
    container.mux(track.encode())


def write_sound(path, values):
    """Write a sound track without pictures."""
    with av.open(str(path), "w") as container:
        track = _add_track(container, path.suffix)
        whole = av.AudioFrame.from_ndarray(
            values[None].astype(np.float32), format="fltp", layout="mono"
        )
        whole.sample_rate = RATE
        fifo = av.AudioFifo()
        fifo.write(whole)
        while (frame := fifo.read(1024, partial=True)) is not None:
            container.mux(track.encode(frame))
        container.mux(track.encode())


def numbers(frames):
    """Return which frames these are."""
    return np.round(frames[:, 20, 10, 0] / GREY).astype(int).tolist()


CONTAINERS = [
    ("a.mp4", "libx264"),
    ("a.mkv", "libx264"),
    ("a.mov", "libx264"),
    ("a.avi", "libx264"),
    ("b.avi", "mpeg4"),
    ("a.webm", "libvpx-vp9"),
]


@pytest.mark.parametrize(("name", "codec"), CONTAINERS)
def test_frames_are_the_same_wherever_reading_begins(tmp_path, name, codec):
    path = tmp_path / name
    write_clip(path, codec=codec)
    info = clip_info(path)
    assert (info.width, info.height, info.rate) == (32, 48, FPS)
    assert info.duration == pytest.approx(N_FRAMES / FPS, abs=0.01)
    times = (np.arange(N_FRAMES) + 0.5) / FPS
    assert numbers(load_frames(path, times)) == list(range(N_FRAMES))
    for start in (3, 13, 24, 37):
        part = load_frames(path, times[start : start + 5])
        assert numbers(part) == list(range(start, min(start + 5, N_FRAMES)))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_frame_is_shown_from_its_time_on(tmp_path, name):
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)  # 1 / 30 s is no whole number of ms
        stream.width, stream.height, stream.pix_fmt = 32, 48, "yuv420p"
        for at in range(N_FRAMES):
            pixels = np.full((48, 32, 3), GREY * at, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    assert numbers(load_frames(path, np.arange(N_FRAMES) / 30)) == list(range(N_FRAMES))


def test_frames_are_prepared_one_by_one(tmp_path):
    write_clip(tmp_path / "a.mp4")
    calls = []

    def prepare(frame):
        calls.append(frame.shape)
        return frame.mean((0, 1))

    found = load_frames(tmp_path / "a.mp4", np.array([0.0, 0.01, 0.02, 0.5]), prepare)
    assert found.shape == (4, 3)
    assert calls == [(48, 32, 3)] * 2  # a frame that is shown twice is prepared once


def test_clips_are_turned_upright(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        pixels = np.zeros((32, 48, 3), np.uint8)
        pixels[:, :24] = 250  # left, as it was filmed
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    content = path.read_bytes()
    matrix = content.index(b"tkhd") + 4 + 40
    clockwise = np.array([0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    path.write_bytes(content[:matrix] + clockwise + content[matrix + len(clockwise) :])
    info = clip_info(path)
    assert (info.width, info.height) == (32, 48)
    shown = load_frames(path, np.array([0.1]))[0, ..., 0]
    assert shown.shape == (48, 32)
    assert shown[:20].min() > 200  # left has become the top
    assert shown[28:].max() < 50


@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.avi"])
def test_a_clip_that_is_cut_short_is_told(tmp_path, name):
    path = tmp_path / name
    codec = "libvpx-vp9" if name == "a.webm" else "mpeg4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        rng = np.random.default_rng(0)
        for _ in range(40):
            pixels = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    times = np.arange(40) / FPS
    assert len(load_frames(path, times)) == 40
    content = path.read_bytes()
    cut = tmp_path / f"cut{path.suffix}"
    cut.write_bytes(content[: len(content) // 2])
    if name == "a.avi":  # without its index: its frames are counted
        assert clip_info(cut).duration < 3
        return
    assert len(load_frames(cut, times[:5])) == 5
    for wanted in (times, times[35:]):
        with pytest.raises(FornixError, match=r"cut short: 4\.0 s by its header") as caught:
            load_frames(cut, wanted)
        assert caught.value.where == str(cut)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.webm", "a.avi"])
@pytest.mark.parametrize("begins", [0.0, 0.25])
def test_sound_tracks_are_in_time_with_the_pictures(tmp_path, name, begins):
    if name == "a.avi" and begins:
        pytest.skip("an AVI keeps no times")
    path = tmp_path / name
    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(path.suffix, "libx264")
    write_clip(path, codec=codec, sound=True, begins=begins)
    rate = 16_000
    whole = load_sound(path, rate)
    assert sound_duration(path) == pytest.approx(len(whole) / rate, abs=1 / rate)
    for click in CLICKS:
        around = whole[round((click - 0.1) * rate) : round((click + 0.1) * rate)]
        assert np.abs(around).argmax() / rate - 0.1 == pytest.approx(0, abs=0.002)
    if begins:
        assert np.abs(whole[: round(0.2 * rate)]).max() == 0
    part = load_sound(path, rate, 1.7, 2.4)
    assert len(part) == round(0.7 * rate)
    assert np.abs(part).argmax() / rate == pytest.approx(0.3, abs=0.002)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.m4a"])
@pytest.mark.parametrize("rate", [16_000, 22_050, RATE])
def test_a_stretch_is_that_part_of_the_whole(tmp_path, name, rate):
    path = tmp_path / name
    tone = np.sin(2 * np.pi * (100 + 200 * np.arange(4 * RATE) / RATE) * np.arange(4 * RATE) / RATE)
    if name == "a.m4a":
        write_sound(path, 0.3 * tone)
    else:
        soundfile.write(path, 0.3 * tone, RATE)
    whole = load_sound(path, rate)
    assert len(whole) == pytest.approx(4 * rate, rel=0.01)
    for start, stop in ((0.0, 1.0), (0.7, 2.1), (1.2345, 1.5), (3.0, 3.9)):
        part = load_sound(path, rate, start, stop)
        expected = whole[round(start * rate) : round(stop * rate)]
        np.testing.assert_allclose(part, expected, atol=2e-3 if name == "a.mp3" else 1e-4)


def test_no_clicks_between_the_packets_of_a_track(tmp_path):
    path = tmp_path / "a.mkv"  # its times are whole ms, and packets of AAC last 23.2 ms
    write_sound(path, 0.5 * np.sin(2 * np.pi * 200 * np.arange(2 * RATE) / RATE))
    found = load_sound(path, RATE)[RATE // 2 : -RATE // 4]
    assert np.abs(np.diff(found, 2)).max() < 2 * 0.5 * (2 * np.pi * 200 / RATE) ** 2


def test_stretches_of_bursts_in_ogg(tmp_path):
    rng = np.random.default_rng(1)
    bursts = rng.normal(0, 0.1, 30 * RATE) * np.repeat(rng.random(300) > 0.6, RATE // 10)
    with soundfile.SoundFile(tmp_path / "a.ogg", "w", RATE, 1) as file:
        for start in range(0, len(bursts), RATE):
            file.write(bursts[start : start + RATE])
    whole = load_sound(tmp_path / "a.ogg", RATE)
    for start in range(1, 30, 2):
        part = load_sound(tmp_path / "a.ogg", RATE, start, start + 1)
        np.testing.assert_array_equal(part, whole[start * RATE : (start + 1) * RATE])


def test_sounds_that_cannot_be_used_are_told(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([0.1, np.nan, 0.2]), 8000, subtype="FLOAT")
    with pytest.raises(FornixError, match="aren't finite") as caught:
        load_sound(path, 8000)
    assert caught.value.where == str(path)
    soundfile.write(tmp_path / "b.wav", np.zeros(0), 8000)
    with pytest.raises(FornixError, match="has no samples"):
        sound_duration(tmp_path / "b.wav")
    soundfile.write(tmp_path / "c.wav", np.zeros(800), 8000)
    with pytest.raises(FornixError, match="no samples there"):
        load_sound(tmp_path / "c.wav", 8000, 0.2, 0.3)


def test_a_sound_track_that_is_cut_short_is_told(tmp_path):
    path = tmp_path / "a.mkv"
    write_sound(path, np.random.default_rng(0).normal(0, 0.1, 6 * RATE))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert len(load_sound(path, 16_000, 0, 2)) == 32_000
    for start in (0.0, 2.0, 4.5):
        with pytest.raises(FornixError, match=r"cut short: 6\.0 s by its header, [23]\.\d s"):
            load_sound(path, 16_000, start, 6.0)


@pytest.mark.parametrize("name", ["a.flac", "a.mp3"])
def test_a_sound_that_is_cut_short_is_told(tmp_path, name):
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / name, 0.1 * rng.standard_normal(4 * RATE), RATE)
    content = (tmp_path / name).read_bytes()
    (tmp_path / f"cut_{name}").write_bytes(content[: len(content) // 2])
    with pytest.raises(FornixError, match=r"cut short|can't be read"):
        load_sound(tmp_path / f"cut_{name}", 16_000)


def test_sounds_of_almost_one_length_share_no_batch(checkpoint, tmp_path):
    rows = []
    for count in (RATE + 1, RATE + 2):  # at 16 kHz: 16000 and 16001
        name = f"{count}.wav"
        soundfile.write(tmp_path / name, np.random.default_rng(0).normal(0, 0.1, count), RATE)
        rows.append({"stimulus": name, "modality": "audio", "path": name, "digest": name})
    found = extract(
        huggingface, tiny.section(checkpoint("wav2vec2")), pd.DataFrame(rows), tmp_path
    )["block1"]  # fmt: skip
    assert np.isfinite(found).all()


def test_rows_of_a_clip_end_with_its_pictures(tmp_path):
    path = tmp_path / "a.mkv"
    write_clip(path, n_frames=15, sound=True)
    row = {"stimulus": "a", "modality": "video", "path": "a.mkv", "digest": "a"}
    rows = frames_table(pd.DataFrame([row]), tmp_path, 4.0)
    assert rows["time"].tolist() == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]
