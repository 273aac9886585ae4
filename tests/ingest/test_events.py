import pytest
from indexing import complaint, index

from builders import eeg_dataset, fmri_dataset, write_tsv
from fornix.ingest.events import find_events
from fornix.study.base import Select

RUN = "sub-01/eeg/sub-01_task-look_run-01"


def one_run(tmp_path, columns):
    root = eeg_dataset(tmp_path / "data", runs=["01"])
    write_tsv(root / f"{RUN}_events.tsv", columns)
    return root


@pytest.mark.parametrize(
    ("onset", "says"),
    [
        ("n/a", "no onset"),
        ("", "no onset"),
        ("NaN", "no onset"),
        ("soon", "'soon' isn't a number"),
        ("inf", "isn't a time"),
        ("20.5", "beyond the recording's end"),
        ("5000", "beyond the recording's end (20 s)"),
        ("-30", "before its start"),
    ],
)
def test_bad_onset_names_its_line(tmp_path, onset, says):
    columns = {"onset": [1, onset, 3], "duration": [0, 0, 0], "trial_type": ["a", "b", "a"]}
    error = complaint(one_run(tmp_path, columns))
    assert says in error.problem
    assert error.where.endswith("run-01_events.tsv:3 (onset)")


def test_events_just_before_the_start_are_legal(tmp_path):
    columns = {"onset": [-0.5, 3], "duration": [1, 1], "trial_type": ["a", "b"]}
    found = index(one_run(tmp_path, columns))
    assert found.events["onset"].tolist() == [-0.5, 3]
    assert found.checks[0]["level"] == "warning"


@pytest.mark.parametrize("duration", ["long", "-1", "inf"])
def test_bad_duration_names_its_line(tmp_path, duration):
    columns = {"onset": [1, 2], "duration": [0, duration], "trial_type": ["a", "b"]}
    assert complaint(one_run(tmp_path, columns)).where.endswith(":3 (duration)")


def test_missing_duration_is_noted(tmp_path):
    found = index(one_run(tmp_path, {"onset": [1, 2], "trial_type": ["a", "b"]}))
    assert found.events["duration"].tolist() == [0, 0]
    assert found.checks[0]["level"] == "note"
    assert "duration" in found.checks[0]["text"]


def test_same_note_of_many_files_is_one(tmp_path):
    root = eeg_dataset(tmp_path / "data", runs=["01", "02", "03"])
    for path in root.glob("sub-*/eeg/*_events.tsv"):
        write_tsv(path, {"onset": [1], "trial_type": ["a"]})
    (check,) = index(root).checks
    assert check["where"].endswith("run-01_events.tsv and 2 more")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("onset\tduration\n", "no events"),
        ("onset,duration\n1,2\n", "no column 'onset'"),
        ("Onset\tduration\n1\t2\n", "no column 'onset'"),
        ("onset\tduration\n1\t2\t3\n", "3 cells in a row of a table with 2 columns"),
        ("onset\tonset\n1\t2\n", "more than once"),
    ],
)
def test_bad_table(tmp_path, text, says):
    root = eeg_dataset(tmp_path / "data", runs=["01"])
    (root / f"{RUN}_events.tsv").write_text(text)
    error = complaint(root)
    assert says in error.problem
    assert "run-01_events.tsv" in error.where


def test_table_that_is_no_text(tmp_path):
    root = eeg_dataset(tmp_path / "data", runs=["01"])
    (root / f"{RUN}_events.tsv").write_bytes(b"onset\n\xff\xfe\n")
    assert "UTF-8" in complaint(root).problem


def test_missing_table(tmp_path):
    root = eeg_dataset(tmp_path / "data")
    (root / f"{RUN}_events.tsv").unlink()
    error = complaint(root)
    assert "no events.tsv" in error.problem
    assert f"{RUN}_events.tsv" in error.mend
    assert len(index(root, select=Select(run=["02"])).events) == 4


def test_rest_needs_no_events(tmp_path):
    root = eeg_dataset(tmp_path / "data", runs=["01"])
    for path in sorted(root.glob("sub-01/eeg/*")):
        text = path.read_bytes().replace(b"task-look", b"task-rest")
        path.rename(path.with_name(path.name.replace("look", "rest"))).write_bytes(text)
    (root / "sub-01/eeg/sub-01_task-rest_run-01_events.tsv").unlink()
    found = index(root)
    assert len(found.recordings) == 1
    assert found.recordings["events"].tolist() == [None]
    assert len(found.events) == 0
    assert "rest" in found.checks[0]["text"]


def test_inheritance_takes_the_nearest_table(tmp_path):
    root = fmri_dataset(tmp_path / "data", subjects=["01"], runs=["01", "02"])
    func = root / "sub-01/func"
    recording = "sub-01/func/sub-01_task-look_run-01_bold.nii.gz"
    (func / "sub-01_task-look_run-01_events.tsv").unlink()
    assert find_events(root, recording, {}) is None
    (root / "task-look_events.tsv").touch()
    (root / "task-other_events.tsv").touch()
    assert find_events(root, recording, {}) == "task-look_events.tsv"
    (root / "task-look_run-01_events.tsv").touch()
    assert find_events(root, recording, {}) == "task-look_run-01_events.tsv"
    (func / "sub-01_task-look_events.tsv").touch()
    assert find_events(root, recording, {}) == "sub-01/func/sub-01_task-look_events.tsv"


def test_inherited_table_gives_every_recording_its_rows(tmp_path):
    root = eeg_dataset(tmp_path / "data")
    for path in root.glob("sub-01/eeg/*_events.tsv"):
        path.rename(root / "task-look_events.tsv")
    found = index(root)
    assert found.events.groupby("recording").size().tolist() == [4, 4]
    assert set(found.events["file"]) == {"task-look_events.tsv"}


def test_further_columns_are_typed_and_kept(tmp_path):
    columns = {
        "onset": [1, 2, 3],
        "duration": [0, 0, 0],
        "trial_type": ["1", "2", "1"],
        "response_time": [0.5, "n/a", 0.7],
        "participant": ["01", "02", "n/a"],
        "stimulus": ["x", "y", "z"],
    }
    events = index(one_run(tmp_path, columns)).events
    assert events["trial_type"].tolist() == ["1", "2", "1"]
    assert events["response_time"].isna().tolist() == [False, True, False]
    assert events["response_time"].dtype == "float64"
    assert events["participant"].tolist() == ["01", "02", None]
    assert events["stimulus"].tolist() == ["1", "2", "1"]
    assert events["stimulus_column"].tolist() == ["x", "y", "z"]


def test_quotation_mark_swallows_no_rows(tmp_path):
    columns = {
        "onset": [1, 2, 3],
        "duration": [0, 0, 0],
        "trial_type": ["word"] * 3,
        "word": ['"Oh', "dear", 'me"'],
    }
    events = index(one_run(tmp_path, columns)).events
    assert events["word"].tolist() == ['"Oh', "dear", 'me"']
