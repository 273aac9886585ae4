from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from fornix.errors import FornixError
from fornix.preprocess.fmri import prepare
from fornix.preprocess.glm import make_design
from fornix.study.responses import FmriResponses, FmriSamples, Rois

SHAPE, TR = (5, 4, 3), 2.0


def section(method="block", **settings):
    samples = {key: settings.pop(key) for key in ("shift", "hrf", "noise") if key in settings}
    return FmriResponses(
        kind="fmri",
        dataset="d",
        **{"mask": "all", "samples": FmriSamples(method=method, **samples)} | settings,
    )


def noise(n=60, seed=0, level=100.0):
    rng = np.random.default_rng(seed)
    return rng.normal(level, 1, (*SHAPE, n)).astype(np.float32)


def test_block_means_by_hand(tree, compute):
    # Volume v has the value v everywhere (plus the voxel's number); raw, neither detrended nor
    # scaled. The block from 20 to 30 s, 4 s later, is volumes 12 to 16.
    data = np.arange(60, dtype=np.float32) + np.arange(60).reshape(*SHAPE, 1)
    path = tree.bold(data.astype(np.float32))
    tree.event_table(path, onset=[20.0], duration=[10.0], stimulus=["s"], weight=[2.5])
    settings = section(shift=4.0, detrend=False, high_pass=None, standardize=False)
    dataset, notes = prepare(settings, tree.material(), compute)
    np.testing.assert_allclose(dataset["responses"][0], 14 + np.arange(60))
    assert dataset["responses"].dims == ("sample", "unit")
    assert dataset["responses"].dtype == np.float32
    assert dataset["stimulus"].values.tolist() == ["s"]
    assert dataset["weight"].values.tolist() == [2.5]
    assert notes["n_samples"] == 1


def test_units_say_where_they_are(tree, compute):
    affine = np.array([[2.0, 0, 0, -10], [0, 3, 0, 5], [0, 0, 4, 1], [0, 0, 0, 1]])
    path = tree.bold(noise(), affine=affine)
    tree.event_table(path, onset=[20.0], duration=[10.0])
    dataset, _ = prepare(section(), tree.material(), compute)
    unit = dataset.isel(unit=23)
    voxel = [int(unit[axis]) for axis in "ijk"]
    expected = affine @ [*voxel, 1]
    np.testing.assert_allclose([float(unit[axis]) for axis in "xyz"], expected[:3])
    assert str(unit["unit"].values) == "-".join(map(str, voxel))
    assert dataset.attrs["volume_shape"] == list(SHAPE)
    assert set(dataset["roi"].values) == {"brain"}
    volume = np.full(SHAPE, np.nan)
    volume[tuple(dataset[axis].values for axis in "ijk")] = dataset["responses"][0]
    assert np.isfinite(volume).all()


def test_voxels_that_fail_in_one_run_are_out_of_all_and_counted(tree, compute, excluded):
    first, second = noise(seed=1), noise(seed=2)
    first[0, 0, 0] = 7
    second[1, 2, 1, 5] = np.nan
    second[2, 2, 2] = 0
    paths = [tree.bold(first, run="01"), tree.bold(second, run="02")]
    for path in paths:
        tree.event_table(path, onset=[20.0, 60.0], duration=[10.0, 10.0])
    dataset, notes = prepare(section(), tree.material(), compute)
    assert dataset.sizes == {"sample": 4, "unit": 57}
    kept = set(zip(*(dataset[axis].values.tolist() for axis in "ijk"), strict=True))
    assert kept.isdisjoint({(0, 0, 0), (1, 2, 1), (2, 2, 2)})
    found = [(where, n) for where, what, n, _ in excluded(dataset) if what == "voxel"]
    assert found == [(paths[0], 1), (paths[1], 2)]
    assert notes["excluded"] == {"voxel": 3}
    assert dataset["run"].values.tolist() == ["01", "01", "02", "02"]


