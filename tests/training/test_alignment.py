from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from nilearn.glm.first_level import compute_regressor

from fornix.study.fits.encoding import Align
from fornix.training.alignment import align, points_of

TR = 2.0


def volumes(n=60, recording="a", start=0.0):
    return pd.DataFrame(
        {"recording": recording, "onset": start + TR * np.arange(n), "duration": TR}
    )


def words(n=80, recording="a", seed=0, last=110.0):
    rng = np.random.default_rng(seed)
    onset = np.sort(rng.uniform(0, last, n))
    return pd.DataFrame(
        {
            "recording": recording,
            "onset": onset,
            "duration": rng.uniform(0.05, 2.5, n),
            "row": rng.permutation(n),
        }
    )


def aligned(values, points, samples=None, **settings):
    samples = volumes() if samples is None else samples
    return align(Align(**settings), samples, points, len(values))(values)


@pytest.mark.parametrize("hrf", ["spm", "glover"])
@pytest.mark.parametrize("impulse", [True, False])
def test_hrf_agrees_with_nilearn(hrf, impulse):
    points, values = words(), np.random.default_rng(1).normal(size=(80, 3))
    found = aligned(values, points, hrf=hrf, impulse=impulse)
    durations = 0 * points["duration"] if impulse else points["duration"]
    times = volumes()["onset"].to_numpy()
    for feature in range(3):
        amplitude = values[points["row"], feature]
        condition = np.stack([points["onset"], durations, amplitude])
        expected, _ = compute_regressor(condition, hrf, times)
        np.testing.assert_allclose(found[:, feature], expected[:, 0], atol=1e-9)


def test_hrf_takes_onsets_on_the_grid_as_nilearn_does():
    """Sums of decimals such as 0.1 + 0.2 lie a bit off the fine grid of 0.04 s."""
    onset = np.round(np.arange(40) * 0.28, 10)
    points = pd.DataFrame({"recording": "a", "onset": onset, "duration": 0.4, "row": range(40)})
    found = aligned(np.eye(40), points)
    times = volumes()["onset"].to_numpy()
    for row in (0, 7, 39):
        # Just before the grid's point, nilearn rounds onset and end alike.
        event = np.array([[max(onset[row] - 1e-4, 0)], [0.4], [1.0]])
        expected, _ = compute_regressor(event, "spm", times)
        np.testing.assert_allclose(found[:, row], expected[:, 0], atol=1e-9)


def test_lanczos_agrees_with_the_dense_formula():
    points, values = words(), np.random.default_rng(1).normal(size=(80, 4))
    found = aligned(values, points, method="lanczos", lobes=3)
    times = volumes()["onset"].to_numpy()
    dense = np.zeros((len(times), len(points)))
    for i, time in enumerate(times):
        for j, onset in enumerate(points["onset"]):
            t = (time - onset) / TR
            if t == 0:
                dense[i, j] = 1
            elif abs(t) <= 3:
                x = np.pi * t
                dense[i, j] = 3 * np.sin(x) * np.sin(x / 3) / x**2
    np.testing.assert_allclose(found, dense @ values[points["row"]], atol=1e-12)


def test_lanczos_keeps_a_slow_signal_and_loses_a_fast_one():
    """A frame every 0.1 s: below the samples' Nyquist frequency (0.25 Hz), and far above."""
    time = np.arange(0, 120, 0.1)
    points = pd.DataFrame({"recording": "a", "onset": time, "duration": 0.1, "row": range(1200)})
    values = np.stack([np.sin(2 * np.pi * f * time) for f in (0.05, 1.45)], axis=1)
    slow, fast = (aligned(values, points, method="lanczos") / 20)[5:-5].T
    expected = np.sin(2 * np.pi * 0.05 * volumes()["onset"].to_numpy())[5:-5]
    assert np.abs(slow - expected).max() < 0.03
    assert np.abs(fast).max() < 0.03


