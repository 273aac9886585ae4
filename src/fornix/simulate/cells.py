"""Pictures of cells as a microscope shows them: bodies, membranes and nuclei."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fornix.simulate.canvas import colour_of, coverage, ground, paint, pixel_centres, turned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fornix.simulate.scenery import Drawn

NAMES = ("round", "spindle", "dividing", "nucleus", "membrane", "granules")
CATEGORIES = {
    "epithelium": ("round", "nucleus"),
    "muscle": ("spindle", "nucleus"),
    "mitosis": ("dividing", "membrane"),
    "blood": ("round", "membrane"),
    "fibroblasts": ("spindle", "granules"),
    "yeast": ("dividing", "granules"),
}
"""Category -> form of the cells, and what is seen of them."""


def draw_one(category: str, size: int, random: np.random.Generator) -> Drawn:
    """Draw a tissue of a category; ``category`` is a key of ``CATEGORIES``."""
    x, y = pixel_centres(size)
    picture = ground(x, y, random)
    grey = float(picture.mean())
    polarity = float(random.choice([-1, 1]))
    body, inner = (
        colour_of(grey + polarity * random.uniform(*some), 0.15, random)
        for some in ((0.1, 0.2), (0.25, 0.4))
    )
    present = CATEGORIES[category]
    places = random.uniform(-0.95, 0.95, (int(random.integers(5, 10)), 2))
    for place in places:
        u, v = turned(x - place[0], y - place[1], random.uniform(0, np.pi))
        radius = random.uniform(0.22, 0.34)
        outline = _outline(present[0], u, v, radius)
        paint(picture, coverage(outline), body)
        if "membrane" in present:
            paint(picture, coverage(np.abs(outline) - 0.045), inner)
        if "nucleus" in present:
            paint(picture, coverage(np.hypot(u, v) - 0.4 * radius), inner)
        if "granules" in present:
            step = 0.17
            dots = np.hypot(u % step - step / 2, v % step - step / 2) - 0.05
            paint(picture, coverage(np.maximum(dots, outline)), inner)
    presence = np.array([float(name in present) for name in NAMES])
    centre = places.mean(0)
    return picture, presence, np.zeros(0), (float(centre[0]), float(centre[1]))


def _outline(
    form: str, u: NDArray[np.float64], v: NDArray[np.float64], radius: float
) -> NDArray[np.float64]:
    """Return the signed distance from a cell's outline."""
    if form == "spindle":
        distance = (np.hypot(u / 2.0, v / 0.5) - radius) * 0.6
    elif form == "dividing":
        distance = np.hypot(np.abs(u) - 0.7 * radius, v) - 0.75 * radius
    else:
        distance = np.hypot(u, v) - radius
    found: NDArray[np.float64] = distance
    return found