def test_dropped_events_are_counted(tree, compute, excluded):
    path = tree.bold(noise())
    onset = [np.nan, 20.0, 115.0]
    tree.event_table(path, onset=onset, duration=[5.0, 5.0, 5.0], trial_type=["a", "b", "c"])
    dataset, _ = prepare(section(shift=5.0), tree.material(), compute)
    assert dataset["onset"].values.tolist() == [20.0]
    details = {detail: n for _, _, n, detail in excluded(dataset)}
    assert details == {"no onset": 1, "window exceeds the run": 1}
    dataset, _ = prepare(section("lsa"), tree.material(), compute)
    assert dataset["onset"].values.tolist() == [20.0]


def test_a_run_without_events_is_counted_and_no_sample_at_all_is_an_error(tree, compute, excluded):
    tree.bold(noise(), run="01")
    path = tree.bold(noise(), run="02")
    tree.event_table(path, onset=[20.0], duration=[5.0])
    dataset, _ = prepare(section(), tree.material(), compute)
    assert [row[1:3] for row in excluded(dataset)] == [("recording", 1)]
    tree.events.clear()
    tree.event_table(path, onset=[500.0], duration=[5.0])
    with pytest.raises(FornixError, match=r"no sample is left of sub-01.*exceeds the run"):
        prepare(section(), tree.material(), compute)


def test_runs_of_different_shape_are_refused_by_name(tree, compute):
    one = tree.bold(noise(), run="01")
    two = tree.bold(noise()[:4], run="02")
    tree.event_table(one, onset=[20.0], duration=[5.0])
    with pytest.raises(FornixError, match="5 x 4 x 3 and 4 x 4 x 3") as caught:
        prepare(section(), tree.material(), compute)
    assert one in caught.value.where
    assert two in caught.value.where


def test_a_volume_that_is_no_run_and_a_broken_file(tree, compute):
    path = tree.bold(noise(n=1))
    with pytest.raises(FornixError, match="4D"):
        prepare(section(), tree.material(), compute)
    (tree.root / path).write_bytes(b"no image")
    with pytest.raises(FornixError, match="can't be read"):
        prepare(section(), tree.material(), compute)


def test_low_pass_and_glm_exclude_each_other(tree, compute):
    tree.bold(noise())
    with pytest.raises(FornixError, match="low-pass"):
        prepare(section("lss", low_pass=0.1), tree.material(), compute)


@pytest.mark.parametrize("method", ["lsa", "lss"])
def test_planted_responses_come_back_under_drift_and_motion(tree, compute, method):
    rng = np.random.default_rng(4)
    n, onset = 150, 10 + 9 * np.arange(28.0) + rng.uniform(0, 2, 28)
    events = pd.DataFrame({"onset": onset, "duration": 2.0})
    design = make_design(
        events,
        ["a"] * 28,
        events[:0],
        [],
        TR * np.arange(n),
        hrf="glover",
        detrend=False,
        high_pass=None,
        confounds=None,
    )
    planted = rng.normal(3, 1, (28, 60))
    motion = np.cumsum(rng.normal(size=n))
    drift = 20 * np.cos(np.pi * np.arange(n) / n)[:, None]
    series = 500 + design.main @ planted + drift + 2 * motion[:, None]
    series += rng.normal(0, 0.05 * design.main.max(), series.shape)
    path = tree.bold(series.T.reshape(*SHAPE, n).astype(np.float32))
    tree.table(path.replace("bold.nii.gz", "desc-confounds_timeseries.tsv"), trans_x=motion)
    tree.event_table(path, onset=onset, duration=2.0, trial_type="a")
    settings = section(method, standardize=False)
    dataset, _ = prepare(settings, tree.material(), compute)
    r = np.corrcoef(dataset["responses"].values.ravel(), planted.ravel())[0, 1]
    # LSS leaves a trial some of its neighbours' responses; at intervals of 9 s, little.
    assert r > (0.97 if method == "lsa" else 0.9)
    blind, _ = prepare(section(method, standardize=False, confounds=[]), tree.material(), compute)
    assert np.corrcoef(blind["responses"].values.ravel(), planted.ravel())[0, 1] < r - 0.02


