"""Pictures of land from above: fields, rows of crops or trees, roads, streets with roofs, water."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fornix.simulate.canvas import colour_of, coverage, paint, pixel_centres, turned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fornix.simulate.scenery import Drawn

    Floats = NDArray[np.float64]

NAMES = ("fields", "rows", "trees", "road", "roofs", "water")
CATEGORIES = {
    "farmland": ("fields", "rows"),
    "orchard": ("fields", "trees"),
    "crossing": ("fields", "road"),
    "town": ("roofs", "road"),
    "shore": ("trees", "water"),
    "harbour": ("roofs", "water"),
}
"""Category -> what is on the land."""


def draw_one(category: str, size: int, random: np.random.Generator) -> Drawn:
    """Draw a stretch of land of a category; ``category`` is a key of ``CATEGORIES``."""
    x, y = pixel_centres(size)
    place = random.uniform(-0.3, 0.3, 2)
    u, v = turned(x - place[0], y - place[1], random.uniform(0, np.pi))
    picture = np.empty((size, size, 3))
    picture[:] = colour_of(random.uniform(0.4, 0.6), 0.12, random)
    present = CATEGORIES[category]
    if "fields" in present:
        _fields(picture, u, v, random, rows="rows" in present)
    if "roofs" in present:
        _roofs(picture, u, v, random)
    if "trees" in present:
        _trees(picture, u, v, random)
    if "water" in present:
        bend = 0.15 * np.sin(3 * u + random.uniform(0, 2 * np.pi))
        paint(picture, coverage(v + bend + random.uniform(-0.1, 0.3)), _shade(-0.25, random))
    if "road" in present:
        _roads(picture, u, v, random)
    presence = np.array([float(name in present) for name in NAMES])
    return picture, presence, np.zeros(0), (float(place[0]), float(place[1]))


def _shade(contrast: float, random: np.random.Generator) -> Floats:
    return colour_of(0.5 + contrast, 0.12, random)


def _fields(
    picture: Floats, u: Floats, v: Floats, random: np.random.Generator, *, rows: bool
) -> None:
    """Paint a patchwork, with furrows in it where there are rows."""
    wide, high = random.uniform(0.4, 0.9, 2)
    column = np.floor(u / wide).astype(int) % 6
    line = np.floor(v / high + 0.5 * (column % 2)).astype(int) % 6
    shades = 0.5 + random.uniform(-0.25, 0.25, (6, 6))
    colours = np.array([[colour_of(one, 0.1, random) for one in several] for several in shades])
    picture[:] = colours[line, column]
    if rows:
        along = np.where(random.random((6, 6))[line, column] < 0.5, u, v)
        furrows = 0.14 * np.sin(np.pi * random.uniform(6, 10) * along)
        picture += furrows[..., np.newaxis]


def _trees(picture: Floats, u: Floats, v: Floats, random: np.random.Generator) -> None:
    step = random.uniform(0.28, 0.42)
    near = np.hypot((u + step / 2) % step - step / 2, (v + step / 2) % step - step / 2)
    paint(picture, coverage(near - 0.32 * step), _shade(-random.uniform(0.2, 0.35), random))


def _roofs(picture: Floats, u: Floats, v: Floats, random: np.random.Generator) -> None:
    wide, high = random.uniform(0.35, 0.55, 2)
    inside = np.maximum(
        np.abs((u % wide) - wide / 2) - 0.32 * wide, np.abs((v % high) - high / 2) - 0.32 * high
    )
    column, line = (
        np.floor(along / step).astype(int) % 8 for along, step in ((u, wide), (v, high))
    )
    shades = random.uniform(0.25, 0.95, (8, 8))[line, column]
    paint(picture, coverage(inside), shades[..., np.newaxis] * colour_of(1.0, 0.1, random))


def _roads(picture: Floats, u: Floats, v: Floats, random: np.random.Generator) -> None:
    shade = _shade(random.choice([-1, 1]) * random.uniform(0.25, 0.4), random)
    for along in (u, v)[: int(random.integers(1, 3))]:
        offset = random.uniform(-0.3, 0.3)
        paint(picture, coverage(np.abs(along - offset) - random.uniform(0.06, 0.1)), shade)
