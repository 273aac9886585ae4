"""Where simulated voxels lie, and images of them that are the same bytes every time."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

VOXEL_MM = 3.0


@dataclass(frozen=True)
class Layout:
    """A brain of slabs, one region a slice, in air.

    Attributes
    ----------
    names
        Regions, in the order of their labels.
    labels
        (i, j, k): 0 in air, 1 in the first region, and so on.
    """

    names: tuple[str, ...]
    labels: NDArray[np.int_]

    def fill(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a series of volumes, (i, j, k, volume), from (volume, voxel); air is 0."""
        volume = np.zeros((*self.labels.shape, len(values)))
        where = np.nonzero(self.labels)
        # Voxels come region by region, and within a region as numpy walks through the volume.
        order = np.argsort(self.labels[where], kind="stable")
        volume[tuple(axis[order] for axis in where)] = values.T
        return volume


def lay_out(names: Sequence[str], n_voxels: int) -> Layout:
    """Lay regions of ``n_voxels`` voxels each above one another, a voxel of air around."""
    side = int(np.ceil(np.sqrt(n_voxels)))
    labels = np.zeros((side + 2, side + 2, len(names) + 2), dtype=int)
    for k in range(len(names)):
        slab = np.zeros(side * side, dtype=int)
        slab[:n_voxels] = k + 1
        labels[1:-1, 1:-1, k + 1] = slab.reshape(side, side)
    return Layout(tuple(names), labels)


def save_image(path: Path, data: NDArray[Any], repetition_time: float | None = None) -> None:
    """Save a NIfTI image: integers as they are, numbers as scaled 16-bit integers.

    Parameters
    ----------
    path
        Ending in ``.nii.gz``.
    data
        (i, j, k) or (i, j, k, volume).
    repetition_time
        s, for a series.
    """
    affine = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
    affine[:3, 3] = -VOXEL_MM * (np.array(data.shape[:3]) - 1) / 2
    image = nib.Nifti1Image(data, affine, dtype=np.uint8 if data.dtype == np.uint8 else np.int16)
    image.header.set_xyzt_units("mm", "sec")
    if repetition_time is not None:
        image.header.set_zooms((VOXEL_MM, VOXEL_MM, VOXEL_MM, repetition_time))
    path.parent.mkdir(parents=True, exist_ok=True)
    # gzip would note the time and the name, and the same world must be the same bytes.
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))
