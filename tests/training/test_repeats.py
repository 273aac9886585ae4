from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from fornix.errors import FornixError
from fornix.training.samples import (
    average_repeats,
    rows_of,
    session_means,
    shuffled_labels,
    shuffled_rows,
    stack_units,
)


def test_repeats_are_averaged_within_groups_only():
    table = pd.DataFrame(
        {
            "stimulus": ["a", "b", "a", "a"],
            "group": ["r1", "r1", "r1", "r2"],
            "fold": [0, 0, 0, 1],
            "session": ["1", "1", "2", "2"],
        }
    )
    matrix, rows = average_repeats(np.array([[1.0], [5.0], [3.0], [9.0]], np.float32), table)
    assert matrix.ravel().tolist() == [2.0, 5.0, 9.0]
    assert rows["n_repeats"].tolist() == [2, 1, 1]
    assert rows["session"].tolist() == ["", "1", "2"]
    assert rows["fold"].tolist() == [0, 0, 1]


def test_epochs_are_stacked_with_their_channel_and_time():
    epochs = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    data = xr.Dataset(
        {"responses": (("sample", "channel", "time"), epochs)},
        coords={"channel": ["Cz", "Pz"], "time": [0.0, 0.1, 0.2]},
    )
    matrix, coords = stack_units(data)
    assert matrix[1].tolist() == epochs[1].ravel().tolist()
    assert coords["channel"].tolist() == ["Cz"] * 3 + ["Pz"] * 3
    assert coords["time"].tolist() == [0.0, 0.1, 0.2] * 2
    data["responses"][0, 0, 1] = np.nan
    with pytest.raises(FornixError, match="1 of 6 units"):
        stack_units(data)


def test_stimuli_that_features_lack_are_counted_and_named():
    features = xr.Dataset(coords={"stimulus": ["b", "a"]})
    assert rows_of(np.array(["a", "b", "a"]), features, name="f").tolist() == [1, 0, 1]
    with pytest.raises(FornixError, match=r"2 of 3 samples show 1 stimuli.*: c"):
        rows_of(np.array(["a", "c", "c"]), features, name="f")


def test_shuffled_stimuli_keep_their_repeats_together():
    stimuli = np.repeat([f"s{i}" for i in range(20)], 2)
    table = pd.DataFrame({"stimulus": stimuli, "group": stimuli})
    source = shuffled_rows(table, np.random.default_rng(0))
    given = stimuli[source]
    assert (given[::2] == given[1::2]).all()
    assert sorted(given) == sorted(stimuli)
    assert (given != stimuli).mean() > 0.7


def test_shuffled_conditions_differ_from_run_to_run():
    table = pd.DataFrame({"stimulus": list("abcdefgh") * 5, "group": np.repeat(range(5), 8)})
    source = shuffled_rows(table, np.random.default_rng(0))
    orders = table["stimulus"].to_numpy()[source].reshape(5, 8)
    assert all(sorted(one) == list("abcdefgh") for one in orders)
    assert len({tuple(one) for one in orders}) == 5


def test_labels_are_shuffled_within_groups():
    groups = np.repeat(range(6), 10)
    labels = np.tile([0] * 3 + [1] * 7, 6)
    shuffled = shuffled_labels(labels, groups, np.random.default_rng(0))
    assert [shuffled[groups == g].sum() for g in range(6)] == [7] * 6
    assert (shuffled != labels).any()


def test_labels_of_whole_stimuli_are_shuffled_where_stimuli_are_held_out():
    groups = np.tile(np.arange(20), 4)
    labels = np.tile(np.arange(20) % 2, 4)
    shuffled = shuffled_labels(labels, groups, np.random.default_rng(0))
    assert (shuffled.reshape(4, 20) == shuffled[:20]).all()
    assert shuffled[:20].sum() == 10
    assert 0.2 < (shuffled != labels).mean() < 0.8


def test_session_means_take_stimuli_that_all_sessions_show():
    table = pd.DataFrame(
        {"stimulus": [*"abcd", *"abc", ""], "session": ["1"] * 4 + ["2"] * 3 + ["2"]}
    )
    notes: list[str] = []
    matrix = np.arange(8, dtype=np.float32)[:, None]
    stimuli, sessions, means = session_means(matrix, table, notes, where="x")
    assert (stimuli.tolist(), sessions) == (list("abc"), ["1", "2"])
    assert means[..., 0].tolist() == [[0, 1, 2], [4, 5, 6]]
    assert "1 samples name no stimulus" in notes[0]
    assert "1 stimuli" in notes[1]


def test_sessions_without_common_stimuli_are_averaged():
    table = pd.DataFrame({"stimulus": list("abcdef"), "session": list("111222")})
    notes: list[str] = []
    stimuli, sessions, means = session_means(np.ones((6, 2), np.float32), table, notes, where="x")
    assert (len(stimuli), sessions, means.shape) == (6, ["all"], (1, 6, 2))
    assert "averaged over sessions" in notes[0]
    with pytest.raises(FornixError, match="there are 2"):
        session_means(np.ones((2, 2), np.float32), table.iloc[:2], [], where="x")
