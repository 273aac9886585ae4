"""MEG of a world: regions answer to pictures one after the other, and sensors see their fields.

Every run shows every picture once, in random order. A region's dipoles carry a transient and a
weaker, sustained response from the region's latency on; each trial's sensor noise is white, and
so strong that the mean over all repeats has the stated ceiling at each sensor's best time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mne
import numpy as np
import pandas as pd

from fornix.progress import track
from fornix.seeds import generator
from fornix.simulate.bids import write_json, write_tsv
from fornix.simulate.experiment import Shown, runs_of
from fornix.simulate.helmet import radial_field, region_dipoles, sensor_places
from fornix.study.worlds.hierarchy import HierarchyWorld

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RISE_S = 0.03
"""From a response's onset to its peak."""

SUSTAINED, DECAY_S = 0.3, 0.3
"""Size of what outlasts the transient, and how fast it fades."""

AMPLITUDE_T = 1e-13
"""Standard deviation over pictures of a region's field at its peak, mean square over sensors."""

LEAD_S = 1.0
"""Rest before the first and after the last picture."""

DURATION = 0.3
"""Of a picture, s."""

ID_STRUCT = 31
"""FIFF's type of a tag that identifies a file: version, machine (2), time (2)."""


def write_recordings(
    world: HierarchyWorld,
    folder: Path,
    shown: Shown,
    answers: Callable[[str], Mapping[str, Floats]],
) -> dict[str, Any]:
    """Write the MEG of a dataset.

    Parameters
    ----------
    world
        People, sessions, runs, and how they are recorded.
    folder
        The BIDS root.
    shown
        The pictures.
    answers
        Subject -> region -> what its dipoles answer to each picture, (picture, dipole).

    Returns
    -------
    dict
        ``times`` (s after onset), and the mean over sensors and subjects of the ``ceiling`` (share
        of variance) of the mean over all repeats at each.
    """
    sensors = sensor_places(world.meg.n_sensors)
    info = sensor_info(sensors, world.meg.sampling_frequency)
    times = response_times(world)
    strengths = np.geomspace(*world.meg.strengths, len(world.latencies))
    courses = np.stack([time_course(times, onset) for onset in world.latencies.values()])
    courses *= strengths[:, np.newaxis]
    ceilings = []
    for subject in track(world.subjects(), "simulating MEG: subjects"):
        fields = region_fields(world, subject, sensors, answers(subject))
        signal = np.einsum("rps,rt->pst", fields, courses)
        noise = sensor_noise(world, signal)
        ceilings.append(ceiling_over_time(world, signal, noise))
        _write_coordinates(world, folder, subject)
        for names in runs_of(world):
            at = (subject, *names)
            _write_run(world, folder, shown, info, signal, noise=noise, names=at)
    return {
        "times": np.round(times, 6).tolist(),
        "ceiling": np.round(np.mean(ceilings, axis=0), 4).tolist(),
    }


def response_times(world: HierarchyWorld) -> Floats:
    """Return the times of a response, s after onset, as long as until the next picture's."""
    rate = world.meg.sampling_frequency
    return np.asarray(np.arange(round(world.meg.trial_interval * rate)) / rate)


def time_course(times: Floats, onset: float) -> Floats:
    """Return a region's response over time: a transient of size 1 and what outlasts it."""
    since = np.maximum(times - onset, 0.0)
    transient = since / RISE_S * np.exp(1 - since / RISE_S)
    lasting = SUSTAINED * (1 - np.exp(-since / RISE_S)) * np.exp(-since / DECAY_S)
    return np.asarray(transient + lasting)


def region_fields(
    world: HierarchyWorld, subject: str, sensors: Floats, answers: Mapping[str, Floats]
) -> Floats:
    """Return what each region adds to each sensor at its peak, (region, picture, sensor), T.

    All regions are equally strong here: where it lies makes none noisier than another.
    """
    found = []
    for i, (region, values) in enumerate(answers.items()):
        random = generator(world.seed, "hierarchy", "dipoles", subject, region)
        dipoles = region_dipoles(i / max(len(answers) - 1, 1), values.shape[1], random)
        field = values @ radial_field(sensors, dipoles).T
        found.append(AMPLITUDE_T * field / np.sqrt(field.var(0).mean()))
    return np.stack(found)


def sensor_noise(world: HierarchyWorld, signal: Floats) -> Floats:
    """Return the standard deviation of each sensor's noise in a trial, (sensor,), T.

    At the sensor's best time, the mean over n repeats has the ceiling
    signal variance / (signal variance + noise variance / n).
    """
    n_repeats = world.n_sessions * world.n_runs
    best = signal.var(0).max(1)
    return np.asarray(np.sqrt(n_repeats * best * (1 / world.meg.noise_ceiling - 1)))


