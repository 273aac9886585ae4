"""Pictures of three kinds of world: objects, land from above, cells.

Each is drawn from a seed and its own number alone: picture 7 is the same whether 10 or 10,000
are drawn. Categories come in equal numbers, as far as possible.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from fornix.progress import track
from fornix.seeds import generator
from fornix.simulate import aerial, cells, objects
from fornix.simulate.canvas import GREY_WEIGHTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Drawn = tuple[Floats, Floats, Floats, tuple[float, float]]
    """Picture (row, column, 3), presence of parts, parts by places, centre."""

KINDS: dict[str, ModuleType] = {"objects": objects, "aerial": aerial, "cells": cells}
"""What can be drawn, and the module that draws it."""


@dataclass(frozen=True)
class Scene:
    """One picture and what is in it.

    Attributes
    ----------
    name
        File name.
    kind
        One of ``KINDS``.
    category
        What it shows.
    pixels
        (row, column, colour), uint8.
    parts
        Whether each part is there, 0 or 1, in the order of ``part_names``; stray ones too.
    bindings
        Which part is at which place of the object, (part x place), 0 or 1, flattened; empty for
        kinds without objects.
    x, y
        Centre of what is shown, -1 (left, top) to 1 (right, bottom).
    """

    name: str
    kind: str
    category: str
    pixels: NDArray[np.uint8]
    parts: Floats
    bindings: Floats
    x: float
    y: float

    @cached_property
    def luminance(self) -> Floats:
        """The picture in grey, (row, column) in 0..1, rounded as an 8-bit grey picture is."""
        return np.asarray(np.round(self.pixels @ GREY_WEIGHTS) / 255)


def draw(kind: str, n: int, size: int, seed: int) -> list[Scene]:
    """Draw pictures.

    Parameters
    ----------
    kind
        One of ``KINDS``.
    n
        How many.
    size
        Side, pixels.
    seed
        The same seed draws the same pictures.
    """
    artist = KINDS[kind]
    names = list(artist.CATEGORIES)
    digits = max(3, len(str(n)))
    found = []
    for i in track(range(n), f"drawing {kind}"):
        block, within = divmod(i, len(names))
        order = generator(seed, "scenery", kind, "categories", block).permutation(len(names))
        category = names[order[within]]
        random = generator(seed, "scenery", kind, "picture", i)
        picture, parts, bindings, (x, y) = artist.draw_one(category, size, random)
        pixels = np.round(255 * picture.clip(0, 1)).astype(np.uint8)
        where = {"x": round(x, 4), "y": round(y, 4)}
        name = f"{kind}-{i + 1:0{digits}d}.png"
        found.append(Scene(name, kind, category, pixels, parts=parts, bindings=bindings, **where))
    return found


def part_names(kind: str) -> tuple[str, ...]:
    """Return what ``Scene.parts`` counts."""
    names: tuple[str, ...] = KINDS[kind].NAMES
    return names
