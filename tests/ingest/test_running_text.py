"""Words of running text as stimuli, and time courses of regions as recordings."""

import json

import numpy as np
import pytest
from indexing import complaint, index

from builders import fmri_dataset, write_description, write_tsv
from fornix.errors import FornixError
from fornix.ingest.timeseries import read_timeseries
from fornix.ingest.words import rolling_digests

WORDS = {"stimuli": {"column": "word", "modality": "word"}}


def story(root, words=("Down", "the", "Rabbit-Hole", "the", "end."), subjects=("01", "02"), **more):
    """Write region time courses of 20 volumes, and one table of words for all."""
    write_description(root, DatasetType="derivative", GeneratedBy=[{"Name": "x"}])
    for subject in subjects:
        stem = root / f"sub-{subject}/func/sub-{subject}_task-story_desc"
        values = np.random.default_rng(int(subject)).normal(size=(20, 2)).round(3)
        write_tsv(
            stem.with_name(f"{stem.name}-roi_timeseries.tsv"),
            {"A": values[:, 0], "B": values[:, 1]},
        )
        write_tsv(stem.with_name(f"{stem.name}-confounds_timeseries.tsv"), {"rot_x": values[:, 0]})
    (root / "task-story_desc-roi_timeseries.json").write_text('{"RepetitionTime": 2.0}')
    write_words(root / "task-story_events.tsv", words, **more)
    return root


def write_words(path, words, **more):
    columns = {"onset": 0.5 * np.arange(len(words)), "duration": [0.3] * len(words), "word": words}
    return write_tsv(path, columns | more)


def test_time_courses_are_recordings_and_confounds_are_not(tmp_path):
    found = index(story(tmp_path), **WORDS)
    assert list(found.recordings["subject"]) == ["01", "02"]
    row = found.recordings.iloc[0]
    assert (row["suffix"], row["n_samples"], row["duration"]) == ("timeseries", 20, 40.0)
    assert (row["sampling_frequency"], row["shape"], row["description"]) == (0.5, "2", "roi")
    assert row["events"] == "task-story_events.tsv"
    companions = set(found.companions["path"])
    assert "sub-01/func/sub-01_task-story_desc-confounds_timeseries.tsv" in companions


@pytest.mark.parametrize(
    ("cells", "metadata", "word"),
    [
        ([1.0, 2.0], {}, "repetition time"),
        ([1.0, "n/a"], {"RepetitionTime": 2}, "isn't a number"),
        ([1.0, "high"], {"RepetitionTime": 2}, "isn't a number"),
        ([1.0], {"RepetitionTime": 2}, "1 volumes"),
        ([1.0, 2.0], {"RepetitionTime": -2}, "repetition time"),
    ],
)
def test_a_table_that_is_no_time_course_is_told(tmp_path, cells, metadata, word):
    path = write_tsv(tmp_path / "sub-01_timeseries.tsv", {"A": cells})
    with pytest.raises(FornixError, match=word) as caught:
        read_timeseries(path, metadata)
    assert str(path) in caught.value.where
    assert caught.value.mend


def test_a_sampling_frequency_will_do(tmp_path):
    path = write_tsv(tmp_path / "sub-01_timeseries.tsv", {"A": [1, 2, 3]})
    assert read_timeseries(path, {"SamplingFrequency": 0.4}).duration == pytest.approx(7.5)


def test_each_occurrence_is_a_stimulus_that_all_subjects_share(tmp_path):
    found = index(story(tmp_path), **WORDS)
    stimuli = found.stimuli
    assert len(stimuli) == 5
    assert list(stimuli["text"]) == ["Down", "the", "Rabbit-Hole", "the", "end."]
    assert list(stimuli["position"]) == [0, 1, 2, 3, 4]
    (passage,) = set(stimuli["passage"])
    assert list(stimuli["stimulus"]) == [
        f"{passage}-{name}"
        for name in ("00000-down", "00001-the", "00002-rabbithole", "00003-the", "00004-end")
    ]
    assert set(stimuli["modality"]) == {"word"}
    assert list(stimuli["word_onset"]) == [0, 0.5, 1, 1.5, 2]
    assert set(stimuli["word_duration"]) == {0.3}
    for _, events in found.events.groupby("recording"):
        assert list(events["stimulus"]) == list(stimuli["stimulus"])


