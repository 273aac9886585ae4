from __future__ import annotations

import json

import mne
import numpy as np
import pandas as pd
import pytest

from fornix.errors import FornixError
from fornix.preprocess.eeg import prepare
from fornix.study.responses import EegResponses

RATE = 100.0
NAMES = [f"E{i}" for i in range(10)]


def section(**settings):
    plain = {"l_freq": None, "h_freq": None, "reference": "none", "notch": None}
    plain |= {"scale": "none", "baseline": None, "tmin": -0.2, "tmax": 0.5}
    return EegResponses(kind="eeg", dataset="d", **plain | settings)


def noise(seconds=20, seed=0, n=10):
    return np.random.default_rng(seed).normal(0, 10, (n, int(seconds * RATE)))


def test_epochs_are_mnes(tree, compute):
    """The whole chain against MNE's own calls, one after the other."""
    path = tree.brainvision(noise(60), NAMES)
    onset = 2 + 1.37 * np.arange(40)
    tree.event_table(path, onset=onset)
    settings = section(
        l_freq=1.0, h_freq=30.0, reference="average", resample=80.0, baseline=(None, 0.0)
    )
    dataset, _ = prepare(settings, tree.material(), compute)

    with mne.utils.use_log_level("ERROR"):
        raw = mne.io.read_raw(tree.root / path, preload=True)
        raw.set_eeg_reference("average", projection=False).filter(1.0, 30.0).resample(80.0)
        marks = np.column_stack([np.rint(onset * 80), np.zeros(40), np.ones(40)]).astype(int)
        epochs = mne.Epochs(raw, marks, tmin=-0.2, tmax=0.5, baseline=(None, 0), preload=True)
    np.testing.assert_allclose(dataset["responses"], epochs.get_data() * 1e6, atol=1e-4)
    np.testing.assert_allclose(dataset["time"], epochs.times)
    assert dataset["channel"].values.tolist() == NAMES
    assert dataset.attrs["units"] == "µV"
    assert dataset.attrs["sampling_frequency"] == 80.0


def test_a_dataset_is_read_and_nothing_is_written_beside_it(tree, compute):
    """MNE-BIDS would put locks beside sidecars, and wait for one that a killed job has left."""
    path = tree.brainvision(noise(), NAMES)
    tree.event_table(path, onset=[5.0, 10.0])
    left = tree.root / f"{path.removesuffix('eeg.vhdr')}channels.tsv.lock"
    left.touch()
    before = sorted(tree.root.rglob("*"))
    changes = watch(tree.root)
    prepare(section(), tree.material(), compute)
    assert sorted(tree.root.rglob("*")) == before
    assert watch(tree.root) == changes


def watch(folder):
    """Return when anything was last made or removed in each folder."""
    return {one: one.stat().st_mtime_ns for one in [folder, *folder.rglob("*")] if one.is_dir()}


def test_time_zero_is_the_sample_nearest_to_the_onset(tree, compute):
    data = np.tile(np.arange(1000.0), (2, 1))
    path = tree.brainvision(data, ["A", "B"])
    tree.event_table(path, onset=[3.004, 5.006], stimulus=["s", "t"], rt=[0.4, np.nan])
    dataset, _ = prepare(section(), tree.material(), compute)
    at_zero = dataset["responses"].sel(time=0, method="nearest")
    np.testing.assert_allclose(at_zero, [[300, 300], [501, 501]], rtol=1e-5)
    assert dataset["stimulus"].values.tolist() == ["s", "t"]
    np.testing.assert_equal(dataset["rt"].values, [0.4, np.nan])


