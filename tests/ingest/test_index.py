import sys
from pathlib import Path
from subprocess import run

import nibabel as nib
import pandas as pd
import pytest
from indexing import complaint, index

from builders import (
    eeg_dataset,
    fmri_dataset,
    write_bold,
    write_brainvision,
    write_description,
    write_tsv,
)
from fornix.ingest.events import COLUMNS as EVENT_COLUMNS
from fornix.ingest.recordings import COLUMNS
from fornix.study.base import Select


def test_fmri_dataset_becomes_tables(tmp_path):
    found = index(fmri_dataset(tmp_path / "data"), digests=True)
    recordings = found.recordings
    assert list(recordings.columns) == COLUMNS
    assert recordings["recording"].tolist() == sorted(recordings["recording"])
    first = recordings.iloc[0]
    assert first["recording"] == "sub-01/func/sub-01_task-look_run-01_bold.nii.gz"
    assert (first["subject"], first["run"], first["session"]) == ("01", "01", None)
    assert (first["n_samples"], first["duration"], first["shape"]) == (20, 40.0, "4x3x2")
    assert first["sampling_frequency"] == pytest.approx(0.5)
    assert first["sidecar"] == '{"RepetitionTime": 2.0, "TaskName": "look"}'  # inherited
    assert found.dataset["subjects"] == ["01", "02"]
    assert found.dataset["kind"] == "bids"

    events = found.events
    assert tuple(events.columns[: len(EVENT_COLUMNS)]) == EVENT_COLUMNS
    assert events["row"].tolist() == [0, 1, 2, 3] * 4
    assert events["stimulus"].tolist()[:2] == ["image0.png", "image1.png"]
    assert set(events["recording"]) == set(recordings["recording"])
    assert found.stimuli["stimulus"].tolist() == [f"image{i}.png" for i in range(4)]
    assert set(found.stimuli["modality"]) == {"image"}
    assert (tmp_path / "data" / found.stimuli["path"][0]).is_file()
    assert found.stimuli["digest"].is_unique


def test_runs_of_equal_bytes_have_equal_digests(tmp_path):
    table = index(fmri_dataset(tmp_path / "data"), digests=True).recordings
    by_run = table.groupby("run")["digest"].nunique()
    assert by_run.tolist() == [1, 1]  # both subjects have the same noise
    assert table["digest"].nunique() == 2


def test_index_has_no_absolute_path(tmp_path):
    found = index(fmri_dataset(tmp_path / "data"), digests=True)
    for table in (found.recordings, found.events, found.stimuli, found.companions):
        assert str(tmp_path) not in table.to_csv()


def test_moved_dataset_has_the_same_digest(tmp_path):
    root = fmri_dataset(tmp_path / "data")
    before = index(root, digests=True).digest
    moved = root.rename(tmp_path / "elsewhere")
    assert index(moved, digests=True).digest == before


@pytest.mark.parametrize(
    "name",
    [
        "sub-01/func/sub-01_task-look_run-01_bold.nii.gz",
        "sub-01/func/sub-01_task-look_run-01_events.tsv",
        "stimuli/image2.png",
        "task-look_bold.json",
        "dataset_description.json",
    ],
)
def test_any_content_changes_the_digest(tmp_path, name):
    root = fmri_dataset(tmp_path / "data")
    before = index(root, digests=True).digest
    other = fmri_dataset(tmp_path / "other")
    path = other / name
    match path.suffix:
        case ".gz":
            write_bold(path, seed=99)
        case ".tsv":
            path.write_text(path.read_text().replace("10.5", "11.5"))
        case ".json":
            path.write_text(path.read_text().replace("{", '{"Added": 1, '))
        case _:
            path.write_bytes(path.with_name("image3.png").read_bytes())
    assert index(other, digests=True).digest != before


