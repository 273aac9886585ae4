"""Pictures of three kinds: objects on a ground, fields seen from above, cells under a microscope.

Objects have an outline, a texture, a place and a size; which outlines and textures go together
makes their category, so that neither tells it alone. Pictures of fields and of cells have nothing
of it, but the same colours, contrasts and sensor noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fornix.seeds import generator

Floats = NDArray[np.float64]
Drawn = tuple[Floats, dict[str, str | float]]

OUTLINES = ("disc", "square", "triangle", "cross")
TEXTURES = ("columns", "rows", "checks", "plain")
CATEGORIES = {
    **{"ball": ("disc", "columns"), "drum": ("disc", "rows")},
    **{"crate": ("square", "columns"), "shelf": ("square", "rows")},
    **{"flag": ("triangle", "checks"), "tent": ("triangle", "plain")},
    **{"kite": ("cross", "checks"), "fan": ("cross", "plain")},
}
"""Category -> outline and texture. Every outline and every texture is in two of them."""

SENSOR = 0.02
"""Noise of every pixel, as a share of white."""

TINT = 0.06
"""Largest shift of a colour channel."""


@dataclass(frozen=True)
class Scene:
    """One picture and what is in it.

    Attributes
    ----------
    name
        File name.
    kind
        ``objects``, ``aerial`` or ``cells``.
    pixels
        uint8 (row, column, colour).
    content
        Of an object: ``category``, ``outline``, ``texture``; ``x`` and ``y``, its centre, -1
        (left, top) to 1; else empty.
    """

    name: str
    kind: str
    pixels: NDArray[np.uint8]
    content: dict[str, str | float] = field(default_factory=dict)

    @property
    def luminance(self) -> NDArray[np.float64]:
        """The picture in grey, (row, column) in 0..1, by ITU-R 601-2 weights."""
        return np.asarray(self.pixels @ np.array([0.299, 0.587, 0.114]) / 255)


def draw(kind: str, n: int, size: int, seed: int) -> list[Scene]:
    """Draw pictures.

    Parameters
    ----------
    kind
        ``objects``, ``aerial`` or ``cells``.
    n
        How many; categories come in equal numbers, as far as possible.
    size
        Side, pixels.
    seed
        Of everything random.
    """
    names = sorted(CATEGORIES)
    order = generator(seed, "scenery", kind, "categories").permutation(n)
    found = []
    for i in range(n):
        random = generator(seed, "scenery", kind, i)
        image, content = KINDS[kind](size, names[order[i] % len(names)], random)
        image = image + random.normal(0, SENSOR, image.shape)
        pixels = np.round(255 * image.clip(0, 1)).astype(np.uint8)
        found.append(Scene(f"{kind}-{i + 1:05d}.png", kind, pixels, content))
    return found


def _objects(size: int, category: str, random: np.random.Generator) -> Drawn:
    outline, texture = CATEGORIES[category]
    rows, columns = np.mgrid[:size, :size] / size
    x, y = random.uniform(0.4, 0.6, 2)
    radius = random.uniform(0.34, 0.42)
    inside = _inside(outline, (columns - x) / radius, (rows - y) / radius)
    ground = 0.5 + 0.07 * _clouds(size, random) + random.uniform(-0.1, 0.1)
    level = 0.5 + random.choice([-1, 1]) * random.uniform(0.1, 0.25)
    surface = level + 0.3 * _wave(texture, rows, columns, random)
    image = np.where(
        inside[..., None],
        surface[..., None] + random.uniform(-TINT, TINT, 3),
        ground[..., None] + random.uniform(-TINT, TINT, 3),
    )
    content: dict[str, str | float] = {"category": category, "outline": outline}
    content |= {"texture": texture, "x": round(2 * x - 1, 4), "y": round(2 * y - 1, 4)}
    return image, content


def _aerial(size: int, category: str, random: np.random.Generator) -> Drawn:
    """Fields between straight borders, ploughed in any direction."""
    del category
    rows, columns = np.mgrid[:size, :size] / size
    parcel = np.zeros((size, size), dtype=int)
    for _ in range(3):
        angle = random.uniform(0, np.pi)
        along = columns * np.cos(angle) + rows * np.sin(angle)
        parcel = 2 * parcel + (along > random.uniform(0.2, 0.8))
    image = np.zeros((size, size))
    for one in np.unique(parcel):
        angle, cycles = random.uniform(0, np.pi), random.uniform(3, 9)
        along = columns * np.cos(angle) + rows * np.sin(angle)
        furrows = 0.15 * np.sin(2 * np.pi * (cycles * along + random.uniform()))
        image = np.where(parcel == one, random.uniform(0.2, 0.8) + furrows, image)
    return image[..., None] + random.uniform(-TINT, TINT, 3), {}


def _cells(size: int, category: str, random: np.random.Generator) -> Drawn:
    """Blobs with a nucleus, dark or light, on an even ground."""
    del category
    rows, columns = np.mgrid[:size, :size] / size
    image = random.uniform(0.3, 0.7) + 0.05 * _clouds(size, random)
    sign = random.choice([-1, 1])
    for _ in range(random.integers(6, 18)):
        x, y = random.uniform(0, 1, 2)
        away = np.hypot(columns - x, rows - y) / random.uniform(0.04, 0.1)
        image = image + sign * (0.25 * np.exp(-(away**2)) - 0.1 * np.exp(-((away / 0.4) ** 2)))
    return image[..., None] + random.uniform(-TINT, TINT, 3), {}


KINDS: dict[str, Callable[[int, str, np.random.Generator], Drawn]] = {
    "objects": _objects,
    "aerial": _aerial,
    "cells": _cells,
}


def _inside(outline: str, x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Return which places an outline of radius 1 holds."""
    if outline == "disc":
        return np.asarray(x**2 + y**2 < 1)
    if outline == "square":
        return np.asarray((np.abs(x) < 0.85) & (np.abs(y) < 0.85))
    if outline == "triangle":
        return np.asarray((y < 0.8) & (y > -0.9) & (np.abs(x) < (y + 0.9) / 1.7))
    return np.asarray(((np.abs(x) < 0.32) | (np.abs(y) < 0.32)) & (np.abs(x) < 1) & (np.abs(y) < 1))


def _wave(
    texture: str, rows: Floats, columns: Floats, random: np.random.Generator
) -> NDArray[np.float64]:
    """Return a texture of any spacing and phase, -1 to 1."""
    step, phases = 2 * np.pi * random.uniform(5, 7), random.uniform(0, 2 * np.pi, 2)
    across, along = np.sin(step * columns + phases[0]), np.sin(step * rows + phases[1])
    if texture == "plain":
        return np.zeros_like(across)
    found = {"columns": across, "rows": along, "checks": 1.5 * across * along}[texture]
    return np.asarray(found.clip(-1, 1))


def _clouds(size: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return noise whose amplitude falls with frequency, mean 0, standard deviation 1."""
    frequency = np.fft.fftfreq(size)
    radius = np.hypot(frequency[:, None], frequency)
    radius[0, 0] = 1
    noise = np.fft.fft2(random.standard_normal((size, size))) * radius**-1.5
    image = np.fft.ifft2(noise).real
    return np.asarray((image - image.mean()) / image.std())
