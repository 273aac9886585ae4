"""Procedural pictures of three kinds: objects, land seen from above, and cells.

An object has two parts, one above the other, at a random place and of a random size, with a
texture, on a textured ground. Its category is a rule over *both* parts (a Latin square), so that
neither part alone, nor any sum over parts, tells it. The other kinds have statistics of their own
and no objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.ndimage import gaussian_filter

from fornix.progress import track
from fornix.seeds import generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["objects", "aerial", "cells"]

SHAPES = ("disc", "square", "diamond")
"""Parts; an object's upper and its lower one are drawn independently."""

WEIGHTS = (0.299, 0.587, 0.114)
"""Of red, green and blue in luminance (ITU-R BT.601)."""


@dataclass(frozen=True)
class Scene:
    """A picture, and what is in it.

    Attributes
    ----------
    name
        File name.
    pixels
        uint8 (row, column, colour).
    upper, lower
        Number of each part in ``SHAPES``; -1 where there is no object.
    x, y
        Place of the object's centre, -1 to 1, right and down; NaN where there is none.
    """

    name: str
    pixels: NDArray[np.uint8]
    upper: int = -1
    lower: int = -1
    x: float = float("nan")
    y: float = float("nan")

    @property
    def category(self) -> int:
        """The object's category, which both parts decide together; -1 without object."""
        return (self.upper + self.lower) % len(SHAPES) if self.upper >= 0 else -1

    @property
    def luminance(self) -> NDArray[np.float64]:
        """(row, column), 0 to 1."""
        return np.asarray(self.pixels @ np.array(WEIGHTS) / 255)


def draw(kind: Kind, n: int, size: int, seed: int) -> list[Scene]:
    """Draw pictures; the first of more are the same.

    Parameters
    ----------
    kind
        ``objects``, ``aerial`` or ``cells``.
    n
        How many.
    size
        Side, pixels.
    seed
        Of all that is random.
    """
    make = {"objects": _object, "aerial": _aerial, "cells": _cells}[kind]
    found = []
    for i in track(range(n), f"drawing: {kind}"):
        random = generator(seed, "scenery", kind, i)
        found.append(make(f"{kind}-{i + 1:05d}.png", size, random))
    return found


def parts(scenes: Sequence[Scene]) -> NDArray[np.float64]:
    """Return which parts each picture has, (picture, 6): three upper ones, three lower ones."""
    upper, lower = (np.array([getattr(one, name) for one in scenes]) for name in ("upper", "lower"))
    number = np.arange(len(SHAPES))
    return np.concatenate([upper[:, None] == number, lower[:, None] == number], axis=1) * 1.0


def conjunctions(scenes: Sequence[Scene]) -> NDArray[np.float64]:
    """Return which pair of parts each picture has, (picture, 9)."""
    pair = np.array([one.upper * len(SHAPES) + one.lower for one in scenes])
    return (pair[:, None] == np.arange(len(SHAPES) ** 2)) * 1.0


def categories(scenes: Sequence[Scene]) -> NDArray[np.float64]:
    """Return the category of each picture, (picture, 3)."""
    return (np.array([one.category for one in scenes])[:, None] == np.arange(len(SHAPES))) * 1.0


