"""The world ``shapes``: people look at drawn shapes, and each region answers to one layer.

What is planted: a voxel's response to a picture is a random linear combination of the features of
its region's layer. Every trial adds independent noise, strong enough that the mean over all
repeats has the stated noise ceiling. One further region, ``control``, is noise alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image

from fornix.progress import track
from fornix.seeds import generator
from fornix.simulate.bids import write_json, write_participants, write_tsv
from fornix.simulate.bold import BASELINE, scanner, series
from fornix.simulate.drawing import Picture, draw_all
from fornix.simulate.layers import layer
from fornix.simulate.volumes import Layout, lay_out, save_image
from fornix.study.worlds.shapes import CONTROL, ShapesWorld

if TYPE_CHECKING:
    from numpy.typing import NDArray

TASK = "shapes"
DURATION = 2.0
LEAD = 12.0
"""Rest before the first and after the last picture, s."""

BLANK = 8
"""Every so many pictures there is a pause of one trial, so that the baseline is seen."""

THERMAL, DRIFT = 0.1, 1.0
"""Scanner noise and drift; one unit is the standard deviation of what pictures add to a voxel.
In estimates of single trials the thermal noise has a variance of 0.01 (0.06 at the shortest
intervals), where trials have 2.7 by default: the ceiling of 0.6 comes out as 0.599."""


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
    _write_stimuli(pictures, folder)
    _write_description(world, folder)
    layout = lay_out([*world.planted, CONTROL], world.n_voxels)
    layers = {name: layer(name, pictures) for name in sorted(set(world.planted.values()))}
    for subject in track(world.subjects(), "simulating: subjects"):
        _write_regions(layout, folder, subject)
        amplitudes = signals(world, subject, layers)
        for session, run in _runs(world):
            names = (subject, session, run)
            _write_run(world, folder, layout, pictures, amplitudes=amplitudes, names=names)
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


def trial_noise(world: ShapesWorld) -> float:
    """Return the standard deviation of a trial's noise that makes the planted ceiling.

    With signal variance 1 and n repeats, the ceiling of their mean is 1 / (1 + sd^2 / n).
    """
    n_repeats = world.n_sessions * world.n_runs
    return float(np.sqrt(n_repeats * (1 / world.noise_ceiling - 1)))


def _runs(world: ShapesWorld) -> list[tuple[str, str]]:
    return [
        (f"{session + 1:02d}", f"{run + 1:02d}")
        for session in range(world.n_sessions)
        for run in range(world.n_runs)
    ]


def _write_run(
    world: ShapesWorld,
    folder: Path,
    layout: Layout,
    pictures: Sequence[Picture],
    *,
    amplitudes: NDArray[np.float64],
    names: tuple[str, str, str],
) -> None:
    subject, session, run = names
    random = generator(world.seed, "shapes", "run", *names)
    order = random.permutation(len(pictures))
    slots = np.arange(len(pictures)) + np.arange(len(pictures)) // BLANK
    onsets = np.asarray(LEAD + slots * world.trial_interval, dtype=np.float64)
    n_volumes = int(np.ceil((onsets[-1] + world.trial_interval + LEAD) / world.repetition_time))
    noise = trial_noise(world) * random.standard_normal(amplitudes.shape)
    answers: NDArray[np.float64] = amplitudes[order] + noise
    bold = series(answers, onsets, DURATION, n_volumes, world.repetition_time)
    bold += scanner(n_volumes, answers.shape[1], random, noise=THERMAL, drift=DRIFT)
    place = folder / f"sub-{subject}" / f"ses-{session}" / "func"
    stem = f"sub-{subject}_ses-{session}_task-{TASK}_run-{run}"
    save_image(place / f"{stem}_bold.nii.gz", layout.fill(BASELINE + bold), world.repetition_time)
    shown = [pictures[i] for i in order]
    events = pd.DataFrame(
        {
            "onset": onsets,
            "duration": DURATION,
            "trial_type": [picture.category for picture in shown],
            "stim_file": [picture.name for picture in shown],
        }
    )
    write_tsv(place / f"{stem}_events.tsv", events)


def _write_stimuli(pictures: Sequence[Picture], folder: Path) -> None:
    place = folder / "stimuli"
    place.mkdir(parents=True)
    for picture in pictures:
        Image.fromarray(picture.pixels).save(place / picture.name)
    table = pd.DataFrame(
        {
            "stim_file": [picture.name for picture in pictures],
            "category": [picture.category for picture in pictures],
            "x": [picture.x for picture in pictures],
            "y": [picture.y for picture in pictures],
        }
    )
    write_tsv(place / "stimuli.tsv", table)


def _write_description(world: ShapesWorld, folder: Path) -> None:
    maker = [{"Name": "fornix", "Description": "simulated: the world 'shapes'"}]
    about = {"BIDSVersion": "1.9.0", "License": "CC0"}
    raw = {"Name": "shapes: a simulated fMRI dataset", "DatasetType": "raw", **about}
    regions = {"Name": "regions of the simulated brains", "DatasetType": "derivative", **about}
    write_json(folder / "dataset_description.json", {**raw, "GeneratedBy": maker})
    derived = folder / "derivatives/regions/dataset_description.json"
    write_json(derived, {**regions, "GeneratedBy": maker})
    timing = {"TaskName": TASK, "RepetitionTime": world.repetition_time}
    write_json(folder / f"task-{TASK}_bold.json", timing)
    write_participants(folder, world.subjects())
    text = (
        "Simulated fMRI of people who look at drawn shapes. Nobody was scanned. Each region's\n"
        "voxels answer linearly to one layer of the pictures; see truth.json beside this folder.\n"
    )
    (folder / "README").write_text(text, encoding="utf-8")


def _write_regions(layout: Layout, folder: Path, subject: str) -> None:
    place = folder / "derivatives/regions" / f"sub-{subject}" / "func"
    stem = f"sub-{subject}_task-{TASK}"
    save_image(place / f"{stem}_desc-regions_dseg.nii.gz", layout.labels.astype(np.uint8))
    save_image(place / f"{stem}_desc-brain_mask.nii.gz", (layout.labels > 0).astype(np.uint8))
    names = pd.DataFrame({"index": range(1, len(layout.names) + 1), "name": layout.names})
    write_tsv(place / f"{stem}_desc-regions_dseg.tsv", names)
