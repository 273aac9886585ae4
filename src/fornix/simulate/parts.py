"""Seven parts of objects, as signed distances from their outlines; all have the same area.

Equal areas keep a picture's mean and spread of luminance from telling which parts are in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def _disc(x: Floats, y: Floats, radius: float = np.sqrt(1 / np.pi)) -> Floats:
    found: Floats = np.hypot(x, y) - radius
    return found


def _box(x: Floats, y: Floats, half_width: float, half_height: float) -> Floats:
    found: Floats = np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)
    return found


def _ring(x: Floats, y: Floats) -> Floats:
    radius = 0.5
    found: Floats = np.abs(np.hypot(x, y) - radius) - 1 / (4 * np.pi * radius)
    return found


def _bar(x: Floats, y: Floats) -> Floats:
    return _box(x, y, 0.8, 1 / 3.2)


def _cross(x: Floats, y: Floats) -> Floats:
    half = 0.18
    reach = (1 + 4 * half**2) / (8 * half)
    return np.minimum(_box(x, y, reach, half), _box(x, y, half, reach))


def _corner(x: Floats, y: Floats) -> Floats:
    thick = 0.38
    long = (1 + thick**2) / (2 * thick)
    upright = _box(x + (long - thick) / 2, y, thick / 2, long / 2)
    foot = _box(x, y - (long - thick) / 2, long / 2, thick / 2)
    return np.minimum(upright, foot)


def _triangle(x: Floats, y: Floats) -> Floats:
    inner = np.sqrt(4 / np.sqrt(3)) / (2 * np.sqrt(3))
    slope = np.sqrt(3) / 2
    sides = np.maximum(np.abs(x) * slope - y / 2, y)
    found: Floats = sides - inner
    return found


def _pair(x: Floats, y: Floats) -> Floats:
    return _disc(np.abs(x) - 0.48, y, np.sqrt(0.5 / np.pi))


PARTS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "bar": _bar,
    "corner": _corner,
    "cross": _cross,
    "disc": _disc,
    "pair": _pair,
    "ring": _ring,
    "triangle": _triangle,
}
"""Part -> distance from its outline; of an area of 1, around (0, 0)."""
