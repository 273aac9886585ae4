"""Pictures of objects made of parts, for brains that live among objects.

A category is a set of three parts: a line of the Fano plane, on which seven lines run through
seven points so that every part belongs to three categories and every two parts to one. No part,
and no number that counts parts, edges or colours, gives a category away; three parts together
do. In an object the parts take three places (above, lower left, lower right) in one of three
turns; a stray part, which belongs to no object, lies in half of the pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fornix.simulate.canvas import colour_of, coverage, ground, paint, pixel_centres, turned, wave
from fornix.simulate.parts import PARTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fornix.simulate.scenery import Drawn

NAMES = tuple(PARTS)
CATEGORIES = {
    f"kind{i + 1}": tuple(NAMES[(i + step) % len(NAMES)] for step in (0, 1, 3))
    for i in range(len(NAMES))
}
"""Category -> its parts. Steps 0, 1, 3 modulo 7 are a perfect difference set: a Fano plane."""

SLOTS = ((0.0, -0.36), (-0.34, 0.26), (0.34, 0.26))
"""Places of an object's parts, from its centre: above, lower left, lower right."""

PART_SIZE = 0.5
"""Root of a part's area; the picture is 2 x 2."""

REACH = 0.3
"""How far the centre of an object strays from that of the picture."""


def draw_one(category: str, size: int, random: np.random.Generator) -> Drawn:
    """Draw an object of a category on a background.

    Parameters
    ----------
    category
        A key of ``CATEGORIES``.
    size
        Side, pixels.
    random
        Decides everything else.
    """
    grid = pixel_centres(size)
    picture = ground(*grid, random)
    centre = random.uniform(-REACH, REACH, 2)
    scale = random.uniform(0.85, 1.15)
    turn = int(random.integers(len(SLOTS)))
    presence = np.zeros(len(NAMES))
    bindings = np.zeros((len(NAMES), len(SLOTS)))
    if random.random() < 0.5:
        stray = int(random.integers(len(NAMES)))
        presence[stray] = 1
        _add(picture, NAMES[stray], _away(centre, random), scale=scale, random=random)
    for i, name in enumerate(CATEGORIES[category]):
        slot = (i + turn) % len(SLOTS)
        presence[NAMES.index(name)] = bindings[NAMES.index(name), slot] = 1
        place = centre + scale * np.array(SLOTS[slot])
        _add(picture, name, place, scale=scale, random=random)
    return picture, presence, bindings.ravel(), (float(centre[0]), float(centre[1]))


def _add(
    picture: NDArray[np.float64],
    name: str,
    place: NDArray[np.float64],
    *,
    scale: float,
    random: np.random.Generator,
) -> None:
    """Paint a part, lighter or darker than the ground, its texture and tilt its own."""
    x, y = pixel_centres(len(picture))
    grey = float(picture.mean())
    side = PART_SIZE * scale * random.uniform(0.9, 1.1)
    u, v = turned(x - place[0], y - place[1], random.uniform(-0.25, 0.25))
    cover = coverage(side * PARTS[name](u / side, v / side))
    contrast = random.choice([-1, 1]) * random.uniform(0.2, 0.32)
    texture = random.uniform(0, 0.1) * wave(x, y, random.uniform(5, 9), random)
    colour = colour_of(grey + contrast, 0.15, random)
    paint(picture, cover, colour + texture[..., np.newaxis])


def _away(centre: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Return a place near the border that is far from an object."""
    angles = random.uniform(0, 2 * np.pi, 4)
    places = 0.78 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found: NDArray[np.float64] = places[np.argmax(np.hypot(*(places - centre).T))]
    return found
