"""Columns of the stimulus table as features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from extracting import extract

from fornix.errors import FornixError
from fornix.features import columns
from fornix.features.extractor import Context
from fornix.features.layers import matches
from fornix.study.features.columns import ColumnFeatures


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "stimulus": ["a.png", "b.png", "c.png", "d.png"],
            "modality": "image",
            "path": "x",
            "text": None,
            "digest": "y",
            "stim_file": ["a.png", "b.png", "c.png", "d.png"],
            "category": ["face", "house", "face", "cat"],
            "size": [1.5, 2.0, -1.0, 0.0],
            "human": [1.0, 0.0, 1.0, 0.0],
            "animal": [0.0, 0.0, 0.0, 1.0],
        }
    )


def run(table, notes=None, **settings):
    section = ColumnFeatures(kind="columns", dataset="d", **settings)
    return extract(columns, section, table, notes=notes)


def labels(table, **settings):
    return columns.labels(ColumnFeatures(kind="columns", dataset="d", **settings), table)


def test_text_becomes_indicators_and_numbers_stay(table):
    found = run(table)
    assert list(found) == ["category", "size", "human", "animal"]
    np.testing.assert_array_equal(found["category"], [[0, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(found["size"], [[1.5], [2.0], [-1.0], [0.0]])
    assert all(one.dtype == np.float32 for one in found.values())
    assert labels(table)["category"] == ["cat", "face", "house"]
    assert labels(table)["size"] == ["size"]


def test_any_of_is_one_where_any_is_set(table):
    found = run(table, columns=[], any_of={"animate": ["human", "animal"]})
    np.testing.assert_array_equal(found["animate"][:, 0], [1, 0, 1, 1])
    words = table.assign(human=["yes", "no", None, "false"])
    found = run(words, columns=[], any_of={"animate": ["human"]})
    np.testing.assert_array_equal(found["animate"][:, 0], [1, 0, 0, 0])


def test_numbers_as_categories(table):
    found = run(table, columns=["size"], onehot=["si*"])
    np.testing.assert_array_equal(found["size"].argmax(1), [2, 3, 0, 1])
    assert labels(table, columns=["size"], onehot=["size"])["size"] == ["-1", "0", "1.5", "2"]


def test_missing_values_are_rows_of_zeros_with_a_note(table):
    table.loc[1, "category"] = None
    table.loc[2, "size"] = np.nan
    notes = []
    found = run(table, notes)
    np.testing.assert_array_equal(found["category"], [[0, 1], [0, 0], [0, 1], [1, 0]])
    np.testing.assert_array_equal(found["size"][:, 0], [1.5, 2.0, 0.0, 0.0])
    assert len(notes) == 2
    assert all("1 of 4 stimuli" in note for note in notes)
    table["category"] = None
    assert "category" not in run(table, notes)
    assert "column 'category' is left out: it is empty" in notes


def test_what_the_table_lacks_is_left_out_with_a_note(table):
    notes = []
    found = run(table, notes, columns=["size", "colour*"], any_of={"alive": ["animal", "plant"]})
    assert list(found) == ["size"]
    assert any("'colour*'" in note for note in notes)
    assert any("'alive' is left out: the stimulus table has no column plant" in n for n in notes)


def test_nothing_left_lists_what_there_is(table):
    with pytest.raises(FornixError, match="no column 'colour'") as caught:
        run(table, columns=["colour"])
    assert "category, size, human, animal" in caught.value.mend
    bare = table[["stimulus", "modality", "path", "text", "digest"]]
    with pytest.raises(FornixError, match="no column") as caught:
        run(bare)
    assert "stimulus table" in caught.value.mend


def test_names_of_the_stimuli_only_when_asked_for(table):
    assert "stim_file" not in run(table)
    found = run(table, columns=["stim_file"])
    np.testing.assert_array_equal(found["stim_file"], np.eye(4))


def test_label_stimuli_are_described_by_their_label():
    table = pd.DataFrame({"stimulus": ["cat", "face"], "modality": "label", "path": None,
                          "text": None, "digest": "x", "trial_type": ["cat", "face"]})  # fmt: skip
    np.testing.assert_array_equal(run(table)["trial_type"], np.eye(2))


def test_names_that_a_path_cannot_hold(table):
    notes = []
    found = run(table.rename(columns={"size": "size (deg/px)"}), notes, columns=["size*"])
    assert list(found) == ["size_deg_px_"]
    assert "column 'size (deg/px)' makes the layer 'size_deg_px_'" in notes
    with pytest.raises(FornixError, match="two layers would be named 'human'"):
        run(table, any_of={"human": ["animal"]})


def test_only_what_is_read_counts(table):
    section = ColumnFeatures(
        kind="columns", dataset="d", columns=["cat*"], any_of={"alive": ["animal"]}
    )
    found = columns.table(section, table, Context(Path()))
    assert found["digest"].nunique() == 3  # two faces that aren't animals


def test_layers_can_be_chosen(table):
    assert list(run(table, layers=["HUMAN"])) == ["human"]


def test_patterns():
    assert matches("Block1", ["block?"])
    assert matches("a[1]", ["a[1]"])
    assert not matches("block12", ["block?"])