def test_bad_flat_and_broken_channels_are_out_of_all_runs(tree, compute, excluded):
    types = {"E9": "EOG"}
    first, second = noise(seed=1), noise(seed=2)
    first[3] = 4.0
    second[5, 100] = np.nan
    one = tree.brainvision(first, NAMES, run="01", types=types, bad=("E1",))
    two = tree.brainvision(second, NAMES, run="02", types=types)
    for path in (one, two):
        tree.event_table(path, onset=[5.0, 10.0])
    dataset, notes = prepare(section(), tree.material(), compute)
    assert dataset["channel"].values.tolist() == ["E0", "E2", "E4", "E6", "E7", "E8"]
    assert [row for row in excluded(dataset) if row[1] == "channel"] == [
        (one, "channel", 1, "bad in channels.tsv: E1"),
        (one, "channel", 1, "constant or not finite: E3"),
        (two, "channel", 1, "constant or not finite: E5"),
    ]
    assert notes["n_samples"] == 4


def test_a_channel_that_one_run_lacks_is_out(tree, compute, excluded):
    one = tree.brainvision(noise(n=3), ["A", "B", "C"], run="01")
    two = tree.brainvision(noise(n=2), ["C", "A"], run="02")
    for path in (one, two):
        tree.event_table(path, onset=[5.0])
    dataset, _ = prepare(section(), tree.material(), compute)
    assert dataset["channel"].values.tolist() == ["A", "C"]
    np.testing.assert_allclose(
        dataset["responses"].sel(channel="C")[1, 20], noise(n=2)[0, 500], rtol=1e-5
    )
    assert excluded(dataset)[-1][1:] == ("channel", 1, "not in every run: B")


def test_average_reference_uses_good_channels_and_needs_eight(tree, compute):
    data = noise()
    data[0] *= 1000
    path = tree.brainvision(data, NAMES, bad=("E0",))
    tree.event_table(path, onset=[5.0])
    dataset, _ = prepare(section(reference="average"), tree.material(), compute)
    np.testing.assert_allclose(dataset["responses"].mean("channel"), 0, atol=1e-4)
    expected = data[1:, 480:551] - data[1:, 480:551].mean(axis=0)
    np.testing.assert_allclose(dataset["responses"][0], expected, atol=1e-3)

    path = tree.brainvision(data[:9], NAMES[:9], bad=("E0", "E1"))
    tree.recordings.pop()
    dataset, _ = prepare(section(reference="average"), tree.material(), compute)
    np.testing.assert_allclose(dataset["responses"][0], data[2:9, 480:551], rtol=1e-4, atol=1e-4)
    assert "left as recorded" in dataset.attrs["steps"]


def test_reference_to_named_channels(tree, compute):
    data = noise()
    path = tree.brainvision(data, NAMES, bad=("E1",))
    tree.event_table(path, onset=[5.0])
    dataset, _ = prepare(section(reference=["E8", "E9"]), tree.material(), compute)
    expected = data[0, 480:551] - data[8:, 480:551].mean(axis=0)
    np.testing.assert_allclose(dataset["responses"].sel(channel="E0")[0], expected, atol=1e-3)
    with pytest.raises(FornixError, match="'E1' is bad"):
        prepare(section(reference=["E1"]), tree.material(), compute)
    with pytest.raises(FornixError, match="'M1' isn't there"):
        prepare(section(reference=["M1"]), tree.material(), compute)


def test_notch_removes_the_line_and_its_harmonics_within_the_band_only(tree, compute):
    seconds = np.arange(0, 60, 1 / 400)
    data = np.random.default_rng(0).normal(0, 1, (2, seconds.size))
    data += 50 * (np.sin(2 * np.pi * 50 * seconds) + np.sin(2 * np.pi * 100 * seconds))
    path = tree.brainvision(data, ["A", "B"], rate=400.0)
    tree.event_table(path, onset=np.arange(5.0, 50, 2.1))
    dataset, _ = prepare(section(notch="auto"), tree.material(), compute)
    assert "notch at 50, 100, 150 Hz" in dataset.attrs["steps"]
    assert np.abs(dataset["responses"]).max() < 8
    dataset, _ = prepare(section(notch="auto", h_freq=120.0), tree.material(), compute)
    assert "notch at 50, 100 Hz" in dataset.attrs["steps"]
    dataset, _ = prepare(section(notch="auto", h_freq=40.0), tree.material(), compute)
    assert "notch" not in dataset.attrs["steps"]
    assert np.abs(dataset["responses"]).max() < 8


