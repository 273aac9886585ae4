"""The world ``shapes``: people look at drawn shapes, and each region answers to one layer.

What is planted: a voxel's response to a picture is a random linear combination of the features of
its region's layer. Every trial adds independent noise, strong enough that the mean over all
repeats has the stated noise ceiling. One further region, ``control``, is noise alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fornix.seeds import generator
from fornix.simulate.drawing import draw_all
from fornix.simulate.experiment import Shown, write_experiment
from fornix.simulate.layers import layer
from fornix.study.worlds.pictures import CONTROL
from fornix.study.worlds.shapes import ShapesWorld

if TYPE_CHECKING:
    from numpy.typing import NDArray

TASK = "shapes"


def write(world: ShapesWorld, folder: Path) -> dict[str, Any]:
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
        The truth: the planted layer of every region, the noise ceiling, the repeats.
    """
    pictures = draw_all(world.n_images, world.image_size, world.seed)
    layers = {name: layer(name, pictures) for name in sorted(set(world.planted.values()))}
    table = pd.DataFrame(
        {
            "stim_file": [picture.name for picture in pictures],
            "category": [picture.category for picture in pictures],
            "x": [picture.x for picture in pictures],
            "y": [picture.y for picture in pictures],
        }
    )
    shown = Shown(
        task=TASK,
        table=table,
        pixels=[picture.pixels for picture in pictures],
        trial_type=[picture.category for picture in pictures],
        readme="Simulated fMRI of people who look at drawn shapes. Nobody was scanned. Each "
        "region's\nvoxels answer linearly to one layer of the pictures; see truth.json beside "
        "this folder.\n",
    )
    regions = list(world.planted)
    write_experiment(world, folder, shown, regions, lambda who: signals(world, who, layers))
    return {
        "planted": dict(world.planted),
        "control": CONTROL,
        "noise_ceiling": world.noise_ceiling,
        "n_repeats": world.n_sessions * world.n_runs,
    }


def signals(
    world: ShapesWorld, subject: str, layers: dict[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return what every voxel answers to every picture, (picture, voxel), variance 1.

    Voxels come region by region, the control (all zero) last. Weights are random.

    Parameters
    ----------
    world
        The world's settings.
    subject
        Label; everybody has voxels of their own.
    layers
        Planted layers by name, (picture, feature).
    """
    found = []
    for region, name in world.planted.items():
        features = layers[name] - layers[name].mean(0)
        scale = features.std(0)
        features = features[:, scale > 0] / scale[scale > 0]
        random = generator(world.seed, "shapes", "weights", subject, region)
        answers = features @ random.standard_normal((features.shape[1], world.n_voxels))
        found.append((answers - answers.mean(0)) / answers.std(0))
    found.append(np.zeros((world.n_images, world.n_voxels)))
    return np.concatenate(found, axis=1)
