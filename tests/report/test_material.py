"""Everything a study left behind, in one order."""

from __future__ import annotations

import pandas as pd

from fornix.evaluation.table import COLUMNS
from fornix.report import dag, methods, tables


def test_scores_are_collected_in_the_studys_order(material):
    table = material.scores
    assert list(table.columns) == list(COLUMNS)
    assert set(table["study"]) == {"fake"}
    assert list(dict.fromkeys(table["fit"])) == list(material.study.fits)
    geometry = table[table["fit"] == "geometry"]["subject"]
    assert list(geometry)[-1] == "group"


def test_a_control_finds_its_fit(material):
    assert material.twin("shuffled") == "encoding"
    assert material.control("encoding") == "shuffled"
    assert material.control("decoding") is None
    assert material.twin("decoding") is None


def test_layers_keep_the_models_order(material):
    assert material.layers("gabor") == ["gabor/level1", "gabor/level2"]


def test_a_summary_has_a_row_a_target_and_the_best_time(material):
    rows = tables.summary(material, "encoding")
    assert len(rows) == 4
    assert rows[0]["ceiling"] == "0.800"
    assert rows[0]["p"] == "≤ 0.001"
    (course,) = tables.summary(material, "course")
    assert " s" in course["target"]


def test_exclusions_are_added_up(material):
    rows = tables.exclusions(material)
    assert [(row["subject"], row["n"], row["where"]) for row in rows] == [
        ("01", "3", "a"),
        ("02", "3", "a"),
    ]


def test_the_graph_names_every_section(material):
    drawing = dag.draw(tables.nodes(material))
    for name in ("data", "betas", "gabor", *material.study.fits, "report"):
        assert f">{name}</text>" in drawing
    assert 'class="control"' in drawing


def test_the_graph_escapes_names():
    drawing = dag.draw([dag.Node("a", 0, "<b>", "&", 'x"y')])
    assert "<b>" not in drawing
    assert "&lt;b&gt;" in drawing


def test_every_section_has_a_sentence(material):
    found = methods.sentences(material.study, {"encoding": "stimulus"})
    names = {name for _, name, _ in found}
    assert names >= {"data", "betas", "gabor", *material.study.fits}
    text = {name: sentence for _, name, sentence in found}
    assert "5 folds of stimuli" in text["encoding"]
    assert "Control" in text["shuffled"]


def test_numbers_that_are_not_there_are_dashes():
    assert tables.number(float("nan")) == "\u2013"
    assert tables.number(0.12345) == "0.123"


def test_versions_of_all_artifacts_are_listed(material):
    assert tables.versions(material)["numpy"] == "2"
    assert isinstance(material.intervals, pd.DataFrame)