def test_events_beyond_the_recording_or_twice_are_counted(tree, compute, excluded):
    path = tree.brainvision(noise(10), NAMES)
    tree.event_table(path, onset=[0.1, np.nan, 4.0, 4.001, 9.8], trial_type=list("abcde"))
    dataset, _ = prepare(section(), tree.material(), compute)
    assert dataset["trial_type"].values.tolist() == ["c"]
    assert {row[3]: row[2] for row in excluded(dataset)} == {
        "no onset": 1,
        "same sample as another event's": 1,
        "epoch exceeds the recording": 2,
    }


def test_bad_segments_and_boundaries_drop_epochs(tree, compute, excluded):
    listed = {
        "onset": [3.0, 6.0, 9.0, 12.0, 9.2, 12.1],
        "duration": [0.0, 0.0, 0.0, 0.0, 0.5, 0.0],
        "trial_type": ["go", "go", "go", "go", "BAD_blink", "boundary"],
    }
    path = tree.brainvision(noise(), NAMES, events=listed)
    tree.event_table(path, onset=listed["onset"][:4], trial_type="go")
    dataset, _ = prepare(section(), tree.material(), compute)
    assert dataset["onset"].values.tolist() == [3.0, 6.0]
    assert excluded(dataset) == [(path, "sample", 2, "epoch overlaps a bad segment or a boundary")]


@pytest.mark.parametrize(("kind", "description"), [("Comment", "boundary"), ("New Segment", "")])
def test_a_boundary_in_the_file_counts_beside_events(tree, compute, kind, description):
    listed = {"onset": [3.0, 6.0], "duration": [0.0, 0.0], "trial_type": ["go", "go"]}
    markers = (("New Segment", "", 1), (kind, description, 611))
    path = tree.brainvision(noise(), NAMES, events=listed, markers=markers)
    tree.event_table(path, onset=listed["onset"], trial_type="go")
    dataset, _ = prepare(section(), tree.material(), compute)
    assert dataset["onset"].values.tolist() == [3.0]


def test_no_filter_runs_across_a_boundary(tree, compute):
    """A step of 10 mV at a boundary rings in neither part."""
    data = noise(60)
    data[:, 3000:] += 10_000
    listed = {"onset": [30.0], "duration": [0.0], "trial_type": ["boundary"]}
    onset = [10.0, 29.4, 30.6, 50.0]
    path = tree.brainvision(data, NAMES, events=listed)
    tree.event_table(path, onset=onset)
    dataset, _ = prepare(section(l_freq=0.5), tree.material(), compute)
    assert np.abs(dataset["responses"]).max() < 100
    tree.recordings.clear()
    tree.brainvision(data, NAMES, events={"onset": [1], "duration": [0], "trial_type": ["go"]})
    dataset, _ = prepare(section(l_freq=0.5), tree.material(), compute)
    assert np.abs(dataset["responses"]).max() > 1000


def test_rejection_is_in_microvolts_before_scaling(tree, compute, excluded):
    data = np.clip(noise(), -30, 30)
    data[4, 1010] = 300
    path = tree.brainvision(data, NAMES)
    tree.event_table(path, onset=[5.0, 10.0, 15.0])
    dataset, _ = prepare(section(reject=100.0, scale="robust"), tree.material(), compute)
    assert dataset["onset"].values.tolist() == [5.0, 15.0]
    assert excluded(dataset) == [(path, "sample", 1, "peak-to-peak above 100 µV")]


