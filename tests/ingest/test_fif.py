"""Headers of FIF recordings, beside what MNE says of the same files."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import mne
import numpy as np
import pytest
from indexing import complaint, index

from builders import write_description
from fornix.errors import FornixError
from fornix.ingest.meg import read_meg


def write_fif(path: Path, n: int = 2345, rate: float = 200.0, **settings) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    info = mne.create_info([f"M{i}" for i in range(5)], rate, "mag", verbose="ERROR")
    data = 1e-13 * np.random.default_rng(0).standard_normal((5, n))
    raw = mne.io.RawArray(data, info, first_samp=700, verbose="ERROR")
    raw.save(path, overwrite=True, verbose="ERROR", **settings)
    return path


def wrong(path, metadata=None):
    with pytest.raises(FornixError) as caught:
        read_meg(path, metadata or {})
    assert caught.value.where == str(path)
    assert caught.value.mend
    return caught.value.problem


@pytest.mark.parametrize("kind", ["single", "double", "int", "short"])
def test_header_is_mnes(tmp_path, kind):
    path = write_fif(tmp_path / "x_meg.fif", fmt=kind, buffer_size_sec=1.5)
    raw = mne.io.read_raw_fif(path, verbose="ERROR")
    header = read_meg(path, {"SamplingFrequency": 200, "RecordingDuration": 11.725})
    assert header.n_samples == raw.n_times == 2345
    assert header.sampling_frequency == raw.info["sfreq"]
    assert header.shape == "5"
    assert header.duration == pytest.approx(2345 / 200)
    assert header.files == (path,)
    assert header.warnings == ()


def test_a_file_that_is_cut_anywhere_is_told(tmp_path):
    path = write_fif(tmp_path / "x_meg.fif")
    whole = path.read_bytes()
    for n in (len(whole) - 1, len(whole) - 20, len(whole) // 2, 3000, 100, 40):
        path.write_bytes(whole[:n])
        assert "cut short" in wrong(path) or "no measurement" in wrong(path)


def test_what_is_no_fif(tmp_path):
    path = tmp_path / "x_meg.fif"
    for content in (b"hello world, this is text and no recording", b"\0" * 500):
        path.write_bytes(content)
        assert "not a FIF file" in wrong(path)
    path.write_bytes(b"")
    wrong(path)
    path.unlink()
    assert "isn't here" in wrong(path)


def test_a_fif_file_without_samples(tmp_path):
    path = write_fif(tmp_path / "x_meg.fif")
    info = mne.io.read_info(path, verbose="ERROR")
    mne.io.write_info(path, info, overwrite=True, verbose="ERROR")
    assert "holds no samples" in wrong(path)


def test_tags_that_lead_back_are_not_followed_forever(tmp_path):
    path = write_fif(tmp_path / "x_meg.fif")
    content = bytearray(path.read_bytes())
    second = 16 + struct.unpack_from(">4i", content, 0)[2]
    struct.pack_into(">i", content, second + 12, second)
    path.write_bytes(content)
    assert "lead back" in wrong(path)


def test_sidecars_that_say_otherwise(tmp_path):
    path = write_fif(tmp_path / "x_meg.fif")
    assert "says 20.00 s" in wrong(path, {"RecordingDuration": 20})
    (warning,) = read_meg(path, {"SamplingFrequency": 1000}).warnings
    assert "1000 Hz" in warning


@pytest.fixture
def dataset(tmp_path):
    """Return a BIDS root with one recording in three files, and how long it is, s."""
    root = write_description(tmp_path / "bids")
    path = root / "sub-01/meg/sub-01_task-look_meg.fif"
    write_fif(path, 150_000, split_size="2MB", split_naming="bids", buffer_size_sec=1)
    (root / "sub-01/meg/sub-01_task-look_meg.json").write_text(json.dumps({"TaskName": "look"}))
    events = "onset\tduration\ttrial_type\n1.0\t0.5\ta\n700.0\t0.5\tb\n"
    (root / "sub-01/meg/sub-01_task-look_events.tsv").write_text(events)
    return root


def test_a_recording_in_several_files_is_one(dataset):
    parts = sorted(dataset.rglob("*.fif"))
    assert len(parts) == 3
    found = index(dataset, digests=True)
    (row,) = [row for _, row in found.recordings.iterrows()]
    assert row["recording"].endswith("split-01_meg.fif")
    assert row["n_samples"] == 150_000
    assert row["duration"] == pytest.approx(750)
    assert len(found.events) == 2
    parts[1].write_bytes(parts[1].read_bytes().replace(b"M0", b"N0"))
    assert index(dataset, digests=True).recordings["digest"].iloc[0] != row["digest"]


def test_a_part_that_is_not_there_is_told(dataset):
    next(dataset.rglob("*split-02*.fif")).unlink()
    assert "part 2 of the recording isn't here" in complaint(dataset).problem


def test_an_event_after_the_recordings_end(dataset):
    path = next(dataset.rglob("*_events.tsv"))
    path.write_text(path.read_text() + "800.0\t0.5\tc\n")
    error = complaint(dataset)
    assert "onset 800 s lies beyond the recording's end (750 s)" in error.problem
    assert error.where == f"{path}:4 (onset)"


def test_the_empty_room_is_nobody(dataset):
    empty = dataset / "sub-emptyroom/ses-20200101/meg/sub-emptyroom_ses-20200101_task-noise_meg.fif"
    write_fif(empty)
    assert index(dataset).dataset["subjects"] == ["01"]


def test_the_parts_are_read_as_one_by_mne(dataset):
    """What is indexed as one is opened as one when it is preprocessed."""
    from fornix.preprocess.recordings import open_raw

    (row,) = [row for _, row in index(dataset).recordings.iterrows()]
    raw = open_raw(row, dataset)
    assert raw.n_times == 150_000
    assert raw.get_data(start=149_999).shape == (5, 1)