def test_eeg_dataset_agrees_with_mne(tmp_path):
    import mne

    root = eeg_dataset(tmp_path / "data")
    found = index(root, digests=True)
    for one in found.recordings.itertuples():
        raw = mne.io.read_raw_brainvision(root / one.recording, verbose="error")
        assert one.n_samples == raw.n_times
        assert one.sampling_frequency == pytest.approx(raw.info["sfreq"])
        assert one.shape == str(len(raw.ch_names))
    assert found.events["duration"].tolist() == [0.0] * 8
    assert found.stimuli["stimulus"].tolist() == ["face", "house", "response"]
    assert found.stimuli["trial_type"].tolist() == ["face", "house", "response"]
    assert set(found.companions["suffix"]) == {"channels"}


def test_digest_of_brainvision_covers_all_three_files(tmp_path):
    digests = set()
    for i, suffix in enumerate(("", ".vhdr", ".eeg", ".vmrk")):
        root = eeg_dataset(tmp_path / str(i), runs=["01"])
        if suffix:
            path = root / f"sub-01/eeg/sub-01_task-look_run-01_eeg{suffix}"
            raw = path.read_bytes()
            path.write_bytes(raw[:-1] + (b"\x01" if suffix == ".eeg" else b"  "))
        digests.add(index(root, digests=True).recordings["digest"][0])
    assert len(digests) == 4


def test_derivative_is_a_root_of_its_own(tmp_path):
    raw = fmri_dataset(tmp_path / "raw")
    root = write_description(raw / "derivatives" / "prep", DatasetType="derivative")
    stem = "sub-01/func/sub-01_task-look_run-1"
    for space in ("T1w", "MNI"):
        write_bold(root / f"{stem}_space-{space}_desc-preproc_bold.nii.gz")
        write_bold(root / f"{stem}_space-{space}_desc-brain_mask.nii.gz", shape=(4, 3, 2))
    write_tsv(root / f"{stem}_desc-confounds_timeseries.tsv", {"trans_x": [0.0] * 20})
    write_tsv(root / f"{stem}_events.tsv", {"onset": [1], "duration": [1], "trial_type": ["a"]})
    found = index(root, select=Select(space=["MNI"]))
    assert found.recordings["space"].tolist() == ["MNI"]
    assert found.recordings["description"].tolist() == ["preproc"]
    assert found.recordings["run"].tolist() == ["1"]
    assert found.recordings["events"].tolist() == [f"{stem}_events.tsv"]
    assert sorted(found.companions["suffix"]) == ["mask", "mask", "timeseries"]

    of_raw = index(raw)
    assert not of_raw.recordings["recording"].str.contains("derivatives").any()
    masks = of_raw.companions[of_raw.companions["suffix"] == "mask"]
    assert masks["pipeline"].tolist() == ["prep", "prep"]
    assert masks["space"].tolist() == ["MNI", "T1w"]
    assert (raw / masks["path"].iloc[0]).is_file()


def test_select_keeps_what_it_names(tmp_path):
    root = fmri_dataset(tmp_path / "data")
    write_bold(root / "sourcedata/sub-03/func/sub-03_task-look_bold.nii.gz")
    found = index(root, select=Select(subject=["02"], run=["01"]))
    assert found.recordings["recording"].tolist() == [
        "sub-02/func/sub-02_task-look_run-01_bold.nii.gz"
    ]
    assert found.dataset["n_subjects"] == 1
    assert len(found.events) == 4


def test_bad_file_of_an_unselected_subject_does_no_harm(tmp_path):
    root = fmri_dataset(tmp_path / "data")
    (root / "sub-02/func/sub-02_task-look_run-01_bold.nii.gz").write_bytes(b"broken")
    (root / "sub-02/func/sub-02_task-look_run-01_bold.json").write_text("{broken")
    assert len(index(root, select=Select(subject=["01"])).recordings) == 2


def test_missing_empty_and_foreign_folders(tmp_path):
    assert "doesn't exist" in complaint(tmp_path / "nowhere").problem
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "is empty" in complaint(empty).problem
    (empty / "notes.txt").write_text("hello")
    error = complaint(empty)
    assert "no dataset_description.json" in error.problem
    (empty / "dataset_description.json").write_text("{broken")
    assert "not valid JSON" in complaint(empty).problem
    write_description(empty)
    error = complaint(empty)
    assert "no recording that Fornix reads" in error.problem
    assert ".vhdr" in error.mend


