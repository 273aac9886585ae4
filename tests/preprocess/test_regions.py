from __future__ import annotations

import numpy as np
import pytest

from fornix.errors import FornixError
from fornix.preprocess.grids import common_grid
from fornix.preprocess.material import Journal
from fornix.preprocess.regions import region_names
from fornix.study.responses import Rois

SHAPE = (4, 3, 2)


@pytest.fixture
def labelled(tree):
    """Return a tree with one run and a label image: 1 in the first half, 7 in the second."""
    tree.bold(np.random.default_rng(0).normal(size=(*SHAPE, 5)).astype(np.float32))
    labels = np.zeros(SHAPE)
    labels[1], labels[2:] = 1, 7
    tree.image(labels, "derivatives/a/sub-01/func/sub-01_desc-areas_dseg.nii.gz")
    return tree, labels


def regions(tree, journal=None, **settings):
    material = tree.material()
    grid = common_grid(material.recordings, tree.root)
    return region_names(Rois(**settings), grid, material, journal or Journal())


def test_names_come_from_the_inherited_table(labelled):
    tree, labels = labelled
    tree.table("derivatives/a/desc-areas_dseg.tsv", index=[1, 7, 9], name=["V1", "LOC", "IPS"])
    tree.table("derivatives/a/desc-other_dseg.tsv", index=[1, 7], name=["no", "no"])
    names = regions(tree)
    assert set(names[labels == 1]) == {"V1"}
    assert set(names[labels == 7]) == {"LOC"}
    assert set(names[labels == 0]) == {""}


def test_the_table_beside_the_image_wins(labelled):
    tree, labels = labelled
    tree.table("derivatives/a/desc-areas_dseg.tsv", index=[1], name=["far"])
    tree.table("derivatives/a/sub-01/func/sub-01_desc-areas_dseg.tsv", index=[1], name=["near"])
    assert set(regions(tree)[labels == 1]) == {"near"}


def test_labels_without_a_name_are_numbers_and_patterns_choose(labelled):
    tree, labels = labelled
    tree.table("derivatives/a/desc-areas_dseg.tsv", index=[1], name=["V1"])
    assert set(regions(tree)[labels == 7]) == {"7"}
    chosen = regions(tree, names=["v*"])
    assert set(np.unique(chosen)) == {"", "V1"}


def test_masks_are_regions_by_their_label(tree):
    tree.bold(np.random.default_rng(0).normal(size=(*SHAPE, 5)).astype(np.float32))
    stem = "derivatives/a/sub-01/func/sub-01"
    left, right, both = (np.zeros(SHAPE) for _ in range(3))
    left[0], right[3], both[:2] = 1, 1, 1
    tree.image(left, f"{stem}_hemi-L_label-FFA_mask.nii.gz")
    tree.image(right, f"{stem}_hemi-R_label-FFA_mask.nii.gz")
    tree.image(both, f"{stem}_label-PPA_mask.nii.gz")
    tree.image(np.ones(SHAPE), f"{stem}_desc-brain_mask.nii.gz")
    journal = Journal()
    names = regions(tree, journal, suffix="mask")
    assert set(np.unique(names)) == {"", "FFA_L", "FFA_R", "PPA"}
    assert set(names[0].ravel()) == {"FFA_L"}
    assert [(one["what"], one["n"]) for one in journal.exclusions] == [
        ("voxel of a second region", 6)
    ]
    # A region that isn't asked for takes no voxel from one that is.
    assert (regions(tree, suffix="mask", names=["PPA"])[0] == "PPA").all()


def test_errors_say_what_there_is(labelled):
    tree, _ = labelled
    tree.table("derivatives/a/desc-areas_dseg.tsv", index=[1, 7], name=["V1", "LOC"])
    with pytest.raises(FornixError, match="no region is called like") as caught:
        regions(tree, names=["LOK"])
    assert "LOC" in caught.value.mend
    with pytest.raises(FornixError, match="desc-nope") as caught:
        regions(tree, description="nope")
    assert "desc-areas_dseg" in caught.value.mend
    tree.image(np.ones(SHAPE), "derivatives/a/sub-01/func/sub-01_desc-more_dseg.nii.gz")
    with pytest.raises(FornixError, match="2 label images") as caught:
        regions(tree)
    assert "areas, more" in caught.value.mend


def test_a_label_image_on_another_grid_is_refused(tree):
    tree.bold(np.random.default_rng(0).normal(size=(*SHAPE, 5)).astype(np.float32))
    moved = np.diag([3.0, 3.0, 3.0, 1.0])
    moved[0, 3] = 40
    tree.image(np.ones(SHAPE), "derivatives/a/sub-01/func/sub-01_dseg.nii.gz", affine=moved)
    with pytest.raises(FornixError, match="affine"):
        regions(tree)


def test_a_table_without_the_bids_columns_is_refused(labelled):
    tree, _ = labelled
    tree.table("derivatives/a/desc-areas_dseg.tsv", number=[1], label=["V1"])
    with pytest.raises(FornixError, match="index and name"):
        regions(tree)
