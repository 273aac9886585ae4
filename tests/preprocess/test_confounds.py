from __future__ import annotations

import numpy as np
import pytest

from fornix.errors import FornixError
from fornix.preprocess.confounds import confounds_of
from fornix.preprocess.material import Journal

STEM = "derivatives/f/sub-01/func/sub-01_task-t_run-01_desc-confounds"


@pytest.fixture
def scanned(tree):
    tree.bold(np.random.default_rng(0).normal(size=(2, 2, 2, 4)).astype(np.float32))
    return tree


def read(tree, wanted="auto", n=4):
    material, journal = tree.material(), Journal()
    found = confounds_of(wanted, material.recordings.iloc[0], n, material, journal)
    return found, journal


def test_auto_takes_motion_and_tissue_and_no_more(scanned):
    columns = {"trans_x": [1, 2, 3, 5], "rot_z": [0, 1, 0, 1], "csf": [9, 8, 9, 7]}
    scanned.table(f"{STEM}_timeseries.tsv", global_signal=[1, 2, 3, 4], **columns)
    found, journal = read(scanned)
    np.testing.assert_array_equal(found, np.column_stack(list(columns.values())))
    assert journal.steps == ["confounds regressed out: trans_x, rot_z, csf"]


def test_a_missing_first_row_becomes_the_mean(scanned):
    scanned.table(f"{STEM}_timeseries.tsv", trans_x_derivative1=[None, 1.0, 2.0, 6.0])
    found, _ = read(scanned, ["trans_*"])
    assert found.ravel().tolist() == [3.0, 1.0, 2.0, 6.0]


def test_columns_that_do_not_vary_are_left_out_and_counted(scanned):
    scanned.table(f"{STEM}_timeseries.tsv", a=[1, 1, 1, 1], b=[None] * 4, c=[1, 2, 1, 2])
    found, journal = read(scanned, ["*"])
    assert found.shape == (4, 1)
    assert journal.exclusions[0]["n"] == 2
    assert "a, b" in journal.exclusions[0]["detail"]


def test_the_old_name_of_the_table_is_known(scanned):
    scanned.table(f"{STEM}_regressors.tsv", csf=[1, 2, 3, 1])
    assert read(scanned)[0].shape == (4, 1)


def test_another_runs_table_does_not_apply(scanned):
    scanned.table(f"{STEM}_timeseries.tsv".replace("run-01", "run-02"), csf=[1, 2, 3, 1])
    assert read(scanned)[0] is None


def test_errors(scanned):
    with pytest.raises(FornixError, match="no confounds table"):
        read(scanned, ["csf"])
    scanned.table(f"{STEM}_timeseries.tsv", csf=[1, 2, 3])
    with pytest.raises(FornixError, match="3 rows and its run 4 volumes") as caught:
        read(scanned)
    assert "timeseries.tsv" in caught.value.where
    assert "bold.nii.gz" in caught.value.where
    with pytest.raises(FornixError, match="'cfs'") as caught:
        read(scanned, ["cfs"], n=3)
    assert "csf" in caught.value.mend
    assert read(scanned, [])[0] is None
