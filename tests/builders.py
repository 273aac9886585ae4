"""Small BIDS datasets, written by hand, for any test: ``from builders import ...``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image

IMAGE_SIZE = 16


def write_description(root: Path, **fields: Any) -> Path:
    """Make a folder a BIDS root."""
    root.mkdir(parents=True, exist_ok=True)
    found = {"Name": "tiny", "BIDSVersion": "1.9.0", "DatasetType": "raw", **fields}
    (root / "dataset_description.json").write_text(json.dumps(found))
    return root


def write_bold(
    path: Path,
    *,
    shape: tuple[int, ...] = (4, 3, 2, 20),
    repetition_time: float | None = 2.0,
    seed: int = 0,
) -> Path:
    """Write a BOLD series of noise, its repetition time in the header; None: not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(seed).normal(1000, 10, shape).astype(np.float32)
    image = nib.Nifti1Image(data, np.diag([3.0, 3.0, 3.0, 1.0]))
    image.header.set_xyzt_units("mm", "sec")
    if len(shape) == 4:
        image.header.set_zooms((3, 3, 3, repetition_time or 0.0))
    image.to_filename(path)
    return path


def write_brainvision(
    path: Path,
    *,
    names: Sequence[str] = ("Cz", "Pz", "Oz"),
    n_samples: int = 2560,
    sampling_frequency: float = 128.0,
    marker: int = 1,
    seed: int = 0,
) -> Path:
    """Write ``.vhdr``, ``.eeg`` (float32, multiplexed, µV) and ``.vmrk`` of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data, markers = path.with_suffix(".eeg"), path.with_suffix(".vmrk")
    channels = "\n".join(f"Ch{i + 1}={name},,1,µV" for i, name in enumerate(names))
    path.write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={data.name}\nMarkerFile={markers.name}\nDataFormat=BINARY\n"
        f"DataOrientation=MULTIPLEXED\nNumberOfChannels={len(names)}\n"
        f"SamplingInterval={1e6 / sampling_frequency:g}\n\n[Binary Infos]\n"
        f"BinaryFormat=IEEE_FLOAT_32\n\n[Channel Infos]\n{channels}\n\n"
        "[Comment]\n= free = text [\n",
        encoding="utf-8",
    )
    markers.write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={data.name}\n\n[Marker Infos]\nMk1=Stimulus,S  1,{marker},1,0\n"
    )
    values = np.random.default_rng(seed).normal(0, 10, (n_samples, len(names)))
    data.write_bytes(values.astype("<f4").tobytes())
    return path


def write_tsv(path: Path, columns: Mapping[str, Sequence[Any]]) -> Path:
    """Write a tab-separated table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = zip(*columns.values(), strict=True)
    lines = ["\t".join(columns), *("\t".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_image(path: Path, seed: int = 0) -> Path:
    """Write a small image of noise in the format that its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (IMAGE_SIZE, IMAGE_SIZE, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def fmri_dataset(
    root: Path, *, subjects: Sequence[str] = ("01", "02"), runs: Sequence[str] = ("01", "02")
) -> Path:
    """Write a BIDS root: 4 images, shown once in each run of 20 volumes (40 s).

    The sidecar is inherited from the root; images are named without their folder.
    """
    write_description(root)
    (root / "task-look_bold.json").write_text('{"RepetitionTime": 2.0, "TaskName": "look"}')
    images = [f"image{i}.png" for i in range(4)]
    for i, name in enumerate(images):
        write_image(root / "stimuli" / name, seed=i)
    for subject in subjects:
        for run in runs:
            stem = f"sub-{subject}/func/sub-{subject}_task-look_run-{run}"
            write_bold(root / f"{stem}_bold.nii.gz", seed=int(run))
            columns = {
                "onset": [2, 10.5, 20, 30],
                "duration": [1.5] * 4,
                "trial_type": ["face", "house", "face", "house"],
                "stim_file": images,
            }
            write_tsv(root / f"{stem}_events.tsv", columns)
    return root


def eeg_dataset(
    root: Path, *, subjects: Sequence[str] = ("01",), runs: Sequence[str] = ("01", "02")
) -> Path:
    """Write a BIDS root: BrainVision runs of 20 s at 128 Hz, 3 channels, 4 events."""
    write_description(root)
    for subject in subjects:
        for run in runs:
            stem = f"sub-{subject}/eeg/sub-{subject}_task-look_run-{run}"
            write_brainvision(root / f"{stem}_eeg.vhdr", seed=int(run))
            sidecar = {"SamplingFrequency": 128, "RecordingDuration": 20, "PowerLineFrequency": 50}
            (root / f"{stem}_eeg.json").write_text(json.dumps(sidecar))
            names = {"name": ["Cz", "Pz", "Oz"], "type": ["EEG"] * 3, "units": ["µV"] * 3}
            write_tsv(root / f"{stem}_channels.tsv", names)
            columns = {
                "onset": [0, 5, 10, 15],
                "duration": ["n/a"] * 4,
                "trial_type": ["face", "house", "response", "face"],
            }
            write_tsv(root / f"{stem}_events.tsv", columns)
    return root


def rdm_dataset(
    root: Path, *, n_subjects: int = 3, n_sessions: int = 2, n_stimuli: int = 6
) -> Path:
    """Write random symmetric matrices with a zero diagonal, and the stimuli they compare."""
    shape = (n_subjects, n_sessions, n_stimuli, n_stimuli)
    rdm = np.random.default_rng(0).uniform(0.1, 1, shape)
    rdm = rdm + rdm.swapaxes(-1, -2)
    rdm[..., range(n_stimuli), range(n_stimuli)] = 0
    root.mkdir(parents=True, exist_ok=True)
    np.savez(root / "some_rdms.npz", rdm=rdm.astype(np.float32))
    names = [f"z{n_stimuli - i}.png" for i in range(n_stimuli)]  # not in alphabetical order
    for i, name in enumerate(names):
        write_image(root / "stimuli" / name, seed=i)
    columns = {"stim_file": names, "animate": [i % 2 for i in range(n_stimuli)]}
    write_tsv(root / "stimuli.tsv", columns)
    return root
