from __future__ import annotations

import pandas as pd

from fornix.preprocess.companions import entity, matching


def found(tree, recording="sub-01_task-t_run-01_bold.nii.gz", **keys):
    row = {"recording": recording, "subject": "01", "task": "t", "run": "01"} | keys
    material = tree.material()
    table = matching(material.companions, pd.Series(row), "mask", extensions=(".nii.gz",))
    return table["path"].tolist()


def test_a_file_applies_if_each_of_its_entities_is_the_recordings(tree):
    for name in (
        "sub-01_task-t_run-01_mask.nii.gz",
        "sub-01_mask.nii.gz",
        "mask.nii.gz",
        "sub-02_mask.nii.gz",
        "sub-01_run-02_mask.nii.gz",
        "sub-01_task-u_mask.nii.gz",
        "sub-01_acq-x_mask.nii.gz",
        "sub-01_space-MNI_mask.nii.gz",
        "sub-01_mask.tsv",
    ):
        tree.companion(name)
    own, general = ["sub-01_task-t_run-01_mask.nii.gz"], ["sub-01_mask.nii.gz", "mask.nii.gz"]
    # A recording without a space may use a mask of any; its grid decides later.
    assert found(tree) == [*own, "sub-01_space-MNI_mask.nii.gz", *general]
    assert found(tree, space="T1w") == [*own, *general]
    name = "sub-01_task-t_acq-x_run-01_bold.nii.gz"
    assert "sub-01_acq-x_mask.nii.gz" in found(tree, recording=name)


def test_none_is_an_empty_table(tree):
    assert found(tree) == []


def test_entities_of_a_name():
    assert entity("a/sub-01_hemi-L_label-V1_mask.nii.gz", "hemi") == "L"
    assert entity("a/sub-01_mask.nii.gz", "label") == ""
