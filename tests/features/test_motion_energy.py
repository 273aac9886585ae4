"""Motion energy of clips: planted gratings, and pymoten itself."""

from __future__ import annotations

import av
import numpy as np
import pandas as pd
import pytest
import tiny
from extracting import extract
from skimage.color import rgb2lab

from fornix.errors import FornixError
from fornix.features import motion_energy
from fornix.study.features.motion_energy import MotionEnergyFeatures

moten = pytest.importorskip("moten", reason="pip install 'fornix[motion]'")


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


@pytest.mark.parametrize("seconds", [1 / 15, 0.2])
def test_clips_shorter_than_the_filters_have_motion_energy(tmp_path, seconds):
    table = pd.DataFrame([grating(tmp_path, "a.mkv", 0, 4, 2.0, seconds=seconds)])
    section = MotionEnergyFeatures(
        kind="motion_energy", dataset="d", size=24, n_directions=2,
        spatial_frequencies=[2.0], temporal_frequencies=[0.0, 2.0],
    )  # fmt: skip
    found = extract(motion_energy, section, table, tmp_path)["motion_energy"]
    assert np.isfinite(found).all()
    assert found.max() > 0


def test_motion_energy_is_pymotens_of_the_whole_clip(tmp_path):
    row = grating(tmp_path, "a.mkv", 45, 4, 2.0, seconds=2)
    section = MotionEnergyFeatures(
        kind="motion_energy", dataset="d", size=48, n_directions=2, rate=15.0,
        spatial_frequencies=[2.0, 4.0], temporal_frequencies=[0.0, 2.0],
    )  # fmt: skip
    found = extract(motion_energy, section, pd.DataFrame([row]), tmp_path, cuts=[11])
    with av.open(str(tmp_path / "a.mkv")) as container:
        frames = [one.to_ndarray(format="rgb24") for one in container.decode(video=0)]
    light = rgb2lab(np.stack(frames))[..., 0]
    pyramid = moten.pyramids.MotionEnergyPyramid(
        stimulus_vhsize=(48, 48), stimulus_fps=15, temporal_frequencies=[0.0, 2.0],
        spatial_frequencies=[2.0, 4.0], spatial_directions=[0.0, 180.0],
    )  # fmt: skip
    expected = pyramid.project_stimulus(light)
    np.testing.assert_allclose(found["motion_energy"], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"rate": 30.0}, "than the 15 frames"),
        ({"temporal_frequencies": [8.0]}, "more than half the 15 frames"),
    ],
)
def test_settings_that_frames_cannot_meet_are_told(settings, says):
    with pytest.raises(ValueError, match=says):
        MotionEnergyFeatures(kind="motion_energy", dataset="d", **settings)


def test_texts_have_no_motion():
    section = MotionEnergyFeatures(kind="motion_energy", dataset="d")
    with pytest.raises(FornixError, match="motion_energy needs"):
        extract(motion_energy, section, tiny.texts())
