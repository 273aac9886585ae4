"""The world ``geometry``: areas that differ in the geometry of their patterns, and little.

What is planted: pictures are points in an area's pattern space, drawn once for everybody. The
first area's points are random; each further area's are those of the one before, with a share of
their variance drawn anew. A person's voxels are random projections of the points, so that only
the distances between pictures are the same in two people. ``outliers`` adds to some pictures a
pattern of the person's own, whose size has a heavy tail.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fornix.seeds import generator
from fornix.simulate.drawing import draw_all
from fornix.simulate.experiment import Shown, write_experiment
from fornix.study.worlds.geometry import GeometryWorld

if TYPE_CHECKING:
    from numpy.typing import NDArray

TASK = "geometry"
IMAGE_SIZE = 32
TAIL = 2
"""Degrees of freedom of the outliers' sizes: their variance is infinite."""


def write(world: GeometryWorld, folder: Path) -> dict[str, Any]:
    """Write the world as a BIDS dataset.

    Parameters
    ----------
    world
        The world's settings.
    folder
        The BIDS root to make.

    Returns
    -------
    dict
        The truth: the chain, and how much each area's geometry has to do with the first one's.
    """
    pictures = draw_all(world.n_images, IMAGE_SIZE, world.seed)
    table = pd.DataFrame(
        {
            "stim_file": [picture.name for picture in pictures],
            "category": [picture.category for picture in pictures],
        }
    )
    shown = Shown(
        task=TASK,
        table=table,
        pixels=[picture.pixels for picture in pictures],
        trial_type=[picture.category for picture in pictures],
        readme="Simulated fMRI of people who look at drawn shapes. Nobody was scanned. Areas\n"
        "differ in which pictures they have near one another; see truth.json beside this folder.\n",
    )
    write_experiment(world, folder, shown, world.regions(), lambda who: signals(world, who))
    shared = (1 - world.step) ** np.arange(world.n_regions)
    return {
        "chain": world.regions(),
        "shared_with_the_first": shared.tolist(),
        "outliers": world.outliers,
        "n_repeats": world.n_sessions * world.n_runs,
    }


def points(world: GeometryWorld) -> NDArray[np.float64]:
    """Return what all people share: (area, picture, dimension), variance 1."""
    random = generator(world.seed, TASK, "points")
    shape = (world.n_regions, world.n_images, world.n_dimensions)
    found = random.standard_normal(shape)
    for area in range(1, world.n_regions):
        kept, new = np.sqrt(1 - world.step), np.sqrt(world.step)
        found[area] = kept * found[area - 1] + new * found[area]
    return found


def signals(world: GeometryWorld, subject: str) -> NDArray[np.float64]:
    """Return what every voxel answers to every picture, (picture, voxel), area by area.

    Voxels have a mean of 0 and a variance of 1 but for the outliers; the control's, last, are 0.
    """
    found = []
    for name, patterns in zip(world.regions(), points(world), strict=True):
        random = generator(world.seed, TASK, "weights", subject, name)
        weights = random.standard_normal((world.n_dimensions, world.n_voxels))
        answers = patterns @ weights
        answers = (answers - answers.mean(0)) / answers.std(0)
        size = world.outlier_size * np.abs(random.standard_t(TAIL, world.n_images))
        size *= random.random(world.n_images) < world.outliers
        found.append(answers + size[:, None] * random.standard_normal(answers.shape))
    found.append(np.zeros((world.n_images, world.n_voxels)))
    return np.concatenate(found, axis=1)
