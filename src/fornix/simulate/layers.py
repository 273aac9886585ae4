"""The layers that a world plants, computed by means of its own.

The same definitions as those of the features (``fornix.study.features``), carried out in another
way: Gabor energy by convolution in the image, not by filters in the spectrum. A study that finds
the planted layer has not compared a piece of code with itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import fftconvolve

from fornix.simulate.drawing import Picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

FINEST = 0.25
BANDWIDTH = 0.35
N_ORIENTATIONS = 4
GRID = 8


def layer(name: str, pictures: Sequence[Picture]) -> NDArray[np.float64]:
    """Return a planted layer, (picture, feature).

    Parameters
    ----------
    name
        ``gabor/level<k>``, ``content/category`` or ``content/position``.
    pictures
        The stimuli.
    """
    if name == "content/category":
        known = sorted({picture.category for picture in pictures})
        return np.array([[float(one.category == word) for word in known] for one in pictures])
    if name == "content/position":
        return np.array([[picture.x, picture.y] for picture in pictures])
    level = int(name.removeprefix("gabor/level"))
    return np.array([gabor_energy(picture.luminance, level) for picture in pictures])


def gabor_energy(image: NDArray[np.float64], level: int) -> NDArray[np.float64]:
    """Return the energy of a quadrature pair, averaged over places: (orientation x grid x grid).

    Parameters
    ----------
    image
        (row, column), luminance in 0..1.
    level
        1 is the finest scale (0.25 cycles per pixel), each further one an octave coarser.
    """
    carrier = FINEST / 2 ** (level - 1)
    spread = 1 / (2 * np.pi * BANDWIDTH * carrier)
    reach = int(np.ceil(4 * spread))
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    window = np.exp(-(rows**2 + columns**2) / (2 * spread**2)) / (2 * np.pi * spread**2)
    around = np.pad(image - image.mean(), reach, mode="wrap")
    found = []
    for angle in np.pi * np.arange(N_ORIENTATIONS) / N_ORIENTATIONS:
        along = columns * np.cos(angle) - rows * np.sin(angle)
        even = fftconvolve(around, window * np.cos(2 * np.pi * carrier * along), mode="valid")
        odd = fftconvolve(around, window * np.sin(2 * np.pi * carrier * along), mode="valid")
        found.append(_places(np.hypot(even, odd)))
    return np.concatenate(found)


def _places(energy: NDArray[np.float64]) -> NDArray[np.float64]:
    size = len(energy)
    edges = np.linspace(0, size, GRID + 1).round().astype(int)
    means = [
        energy[top:bottom, left:right].mean()
        for top, bottom in pairwise(edges)
        for left, right in pairwise(edges)
    ]
    return np.array(means)
