"""Pictures of three kinds: objects made of parts, fields seen from above, cells under a microscope.

An object is a mosaic of two of six parts; which two makes its category, so that no part tells it
alone. Where each part lies, and whether it is light or dark, differs between pictures of one
category: no pixel tells anything. Pictures of fields and of cells have nothing of it, but the same
range of greys and the same sensor noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fornix.seeds import generator

Floats = NDArray[np.float64]
Drawn = tuple[Floats, dict[str, str]]

PARTS = {"bars": "b", "posts": "p", "checks": "c", "ring": "r", "plus": "+", "saltire": "x"}
"""Part -> its letter."""

CATEGORIES = {f"{one}-{other}": (one, other) for one, other in combinations(PARTS, 2)}
"""Category -> its two parts. Every part is in five of the fifteen."""

PLACES = 4
"""Places of parts along each side of a picture."""

SENSOR = 0.02
"""Noise of every pixel, as a share of white."""

CONTRAST = 0.2
"""Standard deviation of a part's greys."""

FILLED = 0.8
"""Share of places that have a part; ground is seen at the others."""


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
        Of an object: ``category``, its two parts' names; ``parts``, the letters (see ``PARTS``) of
        what is at each place, row by row, ``.`` for ground. Else empty.
    """

    name: str
    kind: str
    pixels: NDArray[np.uint8]
    content: dict[str, str] = field(default_factory=dict)

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
        Side, pixels; of objects, a multiple of ``PLACES``.
    seed
        Of everything random.
    """
    names = list(CATEGORIES)
    order = generator(seed, "scenery", kind, "categories").permutation(n)
    found = []
    for i in range(n):
        random = generator(seed, "scenery", kind, i)
        image, content = KINDS[kind](size, names[order[i] % len(names)], random)
        image = image + random.normal(0, SENSOR, image.shape)
        grey = np.round(255 * image.clip(0, 1)).astype(np.uint8)
        pixels = np.repeat(grey[..., None], 3, axis=2)
        found.append(Scene(f"{kind}-{i + 1:05d}.png", kind, pixels, content))
    return found


def _objects(size: int, category: str, random: np.random.Generator) -> Drawn:
    """Lay two parts, light and dark, out over a ground."""
    side = size // PLACES
    drawn = _parts(side)
    image = 0.5 + 0.03 * _clouds(size, random)
    seen = ""
    for row, column in np.ndindex(PLACES, PLACES):
        if random.random() > FILLED:
            seen += "."
            continue
        part = CATEGORIES[category][random.integers(2)]
        sign = random.choice([-1, 1])
        there = np.s_[row * side : (row + 1) * side, column * side : (column + 1) * side]
        image[there] += sign * random.uniform(0.8, 1.2) * CONTRAST * drawn[part]
        seen += PARTS[part]
    return image, {"category": category, "parts": seen}


def _parts(side: int) -> dict[str, Floats]:
    """Return each part's greys, (side, side), mean 0 and standard deviation 1."""
    y, x = (2 * np.mgrid[:side, :side] + 1) / side - 1
    away = np.hypot(x, y)
    found = {
        "bars": np.cos(2 * np.pi * y),
        "posts": np.cos(2 * np.pi * x),
        "checks": np.cos(1.6 * np.pi * x) * np.cos(1.6 * np.pi * y),
        "ring": 1.6 * ((away > 0.4) & (away < 0.85)),
        "plus": 1.6 * ((np.abs(x) < 0.25) | (np.abs(y) < 0.25)),
        "saltire": 1.6 * ((np.abs(x - y) < 0.275) | (np.abs(x + y) < 0.275)),
    }
    # They fade towards the edge of their place, so that no border is seen between two.
    faded = {name: (one - 0.6 * (one.min() >= 0)) * np.exp(-((away / 1.05) ** 4))
             for name, one in found.items()}  # fmt: skip
    centred = {name: one - one.mean() for name, one in faded.items()}
    return {name: one / one.std() for name, one in centred.items()}


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
    return image, {}


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
    return image, {}


KINDS: dict[str, Callable[[int, str, np.random.Generator], Drawn]] = {
    "objects": _objects,
    "aerial": _aerial,
    "cells": _cells,
}


def _clouds(size: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return noise whose amplitude falls with frequency, mean 0, standard deviation 1."""
    frequency = np.fft.fftfreq(size)
    radius = np.hypot(frequency[:, None], frequency)
    radius[0, 0] = 1
    noise = np.fft.fft2(random.standard_normal((size, size))) * radius**-1.5
    image = np.fft.ifft2(noise).real
    return np.asarray((image - image.mean()) / image.std())
