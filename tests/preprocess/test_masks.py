from __future__ import annotations

import numpy as np
import pytest

from fornix.errors import FornixError
from fornix.preprocess.grids import common_grid
from fornix.preprocess.masks import above_background, brain_mask
from fornix.preprocess.material import Journal

SHAPE = (16, 16, 12)


@pytest.fixture
def head(tree):
    """Return a tree with one run, a bright ball in noise, and its mean image."""
    place = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij")) - 7
    ball = (place**2).sum(axis=0) < 36
    rng = np.random.default_rng(0)
    data = rng.normal(5, 1, (*SHAPE, 10)) + 1000.0 * ball[..., None]
    tree.bold(data.astype(np.float32))
    return tree, ball, data.mean(axis=3).astype(np.float32)


def mask(how, tree, mean, journal=None):
    material = tree.material()
    grid = common_grid(material.recordings, tree.root)
    return brain_mask(how, grid, mean, material, journal or Journal())


def test_epi_finds_the_head(head):
    tree, ball, mean = head
    found = mask("epi", tree, mean)
    # nilearn opens the mask, which takes the corners of a ball this small.
    assert (found & ball).sum() > 0.75 * ball.sum()
    assert not (found & ~ball).any()


def test_auto_without_a_mask_is_epi_for_volumes(head):
    tree, _, mean = head
    journal = Journal()
    np.testing.assert_array_equal(mask("auto", tree, mean, journal), mask("epi", tree, mean))
    assert "compute_epi_mask" in journal.steps[0]


def test_auto_prefers_the_datasets_mask_and_passes_by_others(head):
    tree, ball, mean = head
    tree.image(np.ones((4, 4, 4)), "derivatives/p/sub-01/anat/sub-01_desc-brain_mask.nii.gz")
    tree.image(np.ones(SHAPE), "derivatives/p/sub-01/func/sub-01_space-MNI_desc-brain_mask.nii.gz")
    tree.image(np.ones(SHAPE), "derivatives/p/sub-02/func/sub-02_task-t_desc-brain_mask.nii.gz")
    tree.image(ball, "derivatives/p/sub-01/func/sub-01_task-t_desc-brain_mask.nii.gz")
    np.testing.assert_array_equal(mask("auto", tree, mean), ball)


def test_masks_of_several_runs_are_intersected(head):
    tree, ball, mean = head
    tree.bold(np.random.default_rng(1).normal(size=(*SHAPE, 4)).astype(np.float32), run="02")
    smaller = ball.copy()
    smaller[:7] = False
    stem = "derivatives/p/sub-01/func/sub-01_task-t"
    tree.image(ball, f"{stem}_run-01_desc-brain_mask.nii.gz")
    tree.image(smaller, f"{stem}_run-02_desc-brain_mask.nii.gz")
    np.testing.assert_array_equal(mask("auto", tree, mean), smaller)


def test_a_slice_keeps_every_voxel_above_the_background(tree):
    mean = np.full((10, 8, 1), 1500.0, np.float32)
    mean[:3] = 0
    tree.bold(np.repeat(mean[..., None], 3, axis=3))
    journal = Journal()
    found = mask("auto", tree, mean, journal)
    np.testing.assert_array_equal(found, mean > 0)
    assert "56 of 80 voxels" in journal.steps[0]


def test_centred_data_have_no_background():
    mean = np.array([[[-1.0, 0.0], [2.0, np.nan]]], np.float32)
    assert above_background(mean).tolist() == [[[True, False], [True, False]]]


def test_all_and_a_path(head):
    tree, ball, mean = head
    assert mask("all", tree, mean).all()
    tree.image(ball, "masks/mine.nii.gz", listed=False)
    np.testing.assert_array_equal(mask("masks/mine.nii.gz", tree, mean), ball)


@pytest.mark.parametrize("path", ["../secret.nii.gz", "/etc/mask.nii.gz", "a/../../b.nii.gz"])
def test_a_mask_outside_the_dataset_is_refused(head, path):
    tree, _, mean = head
    with pytest.raises(FornixError, match="outside the dataset"):
        mask(path, tree, mean)


def test_a_mask_that_is_not_there_or_elsewhere_or_empty(head):
    tree, _, mean = head
    with pytest.raises(FornixError, match="no mask image") as caught:
        mask("epy", tree, mean)
    assert "epi" in caught.value.mend
    tree.image(np.ones((4, 4, 4)), "small.nii.gz", listed=False)
    with pytest.raises(FornixError, match="16 x 16 x 12 and 4 x 4 x 4") as caught:
        mask("small.nii.gz", tree, mean)
    assert "bold.nii.gz" in caught.value.where
    tree.image(np.zeros(SHAPE), "empty.nii.gz", listed=False)
    with pytest.raises(FornixError, match="no voxel"):
        mask("empty.nii.gz", tree, mean)
