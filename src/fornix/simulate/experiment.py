"""An fMRI experiment on pictures: what voxels answer to each picture becomes a BIDS dataset.

Every run shows every picture once. Each trial adds independent noise, strong enough that the mean
over all repeats has the stated noise ceiling; then come the HRF, scanner noise and drift. One
further region, ``control``, is noise alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image

from fornix.progress import track
from fornix.seeds import generator
from fornix.simulate.bids import write_json, write_participants, write_tsv
from fornix.simulate.bold import BASELINE, scanner, series
from fornix.simulate.volumes import Layout, lay_out, save_image
from fornix.study.worlds.pictures import CONTROL, PictureWorld

if TYPE_CHECKING:
    from numpy.typing import NDArray

DURATION = 2.0
LEAD = 12.0
"""Rest before the first and after the last picture, s."""

BLANK = 8
"""Every so many pictures there is a pause of one trial, so that the baseline is seen."""

THERMAL, DRIFT = 0.1, 1.0
"""Scanner noise and drift; one unit is the standard deviation of what pictures add to a voxel.
In estimates of single trials the thermal noise has a variance of 0.01 (0.06 at the shortest
intervals), where trials have 2.7 by default: a ceiling of 0.6 comes out as 0.599."""


@dataclass(frozen=True)
class Shown:
    """What is shown.

    Attributes
    ----------
    task
        BIDS label; random numbers go by it too.
    table
        One row a picture: ``stim_file``, and what is in it.
    pixels
        Of each picture, uint8 (row, column, colour).
    trial_type
        Of each picture.
    readme
        Text of the dataset's README.
    """

    task: str
    table: pd.DataFrame
    pixels: Sequence[NDArray[np.uint8]]
    trial_type: Sequence[str]
    readme: str


def write_experiment(
    world: PictureWorld,
    folder: Path,
    shown: Shown,
    regions: Sequence[str],
    signals: Callable[[str], NDArray[np.float64]],
) -> None:
    """Write a BIDS dataset.

    Parameters
    ----------
    world
        People, sessions, runs, timing, ceiling.
    folder
        The BIDS root to make.
    shown
        The pictures.
    regions
        Names of the regions that answer.
    signals
        Subject -> what its voxels answer, (picture, voxel), region by region, each with a mean
        of 0 and a variance of 1; those of the control (all zero) last.
    """
    write_pictures(shown, folder)
    write_description(folder, shown.task, "fMRI", shown.readme, world.subjects())
    write_scans(world, folder, shown, regions, signals)


def write_scans(
    world: PictureWorld,
    folder: Path,
    shown: Shown,
    regions: Sequence[str],
    signals: Callable[[str], NDArray[np.float64]],
) -> None:
    """Write the fMRI of a dataset, and where its regions lie; see ``write_experiment``."""
    timing = {"TaskName": shown.task, "RepetitionTime": world.repetition_time}
    write_json(folder / f"task-{shown.task}_bold.json", timing)
    _describe(folder / "derivatives/regions", "regions of the simulated brains", shown.task)
    layout = lay_out([*regions, CONTROL], world.n_voxels)
    for subject in track(world.subjects(), "simulating fMRI: subjects"):
        _write_regions(layout, folder, subject, shown.task)
        amplitudes = signals(subject)
        for session, run in runs_of(world):
            names = (subject, session, run)
            _write_run(world, folder, layout, shown, amplitudes=amplitudes, names=names)


def trial_noise(world: PictureWorld) -> float:
    """Return the standard deviation of a trial's noise that makes the planted ceiling.

    With signal variance 1 and n repeats, the ceiling of their mean is 1 / (1 + sd^2 / n).
    """
    n_repeats = world.n_sessions * world.n_runs
    return float(np.sqrt(n_repeats * (1 / world.noise_ceiling - 1)))


def runs_of(world: PictureWorld) -> list[tuple[str, str]]:
    """Return the labels of every run's session and run."""
    return [
        (f"{session + 1:02d}", f"{run + 1:02d}")
        for session in range(world.n_sessions)
        for run in range(world.n_runs)
    ]


def _write_run(
    world: PictureWorld,
    folder: Path,
    layout: Layout,
    shown: Shown,
    *,
    amplitudes: NDArray[np.float64],
    names: tuple[str, str, str],
) -> None:
    subject, session, run = names
    random = generator(world.seed, shown.task, "run", *names)
    n = len(shown.table)
    order = random.permutation(n)
    slots = np.arange(n) + np.arange(n) // BLANK
    onsets = np.asarray(LEAD + slots * world.trial_interval, dtype=np.float64)
    n_volumes = int(np.ceil((onsets[-1] + world.trial_interval + LEAD) / world.repetition_time))
    noise = trial_noise(world) * random.standard_normal(amplitudes.shape)
    answers: NDArray[np.float64] = amplitudes[order] + noise
    bold = series(answers, onsets, DURATION, n_volumes, world.repetition_time)
    bold += scanner(n_volumes, answers.shape[1], random, noise=THERMAL, drift=DRIFT)
    place = folder / f"sub-{subject}" / f"ses-{session}" / "func"
    stem = f"sub-{subject}_ses-{session}_task-{shown.task}_run-{run}"
    save_image(place / f"{stem}_bold.nii.gz", layout.fill(BASELINE + bold), world.repetition_time)
    events = pd.DataFrame(
        {
            "onset": onsets,
            "duration": DURATION,
            "trial_type": [shown.trial_type[i] for i in order],
            "stim_file": shown.table["stim_file"].to_numpy()[order],
        }
    )
    write_tsv(place / f"{stem}_events.tsv", events)


def write_pictures(shown: Shown, folder: Path) -> None:
    """Write the stimuli and their table."""
    place = folder / "stimuli"
    place.mkdir(parents=True)
    for name, pixels in zip(shown.table["stim_file"], shown.pixels, strict=True):
        Image.fromarray(pixels).save(place / str(name))
    write_tsv(place / "stimuli.tsv", shown.table)


def write_description(
    folder: Path, task: str, what: str, readme: str, subjects: Sequence[str]
) -> None:
    """Write what the dataset is, in which task ``what`` (fMRI, MEG) was recorded of whom."""
    _describe(folder, f"{task}: a simulated {what} dataset", task, raw=True)
    if subjects:
        write_participants(folder, subjects)
    (folder / "README").write_text(readme, encoding="utf-8")


def _describe(folder: Path, name: str, task: str, *, raw: bool = False) -> None:
    maker = {"Name": "fornix", "Description": f"simulated: the world '{task}'"}
    about = {
        "Name": name,
        "DatasetType": "raw" if raw else "derivative",
        "BIDSVersion": "1.9.0",
        "License": "CC0",
        "GeneratedBy": [maker],
    }
    write_json(folder / "dataset_description.json", about)


def _write_regions(layout: Layout, folder: Path, subject: str, task: str) -> None:
    place = folder / "derivatives/regions" / f"sub-{subject}" / "func"
    stem = f"sub-{subject}_task-{task}"
    save_image(place / f"{stem}_desc-regions_dseg.nii.gz", layout.labels.astype(np.uint8))
    save_image(place / f"{stem}_desc-brain_mask.nii.gz", (layout.labels > 0).astype(np.uint8))
    names = pd.DataFrame({"index": range(1, len(layout.names) + 1), "name": layout.names})
    write_tsv(place / f"{stem}_desc-regions_dseg.tsv", names)
