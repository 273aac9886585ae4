"""Voxel grids: the runs of a subject must share one, and masks must lie on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pandas as pd

from fornix.errors import FornixError
from fornix.preprocess.material import name_of

TOLERANCE_MM = 1e-2
IMAGES = (".nii.gz", ".nii")

Affine = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Grid:
    """The voxels of an image: counts along the axes, and the affine to millimetres."""

    shape: tuple[int, ...]
    affine: Affine
    path: str

    def differs(self, other: Grid) -> str:
        """Return how another grid differs, or an empty string."""
        if self.shape != other.shape:
            return f"{_by(self.shape)} and {_by(other.shape)} voxels"
        if not np.allclose(self.affine, other.affine, atol=TOLERANCE_MM):
            return "the same number of voxels, but elsewhere in space (affine)"
        return ""


def load_image(root: Path, path: str) -> Any:
    """Open an image without reading its voxels.

    Raises
    ------
    FornixError
        If it isn't there or isn't an image.
    """
    try:
        return nib.load(root / path)
    except (OSError, nib.filebasedimages.ImageFileError) as error:
        problem = f"the image can't be read: {error}"
        mend = "restore the file; nibabel reads .nii and .nii.gz"
        raise FornixError(problem, where=path, mend=mend) from None


def grid_of(image: Any, path: str) -> Grid:
    """Return the spatial grid of a 3D or 4D image."""
    return Grid(tuple(image.shape[:3]), np.asarray(image.affine, dtype=np.float64), path)


def common_grid(recordings: pd.DataFrame, root: Path) -> Grid:
    """Return the grid that all recordings share.

    Raises
    ------
    FornixError
        If one isn't 4D, or two recordings differ; the message names both.
    """
    first: Grid | None = None
    for _, recording in recordings.iterrows():
        path = name_of(recording)
        image = load_image(root, path)
        if len(image.shape) != 4 or image.shape[3] < 2:
            problem = f"a BOLD run must be 4D, with volumes along the last axis, not {image.shape}"
            raise FornixError(problem, where=path, mend="leave the file out with `select`")
        grid = grid_of(image, path)
        first = first or grid
        if difference := first.differs(grid):
            problem = f"runs of one subject lie on different voxel grids: {difference}"
            mend = "select recordings in one `space` (or one session), or realign and resample them"
            raise FornixError(problem, where=f"{first.path} and {path}", mend=mend)
    if first is None:
        problem = "no BOLD recording was selected"
        raise FornixError(problem, mend="widen `select`")
    return first


def lies_on(grid: Grid, root: Path, path: str) -> bool:
    """Return whether an image has the voxels of a grid, from its header."""
    return not grid.differs(grid_of(load_image(root, path), path))


def labels_on(grid: Grid, root: Path, path: str) -> npt.NDArray[np.int64]:
    """Read a 3D image of integer labels (or a mask) that lies on a grid.

    Raises
    ------
    FornixError
        If it lies on another grid.
    """
    image = load_image(root, path)
    mine = grid_of(image, path)
    if difference := grid.differs(mine):
        problem = f"the image isn't on the recordings' voxel grid: {difference}"
        mend = "resample it to the recordings (nilearn.image.resample_to_img, nearest)"
        raise FornixError(problem, where=f"{path} and {grid.path}", mend=mend)
    values = np.asarray(image.dataobj, dtype=np.float64).reshape(*grid.shape, -1)
    if values.shape[-1] != 1:
        problem = f"a mask or label image must be 3D, not {image.shape}"
        raise FornixError(problem, where=path, mend="save one volume")
    return np.rint(np.nan_to_num(values[..., 0])).astype(np.int64)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