def _grid(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    place = (np.arange(size) + 0.5) / size * 2 - 1
    x, y = np.meshgrid(place, place)
    return x, y


def _noise(size: int, blur: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Return smooth noise of unit variance."""
    field = gaussian_filter(random.standard_normal((size, size)), blur, mode="wrap")
    return np.asarray((field - field.mean()) / field.std())


def _colour(random: np.random.Generator, saturation: float) -> NDArray[np.float64]:
    """Return a colour of luminance 0, to be added to grey."""
    colour = saturation * random.standard_normal(3)
    return np.asarray(colour - colour @ np.array(WEIGHTS))


def _finish(levels: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.asarray(np.round(255 * levels.clip(0, 1)), dtype=np.uint8)


def _object(name: str, size: int, random: np.random.Generator) -> Scene:
    x, y = _grid(size)
    ground = 0.45 + 0.05 * _noise(size, size / 16, random)
    levels = ground[..., None] + _colour(random, 0.04)
    upper, lower = (int(random.integers(len(SHAPES))) for _ in range(2))
    half = random.uniform(0.24, 0.34)
    place = random.uniform(-0.9 + 2 * half, 0.9 - 2 * half, 2)
    # Bright on dark or dark on bright, with the same sizes: luminance tells no part.
    contrast = random.choice([-1.0, 1.0]) * random.uniform(0.2, 0.35)
    texture = 1 + 0.15 * _noise(size, size / 32, random)
    tint = _colour(random, 0.06)
    for part, up in ((upper, -1.0), (lower, 1.0)):
        inside = _part(part, x - place[0], y - place[1] - up * half, half)
        levels += inside[..., None] * (contrast * texture[..., None] + tint)
    return Scene(name, _finish(levels), upper, lower, *(round(float(p), 4) for p in place))


def _part(
    number: int, x: NDArray[np.float64], y: NDArray[np.float64], half: float
) -> NDArray[np.float64]:
    """Return where a part is, 0 to 1 over about a pixel; all parts have one area."""
    soft = 2.0 / len(x)
    area = half**2 * np.pi
    distance = {
        "disc": np.hypot(x, y) - half,
        "square": np.maximum(np.abs(x), np.abs(y)) - np.sqrt(area) / 2,
        "diamond": (np.abs(x) + np.abs(y)) / np.sqrt(2) - np.sqrt(area) / 2,
    }[SHAPES[number]]
    return np.asarray((0.5 - distance / soft).clip(0, 1))


def _aerial(name: str, size: int, random: np.random.Generator) -> Scene:
    """Fields of parallel furrows on both sides of roads."""
    x, y = _grid(size)
    levels = np.repeat((0.45 + 0.03 * _noise(size, size / 32, random))[..., None], 3, axis=2)
    side = np.zeros((size, size), dtype=int)
    roads = np.zeros((size, size))
    for k in range(2):
        angle, shift = random.uniform(0, np.pi), random.uniform(-0.5, 0.5)
        across = x * np.cos(angle) + y * np.sin(angle) - shift
        side += (across > 0) << k
        roads = np.maximum(roads, np.exp(-((across / 0.06) ** 2)))
    for field in range(4):
        angle, pitch = random.uniform(0, np.pi), random.uniform(8, 24)
        furrows = np.cos(pitch * (x * np.cos(angle) + y * np.sin(angle)) + random.uniform(0, 6.3))
        here = (side == field)[..., None]
        shade = 0.1 * furrows[..., None] + random.uniform(-0.12, 0.12) + _colour(random, 0.05)
        levels += here * shade
    levels += roads[..., None] * random.uniform(0.2, 0.35)
    return Scene(name, _finish(levels))


def _cells(name: str, size: int, random: np.random.Generator) -> Scene:
    """Round cells with a darker nucleus, on a gel."""
    x, y = _grid(size)
    stain = _colour(random, 0.05)
    levels = np.repeat((0.6 + 0.03 * _noise(size, size / 12, random))[..., None], 3, axis=2)
    for _ in range(int(random.integers(6, 14))):
        place, radius = random.uniform(-1, 1, 2), random.uniform(0.1, 0.24)
        stretch, angle = random.uniform(0.75, 1.3), random.uniform(0, np.pi)
        u = (x - place[0]) * np.cos(angle) + (y - place[1]) * np.sin(angle)
        v = -(x - place[0]) * np.sin(angle) + (y - place[1]) * np.cos(angle)
        distance = np.hypot(u * stretch, v / stretch)
        body = (0.5 - (distance - radius) * size / 4).clip(0, 1)
        nucleus = (0.5 - (distance - 0.4 * radius) * size / 4).clip(0, 1)
        levels -= body[..., None] * (0.12 - stain) + 0.2 * nucleus[..., None]
    return Scene(name, _finish(levels))
