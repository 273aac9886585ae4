"""Headers of recordings: NIfTI, BrainVision, EDF."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from builders import write_bold, write_brainvision
from fornix.errors import FornixError
from fornix.ingest.eeg import read_eeg
from fornix.ingest.nifti import read_bold


def complaint(function, *args, **kwargs):
    with pytest.raises(FornixError) as caught:
        function(*args, **kwargs)
    assert caught.value.where
    assert caught.value.mend
    return caught.value


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
@pytest.mark.parametrize("thorough", [True, False])
def test_whole_image_passes(tmp_path, extension, thorough):
    path = write_bold(tmp_path / f"bold{extension}")
    header = read_bold(path, {"RepetitionTime": 2.0}, thorough=thorough)
    assert (header.n_samples, header.shape, header.duration) == (20, "4x3x2", 40.0)
    assert header.warnings == ()


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kept", [0.98, 0.5, 0.02])
def test_cut_image_is_told(tmp_path, extension, kept):
    path = write_bold(tmp_path / f"bold{extension}", shape=(10, 10, 5, 20))
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * kept)])
    error = complaint(read_bold, path, {"RepetitionTime": 2.0}, thorough=False)
    assert "cut short" in error.problem or "header can't be read" in error.problem


def test_image_without_its_last_volume_is_told(tmp_path):
    """Cut before it was compressed: gzip is fine, the header isn't."""
    path = write_bold(tmp_path / "bold.nii.gz")
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-96]))
    error = complaint(read_bold, path, {"RepetitionTime": 2.0}, thorough=False)
    assert "cut short" in error.problem


def test_flipped_bit_is_told_when_thorough(tmp_path):
    path = write_bold(tmp_path / "bold.nii.gz", shape=(10, 10, 5, 20))
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0x10
    path.write_bytes(bytes(raw))
    error = complaint(read_bold, path, {"RepetitionTime": 2.0}, thorough=True)
    assert "corrupt" in error.problem or "cut short" in error.problem


def test_image_of_two_gzip_members_passes(tmp_path):
    path = write_bold(tmp_path / "bold.nii.gz")
    raw = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(raw[:700]) + gzip.compress(raw[700:]))
    assert read_bold(path, {"RepetitionTime": 2.0}, thorough=False).n_samples == 20


def test_no_image_at_all(tmp_path):
    path = tmp_path / "bold.nii.gz"
    for content in (b"", b"not an image", gzip.compress(b"not an image")):
        path.write_bytes(content)
        complaint(read_bold, path, {}, thorough=False)
    path.unlink()
    path.symlink_to(tmp_path / "annexed")
    complaint(read_bold, path, {}, thorough=False)


def test_single_volume_is_no_series(tmp_path):
    path = write_bold(tmp_path / "bold.nii.gz", shape=(4, 3, 2))
    assert "4x3x2" in complaint(read_bold, path, {}, thorough=False).problem


def test_repetition_time_comes_from_sidecar_then_header(tmp_path):
    path = write_bold(tmp_path / "bold.nii", repetition_time=1.5)
    header = read_bold(path, {}, thorough=False)
    assert header.duration == pytest.approx(30)
    assert header.warnings
    header = read_bold(path, {"RepetitionTime": 3}, thorough=False)
    assert header.duration == 60
    assert "1.5 s" in header.warnings[0]
    header = read_bold(path, {"VolumeTiming": list(np.arange(20) * 2.5)}, thorough=False)
    assert header.duration == 50


@pytest.mark.parametrize("said", [0, -2, "2 s", True, None])
def test_bad_repetition_time(tmp_path, said):
    path = write_bold(tmp_path / "bold.nii", repetition_time=None)
    error = complaint(read_bold, path, {"RepetitionTime": said}, thorough=False)
    assert "seconds" in error.mend or "RepetitionTime" in error.mend


def test_uneven_volume_timing(tmp_path):
    path = write_bold(tmp_path / "bold.nii")
    error = complaint(read_bold, path, {"VolumeTiming": [0, 2, 7]}, thorough=False)
    assert "evenly" in error.problem


@pytest.mark.parametrize("suffix", [".eeg", ".vmrk"])
def test_missing_part_of_brainvision(tmp_path, suffix):
    path = write_brainvision(tmp_path / "x.vhdr")
    path.with_suffix(suffix).unlink()
    error = complaint(read_eeg, path, {})
    assert f"x{suffix}" in error.problem
    assert error.where == str(path)


