"""Pictures with a known content: a shape somewhere, a fine and a coarse texture elsewhere.

Category, position, fine texture and coarse texture are drawn independently of each other, so
that a model of one says nothing about the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from fornix.seeds import generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

OVERSAMPLING = 4
GREY = 0.5
SHAPE_SIZE = 0.16
"""Radius of a shape, as a share of the image's side."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Picture:
    """One stimulus and what is in it.

    Attributes
    ----------
    name
        File name.
    category
        Kind of shape.
    x, y
        Centre of the shape, -1 (left, top) to 1 (right, bottom).
    pixels
        (row, column, colour), uint8.
    """

    name: str
    category: str
    x: float
    y: float
    pixels: NDArray[np.uint8]

    @property
    def luminance(self) -> NDArray[np.float64]:
        """Return the picture in grey, (row, column) in 0..1, by ITU-R 601-2 weights."""
        weighted: NDArray[np.float64] = self.pixels @ np.array([0.299, 0.587, 0.114])
        return np.round(weighted) / 255


def draw_all(n_images: int, size: int, seed: int) -> list[Picture]:
    """Draw the stimuli of a world.

    Parameters
    ----------
    n_images
        How many; categories come in equal numbers, as far as possible.
    size
        Side, pixels.
    seed
        The world's seed.
    """
    names = sorted(OUTLINES)
    order = generator(seed, "shapes", "categories").permutation(n_images)
    return [
        draw(f"image-{i + 1:03d}.png", names[order[i] % len(names)], size, seed, i)
        for i in range(n_images)
    ]


def draw(name: str, category: str, size: int, seed: int, index: int) -> Picture:
    """Draw one picture; everything but the category is random."""
    random = generator(seed, "shapes", "picture", index)
    x, y = random.uniform(-1, 1, 2)
    fine = _texture(size, size / 4, 0.35, random)
    coarse = _texture(size, size / 20, 0.25, random)
    ground = GREY + fine + coarse
    colour = random.uniform(0.2, 0.8, 3)
    mask = _shape_mask(category, size, x, y, random.uniform(0, 2 * np.pi))
    mixed = ground[..., np.newaxis] * (1 - mask) + colour * mask
    pixels = np.round(255 * mixed.clip(0, 1)).astype(np.uint8)
    return Picture(name, category, round(float(x), 4), round(float(y), 4), pixels)


def _texture(
    size: int, cycles: float, contrast: float, random: np.random.Generator
) -> NDArray[np.float64]:
    """Return a grating in a Gaussian window, both at random places and angles."""
    rows, columns = np.mgrid[:size, :size] / size
    angle, phase = random.uniform(0, np.pi), random.uniform(0, 2 * np.pi)
    along = columns * np.cos(angle) - rows * np.sin(angle)
    place = random.uniform(0.15, 0.85, 2)
    width = random.uniform(0.12, 0.3)
    window = np.exp(-((columns - place[0]) ** 2 + (rows - place[1]) ** 2) / (2 * width**2))
    strength = contrast * random.uniform(0.2, 1)
    texture: NDArray[np.float64] = strength * window * np.sin(2 * np.pi * cycles * along + phase)
    return texture


def _shape_mask(category: str, size: int, x: float, y: float, angle: float) -> NDArray[np.float64]:
    """Return how much of each pixel a shape covers, (row, column, 1), antialiased."""
    big = size * OVERSAMPLING
    radius = SHAPE_SIZE * big
    reach = big / 2 - radius
    centre = np.array([big / 2 + x * reach, big / 2 + y * reach])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    outline = [tuple(centre + radius * turn @ point) for point in OUTLINES[category]()]
    canvas = Image.new("L", (big, big))
    ImageDraw.Draw(canvas).polygon(outline, fill=255)
    small = canvas.resize((size, size), Image.Resampling.BOX)
    return np.asarray(small, dtype=float)[..., np.newaxis] / 255


def _polygon(corners: int) -> list[Point]:
    angles = 2 * np.pi * np.arange(corners) / corners
    return [(float(np.cos(a)), float(np.sin(a))) for a in angles]


def _star(corners: int, inner: float) -> list[Point]:
    radii = np.where(np.arange(2 * corners) % 2, inner, 1.0)
    points = np.array(_polygon(2 * corners)) * radii[:, np.newaxis]
    return [(float(a), float(b)) for a, b in points]


OUTLINES: dict[str, Callable[[], list[Point]]] = {
    "bar": lambda: [(-1, -0.3), (1, -0.3), (1, 0.3), (-1, 0.3)],
    "disc": lambda: _polygon(48),
    "flower": lambda: _star(8, 0.7),
    "square": lambda: _polygon(4),
    "star": lambda: _star(5, 0.4),
    "triangle": lambda: _polygon(3),
}
"""Category -> outline in the unit circle."""