def test_text_that_is_added_leaves_what_was_before(tmp_path):
    short = index(story(tmp_path / "a"), **WORDS).stimuli
    longer = ("Down", "the", "Rabbit-Hole", "the", "end.", "Or", "not")
    long = index(story(tmp_path / "b", words=longer), **WORDS).stimuli
    assert list(long["digest"][:5]) == list(short["digest"])
    assert len(set(long["digest"])) == 7
    other = index(story(tmp_path / "c", words=("Up", *longer[1:])), **WORDS).stimuli
    assert not set(other["digest"]) & set(long["digest"])


def test_digests_tell_words_apart_that_join_alike():
    assert rolling_digests(["a", "bc"])[1] != rolling_digests(["ab", "c"])[1]


def test_words_follow_their_onsets_and_not_the_rows(tmp_path):
    story(tmp_path, words=("b", "a", "n/a", "c"), subjects=("01",))
    rows = {"onset": [1.0, 0.5, 0.7, 2.0], "duration": [0.1] * 4, "word": ["b", "a", "n/a", "c"]}
    write_tsv(tmp_path / "task-story_events.tsv", rows)
    found = index(tmp_path, **WORDS)
    assert list(found.stimuli["text"]) == ["a", "b", "c"]
    named = found.events["stimulus"].tolist()
    assert [None if one is None else one[-1] for one in named] == ["b", "a", None, "c"]
    assert any("1 events have no word" in check["text"] for check in found.checks)


def test_recordings_of_other_words_are_other_passages(tmp_path):
    story(tmp_path)
    own = tmp_path / "sub-02/func/sub-02_task-story_events.tsv"
    write_words(own, ("Down", "the", "hatch"))
    stimuli = index(tmp_path, **WORDS).stimuli
    assert stimuli.groupby("passage").size().sort_values().tolist() == [3, 5]
    assert stimuli["stimulus"].is_unique
    assert (stimuli["digest"].value_counts() == 2).sum() == 2  # "Down", and "Down the"


def test_another_timing_is_noted(tmp_path):
    story(tmp_path, words=("a", "b"))
    own = tmp_path / "sub-02/func/sub-02_task-story_events.tsv"
    write_tsv(own, {"onset": [0.0, 3.0], "duration": [0.1, 0.1], "word": ["a", "b"]})
    found = index(tmp_path, **WORDS)
    assert len(found.stimuli) == 2
    assert any("at other times" in check["text"] for check in found.checks)


def test_further_columns_describe_the_words(tmp_path):
    words = ("a", "b")
    found = index(story(tmp_path, words=words, phonemes=["AH", "B IY"], level=[1, 2]), **WORDS)
    assert list(found.stimuli["phonemes"]) == ["AH", "B IY"]
    assert list(found.stimuli["level"]) == [1.0, 2.0]


def test_a_column_that_is_not_there_is_an_error(tmp_path):
    story(tmp_path)
    error = complaint(tmp_path, stimuli={"column": "wrd", "modality": "word"})
    assert "'wrd'" in error.problem
    assert "word" in error.mend


def test_a_broken_table_beside_its_images_stops_nothing(tmp_path):
    fmri_dataset(tmp_path, subjects=("01",), runs=("01",))
    path = tmp_path / "sub-01/func/sub-01_task-look_run-01_atlas-x_timeseries.tsv"
    write_tsv(path, {"A": [1.0, "n/a"]})
    found = index(tmp_path)
    assert list(found.recordings["suffix"]) == ["bold"]
    assert any("left out: 'n/a' isn't a number" in check["text"] for check in found.checks)


@pytest.mark.real
def test_alice_has_one_passage_for_27_people(real_data):
    found = index(real_data("alice-fmri"), **WORDS)
    assert len(found.recordings) == 27
    assert len(found.stimuli) == 2127
    assert len(found.events) == 27 * 2127
    assert found.stimuli["passage"].nunique() == 1
    assert " ".join(found.stimuli["text"][:4]) == "Alice was beginning to"
    assert json.loads(found.recordings["sidecar"][0])["RepetitionTime"] == 2.0