@pytest.mark.parametrize("scale", ["robust", "standard"])
def test_scales_are_those_of_each_channels_continuous_run(tree, compute, scale):
    from sklearn.preprocessing import RobustScaler, StandardScaler

    first, second = noise(seed=1), noise(seed=2) * 5 + 40
    first *= np.arange(1, 11)[:, None]
    for run, data in (("01", first), ("02", second)):
        path = tree.brainvision(data, NAMES, run=run)
        tree.event_table(path, onset=[5.0, 10.0])
    dataset, _ = prepare(section(scale=scale, clip=None), tree.material(), compute)
    scaler = RobustScaler() if scale == "robust" else StandardScaler()
    for sample, data, start in ((0, first, 480), (3, second, 980)):
        scaled = scaler.fit_transform(data.astype(np.float32).T).T
        expected = scaled[:, start : start + 71]
        np.testing.assert_allclose(dataset["responses"][sample], expected, atol=2e-4)


def test_bad_segments_do_not_count_for_the_scale_and_clip_limits(tree, compute):
    data = noise()
    data[:, 1500:1800] *= 500
    listed = {"onset": [15.0], "duration": [3.0], "trial_type": ["BAD_muscle"]}
    path = tree.brainvision(data, NAMES, events=listed)
    data[:, 520] = 1e4
    tree.event_table(path, onset=[5.0, 8.0])
    dataset, _ = prepare(section(scale="standard", clip=3.0), tree.material(), compute)
    assert np.abs(dataset["responses"]).max() <= 3.0
    assert dataset["responses"].std() == pytest.approx(1.0, abs=0.1)


def test_baseline_is_the_mean_of_its_interval(tree, compute):
    path = tree.brainvision(noise() + 100, NAMES)
    tree.event_table(path, onset=[5.0, 10.0])
    dataset, _ = prepare(section(baseline=(-0.1, 0.0)), tree.material(), compute)
    before = dataset["responses"].sel(time=slice(-0.1001, 0.0001))
    np.testing.assert_allclose(before.mean("time"), 0, atol=1e-4)
    with pytest.raises(FornixError, match="isn't within the epoch"):
        prepare(section(baseline=(-0.4, 0.0)), tree.material(), compute)


def test_positions_where_they_are_known(tree, compute):
    path = tree.brainvision(noise(n=3), ["Cz", "C3", "X"])
    xyz = {"x": [0.0, -0.06, None], "y": [0.0, 0.01, None], "z": [0.1, 0.06, None]}
    tree.table("sub-01/eeg/sub-01_space-CapTrak_electrodes.tsv", name=["Cz", "C3", "X"], **xyz)
    system = {"EEGCoordinateSystem": "CapTrak", "EEGCoordinateUnits": "m"}
    where = tree.root / "sub-01/eeg/sub-01_space-CapTrak_coordsystem.json"
    where.write_text(json.dumps(system))
    tree.event_table(path, onset=[5.0])
    dataset, _ = prepare(section(), tree.material(), compute)
    np.testing.assert_allclose(dataset["channel_x"], [0.0, -0.06, np.nan], atol=1e-6)
    assert dataset["channel_z"].attrs["units"] == "m"


def test_errors_name_place_and_mend(tree, compute):
    path = tree.brainvision(noise(), NAMES)
    tree.event_table(path, onset=[5.0])
    with pytest.raises(FornixError, match="'egg' is neither") as caught:
        prepare(section(picks=["egg"]), tree.material(), compute)
    assert "eeg" in caught.value.mend
    with pytest.raises(FornixError, match="1 to 60 Hz can't be had") as caught:
        prepare(section(l_freq=1.0, h_freq=60.0), tree.material(), compute)
    assert "50 Hz" in caught.value.mend
    with pytest.raises(FornixError, match="notch at 70 Hz"):
        prepare(section(notch=[70.0]), tree.material(), compute)
    with pytest.raises(FornixError, match=r"no sample is left.*exceeds the recording"):
        prepare(section(tmin=-10.0), tree.material(), compute)
    other = tree.brainvision(noise(), NAMES, rate=200.0, run="02")
    with pytest.raises(FornixError, match="different rates: 100, 200 Hz") as caught:
        prepare(section(), tree.material(), compute)
    assert other in caught.value.where
    (tree.root / path).write_text("no header")
    tree.recordings.pop()
    with pytest.raises(FornixError, match="MNE can't read the recording"):
        prepare(section(), tree.material(), compute)


