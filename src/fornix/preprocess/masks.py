"""Which voxels are brain."""

from __future__ import annotations

import warnings
from pathlib import Path, PurePosixPath

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pandas as pd
from nilearn.masking import compute_epi_mask

from fornix.errors import FornixError, did_you_mean
from fornix.preprocess.companions import entity, matching
from fornix.preprocess.grids import IMAGES, Grid, Mask, labels_on, lies_on
from fornix.preprocess.material import Journal, Material

BACKGROUND = 0.1
"""Background: a mean below this share of the 98th percentile of the voxels' means."""

SMALLEST_SIDE = 10
"""Voxels; nilearn's EPI mask opens and connects in 3D, which empties thinner images."""


def brain_mask(
    how: str, grid: Grid, mean: npt.NDArray[np.float32], material: Material, journal: Journal
) -> Mask:
    """Return the brain mask that a section asks for.

    Parameters
    ----------
    how
        ``auto``, ``epi``, ``all`` or a path inside the dataset.
    grid
        The recordings' grid.
    mean : array (i, j, k)
        Mean over the volumes of the first run.
    material, journal
        The subject's tables; what was done.

    Raises
    ------
    FornixError
        If the path leaves the dataset or the mask is empty or lies elsewhere.
    """
    if how == "auto":
        mask, step = _auto(grid, mean, material)
    elif how == "epi":
        mask, step = _epi(grid, mean), "mask: nilearn's compute_epi_mask of the first run's mean"
    elif how == "all":
        mask, step = np.ones(grid.shape, dtype=bool), "mask: every voxel"
    else:
        mask, step = labels_on(grid, material.root, _inside(how, material)) > 0, f"mask: {how}"
    if not mask.any():
        problem = f"the mask '{how}' has no voxel"
        mend = "choose another: auto, epi, all, or the path of a mask image inside the dataset"
        raise FornixError(problem, where=f"responses: mask ({grid.path})", mend=mend)
    journal.step(f"{step} ({int(mask.sum())} of {mask.size} voxels)")
    return mask


def dataset_masks(material: Material) -> list[str]:
    """Return the paths of the dataset's brain masks for these recordings."""
    found = []
    for _, recording in material.recordings.iterrows():
        masks = matching(material.companions, recording, "mask", extensions=IMAGES)
        mine = [path for path in masks["path"] if _same_space(path, recording)]
        whole = [path for path in mine if not entity(path, "label")]
        brains = [path for path in whole if entity(path, "desc") == "brain"]
        plain = [path for path in whole if not entity(path, "desc")]
        found += (brains or plain)[:1]
    return list(dict.fromkeys(found))


def _same_space(path: str, recording: pd.Series) -> bool:
    """Return whether a mask is in the recording's space, and not in an unnamed one."""
    space = entity(str(recording["recording"]), "space")
    return entity(path, "space") == space


def _auto(grid: Grid, mean: npt.NDArray[np.float32], material: Material) -> tuple[Mask, str]:
    # A mask that nobody asked for by name may lie elsewhere: a T1 image's, say.
    if paths := [p for p in dataset_masks(material) if lies_on(grid, material.root, p)]:
        masks = [labels_on(grid, material.root, path) > 0 for path in paths]
        which = paths[0] if len(paths) == 1 else f"where all {len(paths)} agree"
        return np.logical_and.reduce(masks), f"mask: the dataset's brain mask, {which}"
    if min(grid.shape) >= SMALLEST_SIDE and mean.min() >= 0:
        mask = _epi(grid, mean)
        if mask.any():
            return mask, "mask: nilearn's compute_epi_mask of the first run's mean"
    return above_background(mean), "mask: every voxel above the background of the first run's mean"


def _epi(grid: Grid, mean: npt.NDArray[np.float32]) -> Mask:
    image = nib.Nifti1Image(np.nan_to_num(mean), grid.affine)
    with warnings.catch_warnings():
        # An empty mask is this room's own error, with a mend.
        warnings.simplefilter("ignore")
        try:
            return np.asarray(compute_epi_mask(image).dataobj).astype(bool)
        except ValueError:
            return np.zeros(grid.shape, dtype=bool)


def above_background(mean: npt.NDArray[np.float32]) -> Mask:
    """Return the voxels whose mean is above a tenth of the 98th percentile.

    Images whose means aren't positive (centred derivatives) have no such background: there,
    every voxel with a finite mean other than zero is kept.
    """
    finite = np.isfinite(mean)
    if not finite.any():
        return finite
    if mean[finite].min() < 0:
        return np.asarray(finite & (mean != 0))
    return np.asarray(finite & (mean > BACKGROUND * np.percentile(mean[finite], 98)))


def _inside(path: str, material: Material) -> str:
    parts = PurePosixPath(path.replace("\\", "/")).parts
    if Path(path).is_absolute() or ".." in parts:
        problem = f"the mask {path!r} lies outside the dataset"
        mend = "give a path relative to the dataset's folder, without '..'"
        raise FornixError(problem, where="responses: mask", mend=mend)
    if not (material.root / path).is_file():
        known = [str(p) for p in material.companions["path"] if str(p).endswith(IMAGES)]
        hint = did_you_mean(path, ["auto", "epi", "all", *known[:20]])
        problem = f"the dataset has no mask image {path!r}"
        raise FornixError(problem, where="responses: mask", mend=hint)
    return path
