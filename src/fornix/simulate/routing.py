"""The world ``routing``: objects at random places, and regions that follow them or don't.

A picture is a grid of cells. Each cell has a texture: independent weights of a few gratings. One
cell a category is its object: the category's colour in the category's outline is laid over it. A
voxel of a region that reads a category answers to a random combination of the texture weights of
that category's object; one of a region that reads a field, to those of the cells around a fixed
place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fornix.seeds import generator
from fornix.simulate.experiment import Shown, write_experiment
from fornix.study.worlds.routing import FIELD, RoutingWorld

if TYPE_CHECKING:
    from numpy.typing import NDArray

TASK = "routing"
GREY = 0.5
CONTRAST = 0.06
"""Of a texture's gratings: its standard deviation is a ninth of the range, so that few clip."""

MARK = 0.18
"""How far an object's colour is from grey."""

COLOURS = ((1.0, -0.5, -0.5), (-0.5, 1.0, -0.5), (-0.5, -0.5, 1.0))
WAVES = ((0, 1), (1, 0), (1, 1), (0, 2))
"""Half cycles down and across a cell of each grating: cosines, orthogonal to one another."""


@dataclass(frozen=True)
class Scenes:
    """What is in the pictures.

    Attributes
    ----------
    textures
        (picture, cell, grating); cells are counted row by row.
    objects
        Cell of each category's object, (picture, category).
    """

    textures: NDArray[np.float64]
    objects: NDArray[np.intp]


def write(world: RoutingWorld, folder: Path) -> dict[str, Any]:
    """Write the world as a BIDS dataset.

    The stimulus table has ``<category>_row`` and ``<category>_column``: where the object's centre
    is, as shares of the picture's height and width.

    Parameters
    ----------
    world
        The world's settings.
    folder
        The BIDS root to make.

    Returns
    -------
    dict
        The truth: what every region reads, the noise ceiling, the repeats.
    """
    scenes = compose(world)
    names = [f"picture-{i + 1:04d}.png" for i in range(world.n_images)]
    table = pd.DataFrame({"stim_file": names})
    for number, category in enumerate(world.categories):
        rows, columns = np.divmod(scenes.objects[:, number], world.grid)
        table[f"{category}_row"] = np.round((rows + 0.5) / world.grid, 4)
        table[f"{category}_column"] = np.round((columns + 0.5) / world.grid, 4)
    shown = Shown(
        task=TASK,
        table=table,
        pixels=[draw(world, scenes, i) for i in range(world.n_images)],
        trial_type=["picture"] * world.n_images,
        readme="Simulated fMRI of people who look at pictures with objects at random places.\n"
        "Nobody was scanned. See truth.json beside this folder.\n",
    )
    regions = list(world.regions)
    write_experiment(world, folder, shown, regions, lambda who: signals(world, scenes, who))
    return {
        "regions": dict(world.regions),
        "control": "control",
        "noise_ceiling": world.noise_ceiling,
        "n_repeats": world.n_sessions * world.n_runs,
    }


def compose(world: RoutingWorld) -> Scenes:
    """Return what is in the pictures; all of it is drawn independently."""
    n_cells = world.grid**2
    random = generator(world.seed, TASK, "scenes")
    textures = random.standard_normal((world.n_images, n_cells, len(WAVES)))
    places = [random.permutation(n_cells)[: len(world.categories)] for _ in range(world.n_images)]
    return Scenes(textures, np.stack(places))


def draw(world: RoutingWorld, scenes: Scenes, index: int) -> NDArray[np.uint8]:
    """Return one picture, uint8 (row, column, colour)."""
    side, grid = world.cell, world.grid
    cells = CONTRAST * np.einsum("ck,kij->cij", scenes.textures[index], gratings(side))
    levels = np.repeat(GREY + cells[..., np.newaxis], 3, axis=3)
    for category, cell in enumerate(scenes.objects[index]):
        mark = MARK * outline(category, side)[..., np.newaxis]
        levels[cell] += mark * np.array(COLOURS[category])
    whole = levels.reshape(grid, grid, side, side, 3).transpose(0, 2, 1, 3, 4)
    pixels = whole.reshape(grid * side, grid * side, 3)
    return np.asarray(np.round(255 * pixels.clip(0, 1)), dtype=np.uint8)


def gratings(side: int) -> NDArray[np.float64]:
    """Return the textures' gratings, (grating, row, column), each with a mean square of 1."""
    place = np.pi * (np.arange(side) + 0.5) / side
    waves = np.stack([np.outer(np.cos(a * place), np.cos(b * place)) for a, b in WAVES])
    return np.asarray(waves / np.sqrt((waves**2).mean((1, 2), keepdims=True)))


def outline(category: int, side: int) -> NDArray[np.float64]:
    """Return where an object is in its cell, 0 or 1: a disc, a square or a diamond."""
    place = (np.arange(side) + 0.5) / side * 2 - 1
    rows, columns = np.meshgrid(place, place, indexing="ij")
    inside = (
        rows**2 + columns**2 < 0.8,
        np.maximum(np.abs(rows), np.abs(columns)) < 0.8,
        np.abs(rows) + np.abs(columns) < 1.1,
    )[category]
    return inside.astype(np.float64)


def field(world: RoutingWorld, region: str) -> NDArray[np.float64]:
    """Return how much a retinotopic region sees of each cell, (cell,), sum 1.

    A Gaussian around a place in the middle half of the picture, the same in everybody.
    """
    random = generator(world.seed, TASK, "field", region)
    centre = world.grid * random.uniform(0.25, 0.75, 2)
    place = np.arange(world.grid) + 0.5
    rows, columns = np.meshgrid(place, place, indexing="ij")
    distance = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2
    size = world.field_size * world.grid
    weights = np.exp(-distance / (2 * size**2)).ravel()
    return np.asarray(weights / weights.sum())


def read(world: RoutingWorld, scenes: Scenes, region: str) -> NDArray[np.float64]:
    """Return what a region reads of each picture, (picture, grating)."""
    what = world.regions[region]
    if what == FIELD:
        return np.asarray(np.einsum("pck,c->pk", scenes.textures, field(world, region)))
    cells = scenes.objects[:, world.categories.index(what)]
    return np.asarray(scenes.textures[np.arange(len(cells)), cells])


def signals(world: RoutingWorld, scenes: Scenes, subject: str) -> NDArray[np.float64]:
    """Return what every voxel answers to every picture, (picture, voxel), variance 1.

    Voxels come region by region, the control (all zero) last. Weights are random.
    """
    found = []
    for region in world.regions:
        features = read(world, scenes, region)
        random = generator(world.seed, TASK, "weights", subject, region)
        answers = features @ random.standard_normal((features.shape[1], world.n_voxels))
        found.append((answers - answers.mean(0)) / answers.std(0))
    found.append(np.zeros((world.n_images, world.n_voxels)))
    return np.concatenate(found, axis=1)
