"""MEG to epochs: MNE's steps, units and places of both kinds of sensors, and what can be wrong."""

from __future__ import annotations

import mne
import numpy as np
import pytest

from fornix.errors import FornixError
from fornix.preprocess.meg import prepare
from fornix.study.base import EventSelect
from fornix.study.responses import MegResponses

RATE = 100.0
MAGS = {f"M{i}": "mag" for i in range(6)}
BOTH = MAGS | {f"G{i}": "grad" for i in range(4)}


def section(**settings):
    plain = {"l_freq": None, "h_freq": None, "notch": None, "scale": "none"}
    plain |= {"baseline": None, "tmin": -0.2, "tmax": 0.5}
    return MegResponses(kind="meg", dataset="d", **plain | settings)


def noise(seconds=20, n=6, seed=0):
    return np.random.default_rng(seed).normal(0, 1e-13, (n, int(seconds * RATE)))


def test_epochs_are_mnes(tree, compute):
    """The whole chain against MNE's own calls, one after the other."""
    path = tree.fif(noise(60), MAGS)
    onset = 2 + 1.37 * np.arange(40)
    tree.event_table(path, onset=onset)
    settings = section(l_freq=1.0, h_freq=30.0, notch=[20.0], resample=80.0, baseline=(None, 0.0))
    dataset, _ = prepare(settings, tree.material(), compute)
    with mne.utils.use_log_level("ERROR"):
        raw = mne.io.read_raw(tree.root / path, preload=True)
        raw.filter(1.0, 30.0).notch_filter([20.0]).resample(80.0)
        marks = np.column_stack([np.rint(onset * 80), np.zeros(40), np.ones(40)]).astype(int)
        epochs = mne.Epochs(raw, marks, tmin=-0.2, tmax=0.5, baseline=(None, 0), preload=True)
    np.testing.assert_allclose(dataset["responses"], epochs.get_data() * 1e15, atol=1e-3)
    assert dataset.attrs["units"] == "fT"
    assert dataset.attrs["kind"] == "meg"
    assert dataset.attrs["sampling_frequency"] == 80.0


def test_onsets_count_from_the_first_sample_that_was_kept(tree, compute):
    """A FIF file may begin late: its samples are then numbered from where the device began."""
    data = np.tile(np.arange(1000.0), (6, 1)) * 1e-15
    path = tree.fif(data, MAGS, first=5000)
    tree.event_table(path, onset=[3.0, 5.0])
    dataset, _ = prepare(section(), tree.material(), compute)
    at_zero = dataset["responses"].sel(time=0, method="nearest")
    np.testing.assert_allclose(at_zero, [[300.0] * 6, [500.0] * 6], rtol=1e-5)


@pytest.mark.parametrize(("pick", "factor", "unit"), [("mag", 1e15, "fT"), ("grad", 1e13, "fT/cm")])
def test_each_type_has_its_unit(tree, compute, pick, factor, unit):
    data = noise(n=10)
    path = tree.fif(data, BOTH)
    tree.event_table(path, onset=[5.0])
    dataset, _ = prepare(section(picks=[pick]), tree.material(), compute)
    rows = [i for i, kind in enumerate(BOTH.values()) if kind == pick]
    np.testing.assert_allclose(dataset["responses"][0], data[rows, 480:551] * factor, rtol=1e-5)
    assert dataset.attrs["units"] == unit


def test_both_types_together_are_scaled_or_refused(tree, compute):
    data = noise(n=10)
    data[6:] *= 100
    path = tree.fif(data, BOTH)
    tree.event_table(path, onset=[5.0, 8.0])
    dataset, _ = prepare(section(picks=["meg"], scale="standard"), tree.material(), compute)
    assert dataset["channel"].values.tolist() == list(BOTH)
    np.testing.assert_allclose(dataset["responses"].std(("sample", "time")), 1, atol=0.25)
    with pytest.raises(FornixError, match=r"different units together.*grad, mag"):
        prepare(section(picks=["mag", "grad"]), tree.material(), compute)


def test_epochs_are_rejected_by_each_types_own_limit(tree, compute, excluded):
    data = 1e-15 * np.random.default_rng(0).normal(0, 1, (10, 2000))
    data[0, 500] = 3e-12  # 3000 fT
    data[7, 1000] = 4e-10  # 4000 fT/cm
    path = tree.fif(data, BOTH)
    tree.event_table(path, onset=[5.0, 10.0, 15.0])

    def kept(**limits):
        settings = section(picks=["meg"], scale="standard", reject=limits)
        dataset, _ = prepare(settings, tree.material(), compute)
        return dataset["onset"].values.tolist(), excluded(dataset)

    assert kept(mag=2000)[0] == [10.0, 15.0]
    assert kept(mag=3500, grad=3500)[0] == [5.0, 15.0]
    onsets, reasons = kept(mag=2000, grad=3500)
    assert onsets == [15.0]
    assert reasons == [(path, "sample", 2, "peak-to-peak above 2000 fT, 3500 fT/cm")]


def test_places_are_in_the_heads_frame(tree, compute):
    to_head = np.eye(4)
    to_head[:3, 3] = [0.0, 0.01, 0.05]
    path = tree.fif(noise(), MAGS, to_head=to_head)
    tree.event_table(path, onset=[5.0])
    dataset, _ = prepare(section(), tree.material(), compute)
    np.testing.assert_allclose(dataset["channel_x"][0], 0.12, atol=1e-6)
    np.testing.assert_allclose(dataset["channel_y"][0], 0.01, atol=1e-6)
    np.testing.assert_allclose(dataset["channel_z"], 0.05, atol=1e-6)
    assert dataset["channel_z"].attrs == {"units": "m", "frame": "head"}


