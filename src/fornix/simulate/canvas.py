"""A square to draw on: where its pixels lie, soft-edged layers of paint, waves and colours."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

GREY_WEIGHTS = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in luminance (ITU-R 601-2)."""


@lru_cache(maxsize=8)
def pixel_centres(size: int) -> tuple[Floats, Floats]:
    """Return x and y of every pixel, (row, column): -1 (left, top) to 1 (right, bottom)."""
    along = (2 * np.arange(size) + 1) / size - 1
    x, y = np.meshgrid(along, along)
    x.flags.writeable = y.flags.writeable = False
    return x, y


def turned(x: Floats, y: Floats, angle: float) -> tuple[Floats, Floats]:
    """Return coordinates along and across a direction, rad."""
    cos, sin = np.cos(angle), np.sin(angle)
    return x * cos + y * sin, y * cos - x * sin


def coverage(distance: Floats) -> Floats:
    """Return how much of each pixel lies inside an outline, 0..1, antialiased.

    Parameters
    ----------
    distance
        From the outline, negative inside, in the units of ``pixel_centres``.
    """
    inside: Floats = np.clip(0.5 - distance * (distance.shape[-1] / 2), 0.0, 1.0)
    return inside


def paint(picture: Floats, cover: Floats, colour: Floats) -> None:
    """Lay a colour, (3,) or (row, column, 3), over a picture (row, column, 3), in place."""
    picture += cover[..., np.newaxis] * (colour - picture)


def wave(x: Floats, y: Floats, cycles: float, random: np.random.Generator) -> Floats:
    """Return a sine of random direction and phase, so many cycles across the picture."""
    along, _ = turned(x, y, random.uniform(0, np.pi))
    found: Floats = np.sin(np.pi * cycles * along + random.uniform(0, 2 * np.pi))
    return found


def colour_of(luminance: float, strength: float, random: np.random.Generator) -> Floats:
    """Return a random colour (3,) of a luminance."""
    hue = random.standard_normal(3)
    hue -= hue @ GREY_WEIGHTS
    colour: Floats = luminance + strength * hue / np.abs(hue).max()
    return colour


def ground(x: Floats, y: Floats, random: np.random.Generator) -> Floats:
    """Return a background (row, column, 3): a colour, a slow change over it, two faint waves."""
    colour = colour_of(random.uniform(0.35, 0.65), 0.12, random)
    angle = random.uniform(0, 2 * np.pi)
    slow = 0.08 * turned(x, y, angle)[0]
    fine = random.uniform(0, 0.06) * wave(x, y, random.uniform(6, 10), random)
    coarse = random.uniform(0, 0.08) * wave(x, y, random.uniform(1, 4), random)
    found: Floats = colour + (slow + fine + coarse)[..., np.newaxis]
    return found
