"""Every volume a sample: time courses of regions as tables, and voxels."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from nilearn.signal import clean
from scipy.signal import detrend

from fornix.errors import FornixError
from fornix.preprocess import fmri
from fornix.preprocess.timeseries import prepare
from fornix.preprocess.volumes import shown_events
from fornix.study.responses import FmriResponses, FmriSamples, TimeseriesResponses

TR, N = 2.0, 120


def section(**settings):
    return TimeseriesResponses(kind="timeseries", dataset="d", **settings)


def courses(seed=0, n=N, names=("LPTL", "LIFG", "other")):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(100 + rng.normal(size=(n, len(names))).cumsum(0), columns=names).round(4)


def write(tree, table, run="01", start=0.0):
    path = f"sub-01/func/sub-01_task-t_run-{run}_desc-roi_timeseries.tsv"
    tree.table(path, **table)
    known = {"sampling_frequency": 1 / TR, "n_samples": len(table), "suffix": "timeseries"}
    return tree.recording(path, sidecar={"StartTime": start}, **known)


def test_volumes_are_samples_with_their_times(tree, compute):
    first, second = courses(), courses(1, n=90)
    one, two = write(tree, first, start=0.5), write(tree, second, run="02")
    raw = section(detrend=False, high_pass=None, standardize=False)
    dataset, notes = prepare(raw, tree.material(), compute)
    array = dataset["responses"]
    assert array.dims == ("sample", "unit")
    np.testing.assert_allclose(array, np.concatenate([first, second]), rtol=1e-6)
    assert list(dataset["unit"].values) == list(dataset["roi"].values) == list(first.columns)
    assert list(dataset["recording"].values) == [one] * N + [two] * 90
    assert list(dataset["run"].values) == ["01"] * N + ["02"] * 90
    expected = np.r_[0.5 + TR * np.arange(N), TR * np.arange(90)]
    np.testing.assert_allclose(dataset["onset"], expected)
    assert set(dataset["duration"].values) == {TR}
    assert dataset.attrs["samples"] == "volumes"
    assert notes["n_samples"] == 210


@pytest.mark.filterwarnings("ignore:From release 0.14.0")
def test_cleaning_is_nilearns(tree, compute):
    table = courses()
    path = write(tree, table)
    motion = np.random.default_rng(3).normal(size=(N, 2))
    confounds = path.replace("desc-roi", "desc-confounds")
    tree.table(confounds, rot_x=motion[:, 0], rot_y=motion[:, 1], white_matter=np.arange(N))
    settings = section(high_pass=0.01, confounds=["rot_*"])
    dataset, _ = prepare(settings, tree.material(), compute)
    expected = clean(
        table.to_numpy(np.float32).astype(float), confounds=motion, filter="cosine",
        high_pass=0.01, t_r=TR, standardize="zscore_sample", detrend=True,
    )  # fmt: skip
    np.testing.assert_allclose(dataset["responses"], expected, atol=1e-3)
    assert any("rot_x, rot_y" in step for step in json.loads(dataset.attrs["steps"]))


def test_a_slow_drift_of_the_head_does_not_stop_the_high_pass(tree, compute):
    """nilearn drops all cosines where one correlates with a confound by more than 0.9."""
    table = courses()
    path = write(tree, table)
    slow = np.cos(np.pi * (np.arange(N) + 0.5) / N)
    tree.table(path.replace("desc-roi", "desc-confounds"), trans_x=slow)
    dataset, _ = prepare(section(high_pass=0.02), tree.material(), compute)
    spectrum = np.abs(np.fft.rfft(detrend(dataset["responses"].values, axis=0), axis=0)) ** 2
    frequency = np.fft.rfftfreq(N, TR)
    below = spectrum[(frequency > 0) & (frequency < 0.012)].sum()
    assert below < 0.02 * spectrum.sum()


def test_a_subject_without_confounds_is_noted(tree, compute):
    write(tree, courses())
    for wanted in ("auto", ["trans_*"]):
        dataset, _ = prepare(section(confounds=wanted), tree.material(), compute)
        assert "confounds: the dataset has no table" in json.loads(dataset.attrs["steps"])


def test_units_are_chosen_by_patterns(tree, compute):
    write(tree, courses())
    dataset, _ = prepare(section(units=["L*"]), tree.material(), compute)
    assert list(dataset["unit"].values) == ["LPTL", "LIFG"]
    with pytest.raises(FornixError, match="no column like 'LPTM'") as caught:
        prepare(section(units=["LPTM"]), tree.material(), compute)
    assert "LPTL" in str(caught.value.mend)


def test_runs_of_other_regions_and_flat_ones_are_errors(tree, compute):
    write(tree, courses())
    write(tree, courses(names=("LPTL", "LIFG", "more")), run="02")
    with pytest.raises(FornixError, match="regions aren't those"):
        prepare(section(), tree.material(), compute)
    tree.recordings.pop()
    write(tree, courses().assign(LIFG=3.0), run="03")
    with pytest.raises(FornixError, match="LIFG is constant"):
        prepare(section(), tree.material(), compute)


def test_voxels_may_be_taken_volume_by_volume(tree, compute):
    data = np.random.default_rng(0).normal(100, 1, (3, 3, 2, 50)).astype(np.float32)
    path = tree.bold(data, sidecar={"StartTime": 1.0})
    tree.event_table(path, onset=[4.0], stimulus=["s"])
    settings = FmriResponses(
        kind="fmri", dataset="d", mask="all", samples=FmriSamples(method="volumes"),
        detrend=False, high_pass=None, standardize=False,
    )  # fmt: skip
    dataset, _ = fmri.prepare(settings, tree.material(), compute)
    np.testing.assert_allclose(dataset["responses"], data.reshape(18, 50).T, rtol=1e-6)
    np.testing.assert_allclose(dataset["onset"], 1.0 + TR * np.arange(50))
    assert dataset.attrs["samples"] == "volumes"
    assert settings.continuous


def test_events_keep_what_describes_them():
    events = pd.DataFrame(
        {
            "recording": ["b", "a", "a"],
            "file": "x",
            "row": [0, 1, 0],
            "onset": [1.0, 5.0, 2.0],
            "duration": 0.1,
            "trial_type": "word",
            "stimulus": ["s1", "s2", "s3"],
            "level": [1, 2, 3],
        }
    )
    found = shown_events(events)
    assert list(found["stimulus"]) == ["s3", "s2", "s1"]
    assert "file" not in found
    assert list(found["level"]) == [3, 2, 1]