def test_cut_brainvision_data(tmp_path):
    path = write_brainvision(tmp_path / "x.vhdr")
    data = path.with_suffix(".eeg")
    data.write_bytes(data.read_bytes()[:-5])
    assert "whole number of samples of 3 channels" in complaint(read_eeg, path, {}).problem
    data.write_bytes(b"")
    complaint(read_eeg, path, {})


def test_brainvision_cut_at_a_sample(tmp_path):
    """The size fits; only the markers and the sidecar know better."""
    path = write_brainvision(tmp_path / "x.vhdr", marker=2000)
    data = path.with_suffix(".eeg")
    data.write_bytes(data.read_bytes()[: 12 * 1900])
    assert "marker at sample 2000" in complaint(read_eeg, path, {}).problem
    path = write_brainvision(tmp_path / "y.vhdr", n_samples=1900)
    assert "20.00 s" in complaint(read_eeg, path, {"RecordingDuration": 20}).problem
    assert read_eeg(path, {"RecordingDuration": 1899 / 128}).n_samples == 1900


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("NumberOfChannels=3", "NumberOfChannels=many"),
        ("SamplingInterval=7812.5", "SamplingInterval=0"),
        ("IEEE_FLOAT_32", "FLOAT"),
        ("DataFile=x.eeg", "DataFile=../x.eeg"),
        ("DataFormat=BINARY", "DataFormat=ASCII"),
        ("[Common Infos]", "[Common]"),
        ("Brain Vision", "Some other"),
    ],
)
def test_corrupt_brainvision_header(tmp_path, old, new):
    path = write_brainvision(tmp_path / "x.vhdr")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    complaint(read_eeg, path, {})


def test_sidecar_rate_that_differs_is_a_warning(tmp_path):
    path = write_brainvision(tmp_path / "x.vhdr")
    header = read_eeg(path, {"SamplingFrequency": 500})
    assert header.sampling_frequency == 128
    assert "500 Hz" in header.warnings[0]


def write_edf(path: Path, n_records: int = 10, rate: int = 64, said: int | None = None) -> Path:
    names = ["Cz", "Pz", "EDF Annotations"]
    counts = [rate, rate, 15]

    def fields(values, width):
        return "".join(f"{value:<{width}}" for value in values)

    head = fields(["0"], 8) + fields(["X X X X", "Startdate X X X X"], 80)
    head += fields(["01.01.20", "00.00.00", 256 * 4], 8) + fields(["EDF+C"], 44)
    head += fields([n_records if said is None else said, 1], 8) + fields([3], 4)
    head += fields(names, 16) + fields(["", "", ""], 80) + fields(["uV", "uV", ""], 8)
    head += fields([-100, -100, -1], 8) + fields([100, 100, 1], 8)
    head += fields([-32768] * 3, 8) + fields([32767] * 3, 8) + fields(["", "", ""], 80)
    head += fields(counts, 8) + fields(["", "", ""], 32)
    values = np.random.default_rng(0).integers(-99, 99, 2 * rate).astype("<i2").tobytes()
    with path.open("wb") as file:
        file.write(head.encode("ascii"))
        for i in range(n_records):
            file.write(values + f"+{i}\x14\x14\x00".encode().ljust(30, b"\0"))
    return path


def test_edf_agrees_with_mne(tmp_path):
    import mne

    path = write_edf(tmp_path / "x.edf")
    raw = mne.io.read_raw_edf(path, verbose="error")
    header = read_eeg(path, {})
    assert header.n_samples == raw.n_times
    assert header.sampling_frequency == raw.info["sfreq"]
    assert header.shape == str(len(raw.ch_names))
    assert header.duration == 10


def test_cut_or_foreign_edf(tmp_path):
    path = write_edf(tmp_path / "x.edf")
    raw = path.read_bytes()
    path.write_bytes(raw[:-100])
    assert "promises 10 data records" in complaint(read_eeg, path, {}).problem
    for content in (raw[:200], b"\0" * 2000, b""):
        path.write_bytes(content)
        complaint(read_eeg, path, {})
    write_edf(path, said=-1)
    assert read_eeg(path, {}).n_samples == 640


def test_eeglab_set_is_left_to_mne(tmp_path):
    path = tmp_path / "x.set"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(256))
    sidecar = json.loads('{"SamplingFrequency": 250, "RecordingDuration": 8, "EEGChannelCount": 5}')
    header = read_eeg(path, sidecar)
    assert np.isnan(header.n_samples)
    assert (header.sampling_frequency, header.duration, header.shape) == (250, 8, "5")
    path.write_bytes(b"")
    complaint(read_eeg, path, sidecar)
