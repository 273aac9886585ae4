from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fornix.preprocess.samples import sample_coords, sample_table, zscore_by_session


@pytest.fixture
def recording():
    return pd.Series({"recording": "a_bold.nii.gz", "session": None, "run": "01"})


def events(**columns):
    known = {"recording": "a", "file": "f", "row": [0, 1], "onset": [1.0, 2.0], "duration": 0.0}
    return pd.DataFrame(known | columns)


def test_missing_strings_are_empty_and_missing_numbers_stay_missing(recording):
    table = sample_table(events(trial_type=["x", None], rt=[0.5, np.nan]), recording)
    coords = sample_coords([table])
    assert coords["trial_type"][1].tolist() == ["x", ""]
    assert coords["session"][1].tolist() == ["", ""]
    assert coords["stimulus"][1].tolist() == ["", ""]
    np.testing.assert_equal(coords["rt"][1], [0.5, np.nan])


def test_no_column_takes_the_name_of_a_dimension(recording):
    coords = sample_coords([sample_table(events(sample=[10, 20], time=[1, 2]), recording)])
    assert {"sample", "time"}.isdisjoint(coords)
    assert coords["event_sample"][1].tolist() == [10, 20]


def test_runs_with_other_columns_join_and_trials_are_counted(recording):
    first = sample_table(events(only_here=["u", "v"]), recording)
    coords = sample_coords([first, sample_table(events(), recording)])
    assert coords["only_here"][1].tolist() == ["u", "v", "", ""]
    assert coords["trial"][1].tolist() == [0, 1, 2, 3]
    assert coords["recording"][1].tolist() == ["a_bold.nii.gz"] * 4


def test_zscore_by_session_agrees_with_scipy():
    from scipy.stats import zscore

    rng = np.random.default_rng(0)
    values = rng.normal(5, 3, (30, 4)).astype(np.float32)
    values[:, 3] = 7
    sessions = np.repeat(["1", "2"], [10, 20])
    found = zscore_by_session(values, sessions)
    for session in "12":
        mine = sessions == session
        expected = zscore(values[mine, :3].astype(float), ddof=1)
        np.testing.assert_allclose(found[mine, :3], expected, atol=1e-5)
    assert (found[:, 3] == 0).all()