def ceiling_over_time(world: HierarchyWorld, signal: Floats, noise: Floats) -> Floats:
    """Return the mean over sensors of the ceiling of the mean over all repeats, (time,)."""
    explained = signal.var(0)
    left = noise[:, np.newaxis] ** 2 / (world.n_sessions * world.n_runs)
    return np.asarray((explained / (explained + left)).mean(0))


def sensor_info(sensors: Floats, rate: float) -> Any:
    """Return MNE's description of the magnetometers."""
    names = [f"MEG{i + 1:03d}" for i in range(len(sensors))]
    info = mne.create_info(names, rate, "mag", verbose="ERROR")
    info["dev_head_t"] = mne.Transform("meg", "head", np.eye(4))
    for channel, place in zip(info["chs"], sensors, strict=True):
        outwards = place / np.linalg.norm(place)
        aside = np.cross(outwards, [0.0, 0.0, 1.0])
        aside /= np.linalg.norm(aside)
        frame = [aside, np.cross(outwards, aside), outwards]
        channel["loc"] = np.concatenate([place, *frame])
        channel["coil_type"] = mne.io.constants.FIFF.FIFFV_COIL_POINT_MAGNETOMETER
    return info


def save_fif(path: Path, data: Floats, info: Any) -> None:
    """Save a recording, (sensor, sample) in T, as FIFF; the same bytes on any machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = mne.io.RawArray(data, info, verbose="ERROR")
    raw.save(path, fmt="single", overwrite=True, verbose="ERROR")
    content = bytearray(path.read_bytes())
    at = 0
    while at < len(content):
        _, kind, size, following = struct.unpack_from(">4i", content, at)
        if kind == ID_STRUCT:
            content[at + 20 : at + 28] = bytes(8)  # the machine
        at = following if following > 0 else at + 16 + size
    path.write_bytes(content)


def _write_run(
    world: HierarchyWorld,
    folder: Path,
    shown: Shown,
    info: Any,
    signal: Floats,
    *,
    noise: Floats,
    names: tuple[str, str, str],
) -> None:
    subject, session, run = names
    random = generator(world.seed, shown.task, "meg run", *names)
    rate, interval = world.meg.sampling_frequency, world.meg.trial_interval
    order = random.permutation(len(signal))
    step = round(interval * rate)
    first = round(LEAD_S * rate)
    n_samples = 2 * first + step * len(order)
    data = noise[:, np.newaxis] * random.standard_normal((len(noise), n_samples))
    data[:, first : first + step * len(order)] += (
        signal[order].transpose(1, 0, 2).reshape(len(noise), -1)
    )
    place = folder / f"sub-{subject}" / f"ses-{session}" / "meg"
    stem = f"sub-{subject}_ses-{session}_task-{shown.task}_run-{run}"
    save_fif(place / f"{stem}_meg.fif", data, info)
    events = pd.DataFrame(
        {
            "onset": np.round((first + step * np.arange(len(order))) / rate, 6),
            "duration": DURATION,
            "trial_type": [shown.trial_type[i] for i in order],
            "stim_file": shown.table["stim_file"].to_numpy()[order],
        }
    )
    write_tsv(place / f"{stem}_events.tsv", events)
    about = {
        "TaskName": shown.task,
        "SamplingFrequency": rate,
        "PowerLineFrequency": "n/a",
        "DewarPosition": "upright",
        "SoftwareFilters": "n/a",
        "DigitizedLandmarks": False,
        "DigitizedHeadPoints": False,
        "MEGChannelCount": len(noise),
        "RecordingDuration": n_samples / rate,
    }
    write_json(place / f"{stem}_meg.json", about)
    channels = pd.DataFrame(
        {"name": info["ch_names"], "type": "MEGMAG", "units": "T", "status": "good"}
    )
    write_tsv(place / f"{stem}_channels.tsv", channels)


def _write_coordinates(world: HierarchyWorld, folder: Path, subject: str) -> None:
    for session in dict.fromkeys(session for session, _ in runs_of(world)):
        place = folder / f"sub-{subject}" / f"ses-{session}" / "meg"
        about = {"MEGCoordinateSystem": "ElektaNeuromag", "MEGCoordinateUnits": "m"}
        write_json(place / f"sub-{subject}_ses-{session}_coordsystem.json", about)
