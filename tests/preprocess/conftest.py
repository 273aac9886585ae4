"""Small datasets on disk, and the index tables that describe them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mne
import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from fornix.preprocess.companions import entity
from fornix.preprocess.material import Material
from fornix.study.compute import Compute

COMPANION_COLUMNS = [
    *("path", "suffix", "extension", "subject", "session", "task", "run", "space", "description")
]


@dataclass
class Tree:
    """A dataset's folder and its tables, filled file by file."""

    root: Path
    recordings: list[dict[str, Any]] = field(default_factory=list)
    events: list[pd.DataFrame] = field(default_factory=list)
    others: list[pd.DataFrame] = field(default_factory=list)
    companions: list[dict[str, Any]] = field(default_factory=list)
    stimuli: list[str] = field(default_factory=list)

    def recording(self, path: str, **known: Any) -> str:
        keys = {"session": "ses", "run": "run", "space": "space", "acquisition": "acq"}
        row = {key: entity(path, short) or None for key, short in keys.items()}
        sidecar = json.dumps(known.pop("sidecar", {}))
        row |= {"recording": path, "subject": entity(path, "sub"), "task": entity(path, "task")}
        self.recordings.append({**row, "description": None, "sidecar": sidecar, **known})
        return path

    def event_table(self, recording: str, *, others: bool = False, **columns: Any) -> None:
        table = pd.DataFrame({"duration": 0.0, "trial_type": "a", "stimulus": None, **columns})
        table = table.assign(recording=recording, file="events.tsv", row=np.arange(len(table)))
        (self.others if others else self.events).append(table)

    def bold(
        self,
        data: np.ndarray,
        *,
        run: str = "01",
        session: str | None = None,
        tr: float = 2.0,
        affine: np.ndarray | None = None,
        sidecar: dict[str, Any] | None = None,
        space: str | None = None,
    ) -> str:
        """Write a run; ``data`` is (i, j, k, volume)."""
        name = "sub-01" + (f"_ses-{session}" if session else "") + f"_task-t_run-{run}"
        path = f"sub-01/func/{name}{f'_space-{space}' if space else ''}_bold.nii.gz"
        self.image(data, path, affine=affine, listed=False)
        known = {"sampling_frequency": 1 / tr, "n_samples": data.shape[-1], "suffix": "bold"}
        return self.recording(path, sidecar=sidecar or {}, **known)

    def image(
        self, data: np.ndarray, path: str, *, affine: np.ndarray | None = None, listed: bool = True
    ) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        kind = np.float32 if np.asarray(data).dtype.kind == "f" else np.int16
        affine = np.diag([3.0, 3.0, 3.0, 1.0]) if affine is None else affine
        nib.save(nib.Nifti1Image(np.asarray(data, dtype=kind), affine), file)
        if listed:
            self.companion(path)

    def table(self, path: str, **columns: Any) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(columns).to_csv(file, sep="\t", index=False, na_rep="n/a")
        self.companion(path)

    def companion(self, path: str) -> None:
        stem, dot, extension = Path(path).name.partition(".")
        row = {"path": path, "suffix": stem.rpartition("_")[2], "extension": dot + extension}
        short = {"subject": "sub", "session": "ses", "task": "task", "run": "run"}
        short |= {"space": "space", "description": "desc"}
        self.companions.append(row | {k: entity(path, s) or None for k, s in short.items()})

    def brainvision(
        self,
        microvolts: np.ndarray,
        names: list[str],
        *,
        rate: float = 100.0,
        run: str = "01",
        types: dict[str, str] | None = None,
        bad: tuple[str, ...] = (),
        events: dict[str, list[Any]] | None = None,
        markers: tuple[tuple[str, str, int], ...] = (),
        sidecar: dict[str, Any] | None = None,
    ) -> str:
        """Write a run of (channel, sample) as BrainVision with its BIDS sidecars."""
        folder = self.root / "sub-01/eeg"
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"sub-01_task-t_run-{run}"
        microvolts.T.astype("<f4").tofile(folder / f"{stem}_eeg.eeg")
        channels = "\n".join(f"Ch{i + 1}={name},,1,µV" for i, name in enumerate(names))
        (folder / f"{stem}_eeg.vhdr").write_text(
            "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
            f"DataFile={stem}_eeg.eeg\nMarkerFile={stem}_eeg.vmrk\nDataFormat=BINARY\n"
            f"DataOrientation=MULTIPLEXED\nNumberOfChannels={len(names)}\n"
            f"SamplingInterval={1e6 / rate:g}\n[Binary Infos]\nBinaryFormat=IEEE_FLOAT_32\n"
            f"[Channel Infos]\n{channels}\n",
            encoding="utf-8",
        )
        lines = [f"Mk{i + 1}={k},{d},{p},1,0" for i, (k, d, p) in enumerate(markers)]
        (folder / f"{stem}_eeg.vmrk").write_text(
            "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
            f"DataFile={stem}_eeg.eeg\n[Marker Infos]\n" + "\n".join(lines) + "\n",
            encoding="utf-8",
        )
        self.table(
            f"sub-01/eeg/{stem}_channels.tsv",
            name=names,
            type=[(types or {}).get(name, "EEG") for name in names],
            units=["µV"] * len(names),
            sampling_frequency=[rate] * len(names),
            status=["bad" if name in bad else "good" for name in names],
        )
        metadata = {"TaskName": "t", "SamplingFrequency": rate, "PowerLineFrequency": 50}
        metadata |= {"EEGReference": "n/a", "SoftwareFilters": "n/a"} | (sidecar or {})
        (folder / f"{stem}_eeg.json").write_text(json.dumps(metadata))
        if events:
            table = pd.DataFrame(events)
            table.to_csv(folder / f"{stem}_events.tsv", sep="\t", index=False)
        known = {"sampling_frequency": rate, "n_samples": microvolts.shape[1], "suffix": "eeg"}
        return self.recording(f"sub-01/eeg/{stem}_eeg.vhdr", sidecar=metadata, **known)

    def fif(
        self,
        tesla: np.ndarray,
        types: dict[str, str],
        *,
        rate: float = 100.0,
        run: str = "01",
        first: int = 0,
        bad: tuple[str, ...] = (),
        places: np.ndarray | None = None,
        units: dict[str, str] | None = None,
        to_head: np.ndarray | None = None,
    ) -> str:
        """Write a run of (channel, sample), channel -> type, as FIF; ``places`` None: a circle."""
        info = mne.create_info(list(types), rate, list(types.values()), verbose="ERROR")
        angles = 2 * np.pi * np.arange(len(types)) / len(types)
        if places is None:
            places = 0.12 * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
        with info._unlock():
            info["dev_head_t"] = mne.Transform("meg", "head", to_head)
        for channel, place in zip(info["chs"], places, strict=True):
            channel["loc"] = np.concatenate([place, np.eye(3).ravel()])
        folder = self.root / "sub-01/meg"
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"sub-01_task-t_run-{run}"
        raw = mne.io.RawArray(tesla, info, first_samp=first, verbose="ERROR")
        raw.save(folder / f"{stem}_meg.fif", fmt="double", overwrite=True, verbose="ERROR")
        bids = {"mag": "MEGMAG", "grad": "MEGGRADPLANAR", "eeg": "EEG", "misc": "MISC"}
        self.table(
            f"sub-01/meg/{stem}_channels.tsv",
            name=list(types),
            type=[bids[kind] for kind in types.values()],
            units=[(units or {"eeg": "V", "grad": "T/m"}).get(k, "T") for k in types.values()],
            status=["bad" if name in bad else "good" for name in types],
        )
        sidecar = {"TaskName": "t", "SamplingFrequency": rate, "PowerLineFrequency": 50}
        (folder / f"{stem}_meg.json").write_text(json.dumps(sidecar))
        known = {"sampling_frequency": rate, "n_samples": tesla.shape[1], "suffix": "meg"}
        return self.recording(f"sub-01/meg/{stem}_meg.fif", sidecar=sidecar, **known)

    def material(self) -> Material:
        """Return what a kind is given."""
        blank = pd.DataFrame(
            columns=["onset", "duration", "trial_type", "stimulus", "recording", "file", "row"]
        )
        return Material(
            root=self.root,
            subject="01",
            recordings=pd.DataFrame(self.recordings),
            events=pd.concat(self.events, ignore_index=True) if self.events else blank,
            others=pd.concat(self.others, ignore_index=True) if self.others else blank,
            companions=pd.DataFrame(self.companions, columns=COMPANION_COLUMNS),
            stimuli=pd.DataFrame({"stimulus": self.stimuli}),
        )


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


@pytest.fixture
def compute():
    return Compute()


@pytest.fixture
def excluded():
    """Return what a dataset's attributes say was left out: (recording, what) -> (n, detail)."""

    def read(dataset):
        rows = json.loads(dataset.attrs["exclusions"])
        return [(row["recording"], row["what"], row["n"], row["detail"]) for row in rows]

    return read
