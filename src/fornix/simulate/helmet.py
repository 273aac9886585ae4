"""A head in a helmet: current dipoles in a conducting sphere, and the field that sensors pick up.

Head coordinates as MNE has them: x to the right, y to the front, z up; m from the centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

HELMET_M = 0.12
"""Radius at which sensors stand; the head's is about 0.09."""

CORTEX_M = 0.065
SCATTER_M = 0.008
"""How far a region's dipoles lie from its centre, along each axis."""

LOWEST = -0.35
"""Height of the lowest sensors, as a share of the helmet's radius: it is open below."""

MU_OVER_4PI = 1e-7


@dataclass(frozen=True)
class Dipoles:
    """Current dipoles.

    Attributes
    ----------
    places
        (dipole, 3), m.
    moments
        Directions, (dipole, 3), of length 1; tangential, since a sphere hides radial ones.
    """

    places: Floats
    moments: Floats


def sensor_places(n: int) -> Floats:
    """Return n places spread evenly over the helmet, (sensor, 3), m; a sensor points outwards."""
    height = 1 - (1 - LOWEST) * (np.arange(n) + 0.5) / n
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(n)
    ring = np.sqrt(1 - height**2)
    places = np.stack([ring * np.cos(angle), ring * np.sin(angle), height], axis=1)
    return np.asarray(HELMET_M * places)


def region_dipoles(along: float, n: int, random: np.random.Generator) -> Dipoles:
    """Return a region's dipoles, in turn in the left and the right hemisphere.

    Parameters
    ----------
    along
        Place of the region, from 0 (occipital pole) to 1 (frontal).
    n
        How many.
    random
        Decides where exactly, and the directions.
    """
    # An arc over each hemisphere, from the back past the side to the front.
    angle = np.pi * (0.1 + 0.8 * along)
    side = np.where(np.arange(n) % 2, 1.0, -1.0)
    arc = np.stack([0.2 + 0.5 * np.sin(angle), -np.cos(angle), 0.5 * np.sin(angle)])
    centres = np.tile(arc, (n, 1))
    centres[:, 0] *= side
    centres = CORTEX_M * centres / np.linalg.norm(centres, axis=1, keepdims=True)
    places = centres + SCATTER_M * random.standard_normal((n, 3))
    outwards = places / np.linalg.norm(places, axis=1, keepdims=True)
    moments = random.standard_normal((n, 3))
    moments -= (moments * outwards).sum(1, keepdims=True) * outwards
    return Dipoles(places, moments / np.linalg.norm(moments, axis=1, keepdims=True))


def radial_field(sensors: Floats, dipoles: Dipoles) -> Floats:
    """Return what each sensor sees of each dipole, (sensor, dipole), T per Am.

    The outward component of the magnetic field outside a conducting sphere around the origin
    (Sarvas 1987, Phys Med Biol 32:11), whatever the sphere's radius and conductivity.
    """
    r, r0 = sensors[:, np.newaxis], dipoles.places[np.newaxis]
    a = r - r0
    length_r = np.linalg.norm(r, axis=2)
    length_a = np.linalg.norm(a, axis=2)
    product = (a * r).sum(2)
    f = length_a * (length_r * length_a + length_r**2 - (r0 * r).sum(2))
    along_r = length_a**2 / length_r + product / length_a + 2 * length_a + 2 * length_r
    along_r0 = length_a + 2 * length_r + product / length_a
    gradient = along_r[..., np.newaxis] * r - along_r0[..., np.newaxis] * r0
    turned = np.cross(dipoles.moments, dipoles.places)[np.newaxis]
    field = f[..., np.newaxis] * turned - (turned * r).sum(2, keepdims=True) * gradient
    field *= MU_OVER_4PI / f[..., np.newaxis] ** 2
    found: Floats = (field * r).sum(2) / length_r
    return found
