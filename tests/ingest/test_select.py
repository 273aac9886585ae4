import pandas as pd
import pytest

from fornix.errors import FornixError
from fornix.ingest.recordings import recordings_table
from fornix.ingest.select import select_events, select_recordings
from fornix.study.base import EventSelect, Select


@pytest.fixture
def recordings():
    rows = [
        {
            "recording": f"sub-{subject}_task-{task}_{suffix}.x",
            "subject": subject,
            "task": task,
            "suffix": suffix,
        }
        for subject in ("01", "02")
        for task, suffix in (("look", "bold"), ("listen", "bold"), ("look", "eeg"))
    ]
    return recordings_table(rows)


@pytest.fixture
def events():
    types = ["face", "House", "response", "n/a", None, "face", "boundary", "face/upright"]
    return pd.DataFrame({"trial_type": types, "value": [1.0, 2, 3, 4, 5, 1, 7, float("nan")]})


def message(function, *args, **kwargs):
    with pytest.raises(FornixError) as caught:
        function(*args, **kwargs)
    return caught.value


def test_suffix_and_entities(recordings):
    found = select_recordings(
        recordings, Select(subject=["02"], task=["look"]), suffix="bold", where="r"
    )
    assert found["recording"].tolist() == ["sub-02_task-look_bold.x"]
    assert found.index.tolist() == [0]
    assert len(select_recordings(recordings, Select(), suffix=None, where="r")) == 6


def test_unmatched_entity_says_what_there_is(recordings):
    error = message(
        select_recordings,
        recordings,
        Select(task=["lisen"]),
        suffix="bold",
        where="responses.a.select",
    )
    assert error.where == "responses.a.select.task"
    assert "listen, look" in error.problem
    assert "did you mean 'listen'" in error.mend


def test_empty_combination_says_among_what(recordings):
    select = Select(subject=["01"], task=["listen"])
    error = message(select_recordings, recordings, select, suffix="eeg", where="s")
    assert "subject ['01']" in error.problem
    assert "there are: look" in error.problem


def test_absent_entity_and_suffix(recordings):
    error = message(select_recordings, recordings, Select(session=["1"]), suffix="bold", where="s")
    assert "none has a session" in error.problem
    error = message(select_recordings, recordings, Select(), suffix="meg", where="s")
    assert "bold, eeg" in error.problem


def test_two_spaces_of_a_run_are_no_repeats(recordings):
    twins = pd.concat([recordings.assign(space="MNI"), recordings.assign(space="T1w")])
    error = message(select_recordings, twins, Select(), suffix="bold", where="s")
    assert error.where == "s.space"
    assert "MNI, T1w" in error.mend
    assert len(select_recordings(twins, Select(space=["MNI"]), suffix="bold", where="s")) == 4


def test_default_leaves_out_responses_and_gaps(events):
    found = select_events(events, EventSelect(), "events")
    assert found["trial_type"].tolist() == ["face", "House", "face", "face/upright"]
    assert found.index.tolist() == [0, 1, 2, 3]


def test_patterns_match_whole_values_in_any_case(events):
    found = select_events(events, EventSelect(include=["FACE", "hou*"]), "events")
    assert found["trial_type"].tolist() == ["face", "House", "face"]


def test_exclude_wins(events):
    select = EventSelect(include=["face*", "response"], exclude=["*/upright", "resp*"])
    assert select_events(events, select, "e")["trial_type"].tolist() == ["face", "face"]


def test_numbers_match_as_written(events):
    found = select_events(events, EventSelect(column="value", include=["1", "3"]), "e")
    assert found["value"].tolist() == [1.0, 3.0, 1.0]


def test_no_event_left_says_which_there_are(events):
    error = message(select_events, events, EventSelect(include=["hose"]), "responses.a.events")
    assert "face (2)" in error.problem
    assert "did you mean 'House'" in error.mend
    assert error.where == "responses.a.events"


def test_missing_column_is_told(events):
    error = message(select_events, events, EventSelect(column="valu"), "e")
    assert "did you mean 'value'" in error.mend


def test_without_trial_types_the_default_keeps_all():
    events = pd.DataFrame({"trial_type": [None, None], "onset": [1.0, 2.0]})
    assert len(select_events(events, EventSelect(), "e")) == 2