@pytest.mark.parametrize("method", ["mean", "sum", "last"])
def test_intervals_agree_with_a_loop(method):
    points, values = words(), np.random.default_rng(1).normal(size=(80, 2))
    found = aligned(values, points, method=method)
    expected = np.zeros((60, 2))
    for i, time in enumerate(volumes()["onset"]):
        inside = points[(points["onset"] >= time) & (points["onset"] < time + TR)]
        before = points[points["onset"] < time + TR]
        rows = values[inside["row"]]
        if method == "last":
            expected[i] = values[before["row"].iloc[-1]] if len(before) else 0
        elif len(rows):
            expected[i] = rows.mean(0) if method == "mean" else rows.sum(0)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("method", ["lanczos", "sum", "hrf"])
def test_delays_are_shifts_within_each_recording(method):
    samples = pd.concat([volumes(40), volumes(30, "b")], ignore_index=True)
    points = pd.concat([words(40, last=70), words(40, "b", seed=1, last=50)], ignore_index=True)
    values = np.random.default_rng(1).normal(size=(40, 2))
    now = aligned(values, points, samples, method=method)
    found = np.asarray(aligned(values, points, samples, method=method, delays=[0, 2, 6]))
    assert found.shape == (70, 6)
    for k, shift in enumerate((0, 1, 3)):
        expected = np.zeros_like(now)
        expected[shift:40], expected[40 + shift :] = now[: 40 - shift], now[40 : 70 - shift]
        np.testing.assert_allclose(found[:, 2 * k : 2 * k + 2], expected, atol=1e-9)


def test_recordings_and_the_order_of_samples_keep_apart():
    samples = pd.concat([volumes(30), volumes(30, "b")], ignore_index=True)
    points = words(40, "b", last=50)
    values = np.random.default_rng(1).normal(size=(40, 2))
    found = aligned(values, points, samples)
    assert not found[:30].any()
    np.testing.assert_array_equal(found[30:], aligned(values, points, volumes(30, "b")))


def test_points_of_static_rows_and_of_frames():
    events = pd.DataFrame(
        {
            "recording": ["a", "a", "b"],
            "onset": [1.0, 5.0, 2.0],
            "duration": [0.5, 0.7, 0.5],
            "stimulus": ["x", "y", "x"],
        }
    )
    static = points_of(events, pd.DataFrame({"stimulus": ["y", "x"]}))
    assert static["row"].tolist() == [1, 0, 1]
    assert static["duration"].tolist() == [0.5, 0.7, 0.5]
    frames = pd.DataFrame({"stimulus": ["x"] * 3 + ["y"] * 2, "time": [0, 0.1, 0.2, 0, 0.1]})
    shown = points_of(events, frames)
    assert shown["row"].tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    np.testing.assert_allclose(shown["onset"], [1, 1.1, 1.2, 5, 5.1, 2, 2.1, 2.2])
    np.testing.assert_allclose(shown["duration"], 0.1)


def test_frames_of_equal_value_are_the_boxcar_of_their_stimulus():
    events = pd.DataFrame({"recording": ["a"], "onset": [4.0], "duration": [6.0], "stimulus": "x"})
    frames = pd.DataFrame({"stimulus": "x", "time": np.arange(0, 6, 0.04)})
    boxcar = aligned(np.ones((1, 1)), points_of(events, pd.DataFrame({"stimulus": ["x"]})))
    pieces = aligned(np.ones((150, 1)), points_of(events, frames))
    np.testing.assert_allclose(pieces, boxcar, atol=1e-9)


def test_tokens_are_flattened_and_an_event_long_before_leaves_nothing():
    points = pd.DataFrame({"recording": "a", "onset": [-30.0, 0.0], "duration": 1.0, "row": [0, 1]})
    found = aligned(np.ones((2, 3, 4)), points)
    assert found.shape == (60, 12)
    only = aligned(np.ones((2, 12)), points.iloc[1:])
    np.testing.assert_array_equal(found, only)
