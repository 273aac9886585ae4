"""Gabor pyramid: oriented contrast energy at several scales, as in complex cells of V1.

Each filter is a Gaussian window on a complex grating; the size of its answer is the square root
of the summed squares of a quadrature pair, which is blind to the grating's phase (Adelson &
Bergen 1985, J Opt Soc Am A 2:284). A bank of them over orientations and octaves, averaged over
places, is the model with which Kay et al. (2008, Nature 452:352) identified natural pictures
from visual cortex.

The bank works in the frequency domain, where such a filter is a Gaussian bump on one side of the
origin. Coarse levels have no high frequencies, so that they are computed on fewer samples: the
spectrum is cropped before it is transformed back. Pictures are mirrored at their borders, which
makes them periodic without a step; a picture's edge is no contour then.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import scipy.fft
from numpy.typing import NDArray

from fornix.features.extractor import Batched, Context, Layers
from fornix.features.images import squares
from fornix.features.layers import select_layers
from fornix.features.modality import require
from fornix.study.features.gabor import GaborFeatures

FINEST = 0.25
"""Frequency of level 1, cycles/pixel: an octave below the highest that pixels carry."""

BANDWIDTH = 1.0
"""Full width at half height, octaves: that of a typical simple cell (De Valois et al. 1982,
Vision Res 22:545)."""

_RATIO = (2**BANDWIDTH - 1) / (2**BANDWIDTH + 1)
SPREAD = _RATIO / math.sqrt(2 * math.log(2))
"""Standard deviation of the bump, in units of its frequency."""

WORKING_BYTES = 256 << 10
"""Memory for the answers of one filter to the pictures at hand: what a core's own cache holds.
Transforms of more at once are up to four times slower."""

BATCH = 64
WHERE = "features (kind: gabor)"


@dataclass(frozen=True)
class Level:
    """The filters of one scale, ready to multiply a cropped spectrum.

    Attributes
    ----------
    name
        ``level1`` for the finest.
    frequency
        Cycles/pixel of the resized picture.
    crop
        Rows (and columns) of the mirrored picture's spectrum to keep.
    filters
        complex64 (orientation, crop, crop).
    places
        float32 (grid, crop // 2): weights that average samples over each place.
    """

    name: str
    frequency: float
    crop: NDArray[np.intp]
    filters: NDArray[np.complex64]
    places: NDArray[np.float32]


@lru_cache(maxsize=2)
def filter_bank(size: int, n_levels: int, n_orientations: int, grid: int) -> list[Level]:
    """Return the filters of every level, finest first.

    Orientation ``i`` has its wave vector at ``180 * i / n_orientations`` degrees, from the
    columns' axis (to the right) towards the rows' axis (down), as in
    :func:`skimage.filters.gabor_kernel`: 0 is a grating of vertical stripes. A grating of
    amplitude *a* at a filter's own frequency and orientation has energy *a*; uniform light has 0.

    Parameters
    ----------
    size
        Side of the pictures, pixels.
    n_levels, n_orientations
        Scales and orientations.
    grid
        Places a side.
    """
    angles = np.pi * np.arange(n_orientations) / n_orientations
    return [_level(size, i, angles, grid) for i in range(n_levels)]


def _level(size: int, index: int, angles: NDArray[np.float64], grid: int) -> Level:
    frequency = FINEST / 2**index
    # Twice the frequency is 3.5 standard deviations above it: half the sampling rate suffices.
    # Two samples a place or more keep the averages from taking in their neighbours.
    n = min(2 * size, max(2 * math.ceil(4 * size * frequency), 4 * grid))
    kept = np.fft.fftfreq(n, 1 / n).round().astype(np.intp)
    waves = kept / (2 * size)  # cycles/pixel
    across, down = waves[None, :], waves[:, None]
    filters = np.empty((len(angles), n, n), dtype=np.complex64)
    # Samples stand in the middle of the pixels that they replace: shifted by half the difference.
    shift = np.exp(2j * np.pi * waves * (2 * size / n - 1) / 2)
    for at, angle in enumerate(angles):
        distance = (across - frequency * np.cos(angle)) ** 2
        distance = distance + (down - frequency * np.sin(angle)) ** 2
        bump = np.exp(-0.5 * distance / (SPREAD * frequency) ** 2)
        bump[0, 0] = 0  # uniform light drives no complex cell
        # A real grating has half its amplitude on each side of the origin.
        filters[at] = 2 * bump * shift[:, None] * shift[None, :] * (n / (2 * size)) ** 2
    return Level(f"level{index + 1}", frequency, kept % (2 * size), filters, _places(grid, n // 2))


def _places(grid: int, n: int) -> NDArray[np.float32]:
    """Return (grid, n) weights: the share of each of ``n`` samples in each of ``grid`` cells."""
    cells = np.linspace(0, n, grid + 1)
    start, end = np.arange(n), np.arange(1, n + 1)
    overlap = np.minimum(end, cells[1:, None]) - np.maximum(start, cells[:-1, None])
    return (overlap.clip(min=0) / (n / grid)).astype(np.float32)


def energy(
    images: NDArray[np.float32], levels: list[Level], threads: int = 1
) -> dict[str, NDArray[np.float32]]:
    """Return the energy of pictures.

    Parameters
    ----------
    images
        float32 (picture, size, size), grey.
    levels
        Filters, from :func:`filter_bank`.
    threads
        Threads, each with some of the pictures; they don't change a number.

    Returns
    -------
    dict
        Level name -> float32 (picture, orientation * row * column), in that order, in the units
        of the pictures' amplitude.
    """
    at_once = max(1, WORKING_BYTES // (8 * (2 * images.shape[1]) ** 2))
    parts = [images[start : start + at_once] for start in range(0, len(images), at_once)]
    if threads == 1:
        found = [_energy(part, levels) for part in parts]
    else:
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(lambda part: _energy(part, levels), parts))
    return {level.name: np.concatenate([one[level.name] for one in found]) for level in levels}


def _energy(images: NDArray[np.float32], levels: list[Level]) -> dict[str, NDArray[np.float32]]:
    size = images.shape[1]
    # The mean is no contrast; taken off first, it costs no precision.
    images = images - images.mean((1, 2), keepdims=True)
    mirrored = np.pad(images, ((0, 0), (0, size), (0, size)), mode="symmetric")
    spectrum = scipy.fft.fft2(mirrored)
    found = {}
    for level in levels:
        cropped = spectrum[:, level.crop[:, None], level.crop[None, :]]
        half, grid = len(level.crop) // 2, len(level.places)
        averages = np.empty((len(images), len(level.filters), grid, grid), dtype=np.float32)
        for at, one in enumerate(level.filters):
            answers = scipy.fft.ifft2(cropped * one, overwrite_x=True)
            amplitude = np.abs(answers[:, :half, :half])
            averages[:, at] = level.places @ amplitude @ level.places.T
        found[level.name] = averages.reshape(len(images), -1)
    return found


@contextmanager
def open_extractor(
    section: GaborFeatures, rows: pd.DataFrame, context: Context
) -> Iterator[Batched]:
    """Give the layers ``level1`` (finest) to ``levelN``.

    Rows are float32 (orientation * row * column), units of luminance (0..1).

    Raises
    ------
    FornixError
        If a stimulus isn't a picture, or can't be read.
    """
    require(rows, "image", what="gabor", where=WHERE)
    bank = filter_bank(section.size, section.n_levels, section.n_orientations, section.grid)
    kept = select_layers([level.name for level in bank], section.layers, where=WHERE)
    levels = [level for level in bank if level.name in kept]

    def compute(some: pd.DataFrame) -> Layers:
        images = squares(some, context, mode="L", side=section.size)
        return energy(images, levels, context.resources.threads)

    size = section.n_orientations * section.grid**2
    yield Batched({level.name: (size,) for level in levels}, compute, BATCH, context)