def test_start_time_moves_the_volumes(tree, compute):
    data = np.broadcast_to(np.arange(40, dtype=np.float32), (*SHAPE, 40)).copy()
    path = tree.bold(data, sidecar={"StartTime": 1.0})
    tree.event_table(path, onset=[10.0], duration=[4.0])
    settings = section(shift=0.0, detrend=False, high_pass=None, standardize=False)
    dataset, _ = prepare(settings, tree.material(), compute)
    # Volumes 5 and 6 were acquired at 11 and 13 s.
    assert dataset["responses"].values[0, 0] == 5.5


def test_regions_are_the_mask_and_name_the_units(tree, compute):
    path = tree.bold(noise())
    tree.event_table(path, onset=[20.0], duration=[5.0])
    labels = np.zeros(SHAPE)
    labels[0], labels[1] = 1, 2
    tree.image(labels, "derivatives/r/sub-01/func/sub-01_dseg.nii.gz")
    tree.table("derivatives/r/dseg.tsv", index=[1, 2], name=["V1", "V2"])
    settings = section(mask="auto", rois=Rois())
    dataset, _ = prepare(settings, tree.material(), compute)
    assert dataset["roi"].values.tolist() == ["V1"] * 12 + ["V2"] * 12
    assert "mask: the regions themselves" in json.loads(dataset.attrs["steps"])


def test_standardize_samples_by_session(tree, compute):
    for session in ("1", "2"):
        path = tree.bold(noise(seed=int(session), level=100.0 * int(session)), session=session)
        tree.event_table(
            path, onset=20.0 + 10 * np.arange(6), duration=4.0, trial_type=list("abcdef")
        )
    settings = section(standardize=False, detrend=False, high_pass=None, standardize_samples=True)
    dataset, _ = prepare(settings, tree.material(), compute)
    for _, part in dataset.groupby("session"):
        np.testing.assert_allclose(part["responses"].mean("sample"), 0, atol=1e-5)
        np.testing.assert_allclose(part["responses"].std("sample", ddof=1), 1, atol=1e-5)


def test_no_library_warning_reaches_the_user(tree, compute, recwarn):
    path = tree.bold(noise())
    tree.table(path.replace("bold.nii.gz", "desc-confounds_timeseries.tsv"), csf=range(60))
    tree.event_table(path, onset=[20.0, 40.0], duration=0.0, trial_type=["a", "b"])
    prepare(section("lss", noise="ar1"), tree.material(), compute)
    prepare(section("trial"), tree.material(), compute)
    assert not [str(one.message) for one in recwarn]


@pytest.mark.real
@pytest.mark.parametrize("shift", [0.0, 2.5])
def test_haxby_blocks_are_decoded_as_well_as_by_a_plain_analysis(real_data, tree, compute, shift):
    """A plain analysis gives 0.77 with this classifier; chance is 0.125."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    tree.root = real_data("haxby2001-slice")
    for path in sorted(tree.root.glob("sub-01/func/*_bold.nii.gz")):
        known = {"sampling_frequency": 0.4, "n_samples": 121, "suffix": "bold"}
        name = tree.recording(path.relative_to(tree.root).as_posix(), **known)
        table = pd.read_csv(str(path).replace("bold.nii.gz", "events.tsv"), sep="\t")
        tree.event_table(name, **{key: table[key] for key in table})
    settings = section(mask="auto", shift=shift, high_pass=None)
    dataset, _ = prepare(settings, tree.material(), compute)
    X, y = dataset["responses"].values, dataset["trial_type"].values.astype(str)
    assert X.shape[0] == 96
    assert 500 <= X.shape[1] <= 530
    model = make_pipeline(StandardScaler(), RidgeClassifier())
    runs = dataset["run"].values.astype(str)
    predicted = cross_val_predict(model, X, y, groups=runs, cv=LeaveOneGroupOut())
    assert (predicted == y).mean() >= 0.76
    shuffled = np.concatenate(
        [
            np.random.default_rng(i).permutation(y[runs == run])
            for i, run in enumerate(np.unique(runs))
        ]
    )
    predicted = cross_val_predict(model, X, shuffled, groups=runs, cv=LeaveOneGroupOut())
    # Three standard errors of 96 guesses at 1 in 8.
    assert (predicted == shuffled).mean() < 0.125 + 3 * np.sqrt(0.125 * 0.875 / 96)