def test_broken_sidecar_is_named(tmp_path):
    root = fmri_dataset(tmp_path / "data")
    (root / "task-look_bold.json").write_text("{broken")
    assert complaint(root).where.endswith("task-look_bold.json")


def test_unmatched_select_says_what_there_is(tmp_path):
    root = fmri_dataset(tmp_path / "data")
    error = complaint(root, select=Select(run=["1"]))
    assert "01, 02" in error.problem
    assert error.where.endswith("select.run")
    error = complaint(root, select=Select(subject=["09"]))
    assert "01, 02" in error.problem


def test_runs_of_different_shape_are_both_named(tmp_path):
    root = fmri_dataset(tmp_path / "data")
    second = root / "sub-01/func/sub-01_task-look_run-02_bold.nii.gz"
    write_bold(second, shape=(5, 3, 2, 20))
    text = str(complaint(root))
    assert "run-01_bold" in text
    assert "run-02_bold" in text
    assert "5x3x2" in text
    assert len(index(root, select=Select(run=["01"])).recordings) == 2


@pytest.mark.parametrize("change", [{"names": ("Cz", "Pz")}, {"sampling_frequency": 256.0}])
def test_runs_of_different_channels_or_rates_are_both_named(tmp_path, change):
    root = eeg_dataset(tmp_path / "data")
    stem = root / "sub-01/eeg/sub-01_task-look_run-02_eeg"
    Path(f"{stem}.json").unlink()
    write_brainvision(Path(f"{stem}.vhdr"), n_samples=5120, **change)
    text = str(complaint(root))
    assert "run-01_eeg.vhdr" in text
    assert "run-02_eeg.vhdr" in text


def test_two_formats_and_echoes_are_no_runs(tmp_path):
    root = fmri_dataset(tmp_path / "data")
    image = nib.load(root / "sub-01/func/sub-01_task-look_run-01_bold.nii.gz")
    nib.save(image, root / "sub-01/func/sub-01_task-look_run-01_bold.nii")
    assert "two formats" in complaint(root).problem


def test_many_problems_make_one_message(tmp_path):
    root = fmri_dataset(tmp_path / "data", runs=[f"{i:02d}" for i in range(1, 9)])
    for path in root.glob("sub-*/func/*_events.tsv"):
        path.write_text(path.read_text().replace("10.5", "soon"))
    error = complaint(root)
    assert error.problem.startswith("16 problems")
    assert "and 6 more" in error.problem
    assert error.problem.count("'soon'") == 10
    assert ":3 (onset)" in error.problem
    assert error.mend.count("seconds") == 1


def test_index_needs_no_heavy_library():
    code = "import sys, fornix.ingest.index, fornix.ingest.select, fornix.stages.fetch\n"
    code += "print([m for m in ('torch','mne','nilearn','transformers','sklearn')"
    code += " if m in sys.modules])"
    made = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "[]"


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "n_recordings", "n_events", "shape"),
    [("haxby2001-slice", 12, 96, "40x20x1"), ("visual-eeg", 1, 154, "32")],
)
def test_real_datasets(real_data, name, n_recordings, n_events, shape):
    found = index(real_data(name))
    assert len(found.recordings) == n_recordings
    assert len(found.events) == n_events
    assert set(found.recordings["shape"]) == {shape}
    assert found.checks == []


@pytest.mark.real
def test_real_recordings_agree_with_mne(real_data):
    import mne

    root = real_data("n170-eeg")
    found = index(root)
    assert found.dataset["n_subjects"] == 3
    for one in found.recordings.itertuples():
        raw = mne.io.read_raw_brainvision(root / one.recording, verbose="error")
        assert one.n_samples == raw.n_times
        assert one.sampling_frequency == raw.info["sfreq"]
    files = pd.concat(pd.read_csv(root / one, sep="\t") for one in found.recordings["events"])
    assert found.events["onset"].tolist() == files["onset"].tolist()