def test_a_sensor_without_a_place_stops_or_is_let_through(tree, compute):
    places = np.full((6, 3), 0.1)
    places[2], places[4] = 0, np.nan
    path = tree.fif(noise(), MAGS, places=places)
    tree.event_table(path, onset=[5.0])
    with pytest.raises(FornixError, match="2 of 6 channels have no position: M2, M4") as caught:
        prepare(section(), tree.material(), compute)
    assert caught.value.where == path
    assert "positions: optional" in caught.value.mend
    dataset, _ = prepare(section(positions="optional"), tree.material(), compute)
    assert np.isnan(dataset["channel_x"]).values.tolist() == [
        False,
        False,
        True,
        False,
        True,
        False,
    ]


def test_broken_channels_are_left_out_and_counted(tree, compute, excluded):
    data = noise()
    data[1, 700], data[3] = np.nan, 0
    path = tree.fif(data, MAGS, bad=("M5",))
    tree.event_table(path, onset=[5.0])
    dataset, _ = prepare(section(), tree.material(), compute)
    assert dataset["channel"].values.tolist() == ["M0", "M2", "M4"]
    assert np.isfinite(dataset["responses"]).all()
    assert excluded(dataset) == [
        (path, "channel", 1, "bad in channels.tsv: M5"),
        (path, "channel", 2, "constant or not finite: M1, M3"),
    ]


def test_nothing_but_broken_channels(tree, compute):
    path = tree.fif(np.full((6, 2000), np.nan), MAGS)
    tree.event_table(path, onset=[5.0])
    with pytest.raises(FornixError, match="no channel is left of mag") as caught:
        prepare(section(), tree.material(), compute)
    assert caught.value.where == path


@pytest.mark.parametrize(
    ("picks", "words"),
    [
        (["eeg"], "no channel is left of eeg; the recording's are: grad, mag"),
        (["magnetometers"], "'magnetometers' is neither a channel nor a type"),
        (["M0", "M77"], "'M77' is neither"),
    ],
)
def test_channels_that_are_not_there(tree, compute, picks, words):
    path = tree.fif(noise(n=10), BOTH)
    tree.event_table(path, onset=[5.0])
    with pytest.raises(FornixError, match=words):
        prepare(section(picks=picks), tree.material(), compute)


def test_a_file_that_was_cut_short_after_it_was_indexed(tree, compute):
    path = tree.fif(noise(), MAGS)
    tree.event_table(path, onset=[5.0])
    whole = (tree.root / path).read_bytes()
    (tree.root / path).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FornixError, match="MNE can't read the recording's samples") as caught:
        prepare(section(), tree.material(), compute)
    assert caught.value.where == path


def test_gradiometers_with_the_units_of_magnetometers(tree, compute):
    """MNE-BIDS would take their units over, and make them magnetometers."""
    path = tree.fif(noise(n=10), BOTH, units={"grad": "T"})
    tree.event_table(path, onset=[5.0])
    with pytest.raises(FornixError, match="4 channels are grad in the file, and mag") as caught:
        prepare(section(), tree.material(), compute)
    assert "T/m" in caught.value.mend


def test_whitened_epochs_have_white_noise(tree, compute):
    random = np.random.default_rng(0)
    mixing = np.eye(6) + 0.3 * random.standard_normal((6, 6))
    path = tree.fif(1e-13 * mixing @ random.standard_normal((6, 20000)), MAGS)
    onset = 2 + 0.9 * np.arange(200)
    shown = [f"s{i % 20}" for i in range(200)]
    tree.event_table(path, onset=onset, stimulus=shown, block=["a", "b"] * 100)
    plain, _ = prepare(section(), tree.material(), compute)
    dataset, _ = prepare(section(whiten="mvnn"), tree.material(), compute)
    flat, before = (
        one["responses"].transpose("channel", "sample", "time").values.reshape(6, -1)
        for one in (dataset, plain)
    )
    # All is noise. Shrinkage leaves something of it in the directions where there is least.
    np.testing.assert_allclose(flat.var(1), 1, atol=0.2)
    left, was = (np.abs(np.corrcoef(one) - np.eye(6)).max() for one in (flat, before))
    assert was > 0.4
    assert left < was / 3
    assert dataset.attrs["units"] == "standard deviations of the noise"
    half = section(whiten="mvnn", whiten_on=EventSelect(column="block", include=["a"]))
    by_half, _ = prepare(half, tree.material(), compute)
    assert "100 of 200 trials" in by_half.attrs["steps"]
    assert not np.allclose(by_half["responses"], dataset["responses"])
    with pytest.raises(FornixError, match=r"no sample measures the noise.*there are: a, b"):
        wrong = EventSelect(column="block", include=["c"])
        prepare(section(whiten="mvnn", whiten_on=wrong), tree.material(), compute)
    with pytest.raises(FornixError, match="no column 'blocks'") as caught:
        wrong = EventSelect(column="blocks")
        prepare(section(whiten="mvnn", whiten_on=wrong), tree.material(), compute)
    assert "'block'" in caught.value.mend
