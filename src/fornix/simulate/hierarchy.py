"""The world ``hierarchy``: eight regions in a row, from edges at their place to category.

What is planted: a voxel answers linearly to what its region is driven by, a mixture of neighbouring
levels: simple cells (linear filters), complex cells (energy of orientations), parts (which is
where), category. The control has no levels: pixels at a low resolution drive every region.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from fornix.seeds import generator
from fornix.simulate.experiment import Shown, write_description, write_pictures, write_scans
from fornix.simulate.scenery import CATEGORIES, PARTS, Scene, draw
from fornix.study.worlds.hierarchy import REGIONS, HierarchyWorld

TASK = "hierarchy"
LEVELS = ("simple", "complex", "parts", "category")
MIXTURES = {
    "V1": {"simple": 1.0},
    "V2": {"simple": 0.5, "complex": 0.5},
    "V3": {"complex": 1.0},
    "V4": {"complex": 0.5, "parts": 0.5},
    "LO": {"parts": 1.0},
    "TO": {"parts": 0.6, "category": 0.4},
    "IT": {"parts": 0.3, "category": 0.7},
    "PFC": {"category": 1.0},
}
"""Region -> share of each level in the variance of its answers."""

CYCLES = 0.2
"""Of the filters, a pixel."""
GRID = 4
N_ORIENTATIONS = 4
N_DIPOLES = 6
"""Current dipoles a region, half of them in each hemisphere."""


def write(world: HierarchyWorld, folder: Path) -> dict[str, Any]:
    """Write the world as a BIDS dataset.

    Parameters
    ----------
    world
        The world's settings.
    folder
        The BIDS root to make.
    """
    scenes = draw("objects", world.n_images, world.image_size, world.seed)
    levels = levels_of(scenes) if world.hierarchy else {"pixels": pixels_of(scenes)}
    mixtures = MIXTURES if world.hierarchy else {one: {"pixels": 1.0} for one in REGIONS}
    recorded = {"both": "fMRI and MEG", "fmri": "fMRI", "meg": "MEG"}[world.modality]
    readme = f"Simulated {recorded} of people who look at drawn objects. Nobody was recorded.\n"
    readme += "Regions stand in a row, from edges to category; see truth.json beside this folder.\n"
    shown = Shown(
        task=TASK,
        table=pd.DataFrame([{"stim_file": one.name, **one.content} for one in scenes]),
        pixels=[one.pixels for one in scenes],
        trial_type=[one.content["category"] for one in scenes],
        readme=readme,
    )
    write_pictures(shown, folder)
    write_description(folder, TASK, recorded, readme, world.subjects())
    truth: dict[str, Any] = {
        "hierarchy": world.hierarchy,
        "regions": list(REGIONS),
        "mixtures": mixtures,
        "latencies": world.latencies,
    }
    if world.modality != "meg":
        truth["noise_ceiling"] = world.noise_ceiling
        write_scans(
            world, folder, shown, REGIONS, lambda who: signals(world, who, levels, mixtures)
        )
    if world.modality != "fmri":
        # MNE takes a while to import, which fMRI alone need not wait for.
        from fornix.simulate.meg import write_recordings

        def dipoles(who: str) -> dict[str, NDArray[np.float64]]:
            return answers_of(world, who, levels, mixtures, what="dipoles", n=N_DIPOLES)

        truth["meg"] = write_recordings(world, folder, shown, dipoles)
    return truth


def signals(
    world: HierarchyWorld,
    subject: str,
    levels: dict[str, NDArray[np.float64]],
    mixtures: dict[str, dict[str, float]],
) -> NDArray[np.float64]:
    """Return what every voxel answers to every picture, (picture, voxel), variance 1.

    Voxels come region by region, the control (all zero) last. Weights are random.
    """
    found = answers_of(world, subject, levels, mixtures, what="weights", n=world.n_voxels)
    blank = np.zeros((world.n_images, world.n_voxels))
    return np.concatenate([*found.values(), blank], axis=1)


def answers_of(
    world: HierarchyWorld,
    subject: str,
    levels: dict[str, NDArray[np.float64]],
    mixtures: dict[str, dict[str, float]],
    *,
    what: str,
    n: int,
) -> dict[str, NDArray[np.float64]]:
    """Return what each region's units answer to every picture, (picture, unit), variance 1.

    ``what`` they are decides their random weights, ``n`` is their number.
    """
    found = {}
    for region in REGIONS:
        random = generator(world.seed, TASK, what, subject, region)
        answers = np.zeros((world.n_images, n))
        for level, share in mixtures[region].items():
            features = _standard(levels[level])
            drive = features @ random.standard_normal((features.shape[1], n))
            answers += np.sqrt(share) * _standard(drive)
        found[region] = _standard(answers)
    return found


def levels_of(scenes: Sequence[Scene]) -> dict[str, NDArray[np.float64]]:
    """Return what drives the regions, level by level, each (picture, feature)."""
    images = np.stack([one.luminance for one in scenes])
    simple, energy = _filtered(images)
    seen = np.array([list(one.content["parts"]) for one in scenes])
    parts = seen[:, :, np.newaxis] == np.array(list(PARTS.values()))
    category = np.array([one.content["category"] for one in scenes])[:, np.newaxis]
    return {
        "simple": simple,
        "complex": energy,
        "parts": parts.reshape(len(scenes), -1).astype(np.float64),
        "category": (category == np.array(list(CATEGORIES))).astype(np.float64),
    }


def pixels_of(scenes: Sequence[Scene]) -> NDArray[np.float64]:
    """Return the mean grey of each place of a grid, (picture, place)."""
    images = np.stack([one.luminance for one in scenes])
    return np.asarray(_places(images).mean((2, 4)).reshape(len(images), -1))


def _places(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut images (picture, row, column) into places: (picture, place, row, place, column)."""
    side = images.shape[1] // GRID
    cut = images[:, : GRID * side, : GRID * side]
    return cut.reshape(len(images), GRID, side, GRID, side)


def _filtered(images: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return filters' answers at places of a grid, and their energy averaged around these."""
    reach = round(1.5 / CYCLES)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    window = np.exp(-(rows**2 + columns**2) / (2 * (0.4 / CYCLES) ** 2))
    side = images.shape[1] // GRID
    linear, energies = [], []
    for angle in np.pi * np.arange(N_ORIENTATIONS) / N_ORIENTATIONS:
        along = 2 * np.pi * CYCLES * (columns * np.cos(angle) - rows * np.sin(angle))
        pair = []
        for wave in (np.cos(along), np.sin(along)):
            kernel = window * (wave - (window * wave).sum() / window.sum())
            pair.append(fftconvolve(images, kernel[None], mode="same", axes=(1, 2)))
        linear += [one[:, side // 2 :: side, side // 2 :: side] for one in pair]
        energies.append(_places(np.hypot(*pair)).mean((2, 4)))
    flat = [np.stack(one, axis=1).reshape(len(images), -1) for one in (linear, energies)]
    return flat[0], flat[1]


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = values - values.mean(0)
    deviation = centred.std(0)
    # Of few pictures none may have a part at some place.
    return np.asarray(centred / np.where(deviation > 0, deviation, 1))