def test_mne_is_quiet_and_its_warnings_are_kept(tree, compute, capfd, recwarn):
    path = tree.brainvision(noise(10), NAMES)
    tree.event_table(path, onset=[5.0])
    dataset, _ = prepare(section(l_freq=0.1), tree.material(), compute)
    assert capfd.readouterr() == ("", "")
    assert not [str(one.message) for one in recwarn]
    assert "filter_length" in dataset.attrs["steps"]


def real(tree, folder, subject):
    """Fill a tree with a real recording's tables."""
    tree.root = folder
    for path in sorted(folder.glob(f"sub-{subject}/eeg/*_eeg.vhdr")):
        sidecar = json.loads(path.with_suffix(".json").read_text())
        known = {"sampling_frequency": sidecar["SamplingFrequency"], "suffix": "eeg"}
        name = path.relative_to(folder).as_posix()
        tree.recording(name, sidecar=sidecar, **known)
        table = pd.read_csv(str(path).replace("eeg.vhdr", "events.tsv"), sep="\t")
        table = table[table["trial_type"] != "response"]
        tree.event_table(name, **{key: table[key].to_numpy() for key in table})


def auc_of(X, y, folds, C=1.0):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=2000))
    found = []
    for fold in np.unique(folds):
        test = folds == fold
        score = model.fit(X[~test], y[~test]).decision_function(X[test])
        found.append(roc_auc_score(y[test], score))
    return float(np.mean(found))


@pytest.mark.real
def test_evoked_response_is_told_from_baseline(real_data, tree, compute):
    """A plain analysis gives an AUC of 0.93."""
    real(tree, real_data("visual-eeg"), "01")
    settings = EegResponses(kind="eeg", dataset="d", baseline=None)
    dataset, _ = prepare(settings, tree.material(), compute)
    assert dataset.sizes["channel"] == 30
    assert dataset.sizes["sample"] == 80
    before = dataset["responses"].sel(time=slice(-0.3, 0)).mean("time").values
    after = dataset["responses"].sel(time=slice(0.1, 0.4)).mean("time").values
    folds = np.tile(np.arange(80) * 5 // 80, 2)
    labels = np.repeat([0, 1], 80)
    assert auc_of(np.concatenate([before, after]), labels, folds) >= 0.90
    # Swap the two windows of trials at random: the pairs stay, the effect goes.
    swap = np.random.default_rng(0).random(80) < 0.5
    mixed = np.concatenate([np.where(swap, 1, 0), np.where(swap, 0, 1)])
    assert abs(auc_of(np.concatenate([before, after]), mixed, folds) - 0.5) < 0.15


@pytest.mark.real
@pytest.mark.parametrize(("subject", "plain"), [("01", 0.69), ("02", 0.61), ("03", 0.64)])
def test_faces_are_told_from_houses(real_data, tree, compute, subject, plain):
    """A plain analysis gives AUCs of 0.69, 0.61 and 0.64 for the three subjects."""
    real(tree, real_data("n170-eeg"), subject)
    settings = EegResponses(
        kind="eeg", dataset="d", l_freq=1.0, tmin=0.0, tmax=0.6, baseline=None, reject=100.0
    )
    dataset, notes = prepare(settings, tree.material(), compute)
    values = dataset["responses"].values[:, :, :150]
    X = values.reshape(len(values), 4, 30, 5).mean(axis=3).reshape(len(values), -1)
    is_face = dataset["trial_type"].values == "face"
    assert auc_of(X, is_face, dataset["run"].values.astype(str), C=0.01) >= plain - 0.03
    assert notes["excluded"]["sample"] < 0.2 * len(values)
