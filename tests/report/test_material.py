"""Everything a study left behind, in one order."""

from __future__ import annotations

import pandas as pd

from fornix.evaluation.table import COLUMNS
from fornix.report import dag, data, history, methods, tables
from fornix.report.headlines import headlines


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


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_the_matrix_has_the_best_target_of_each_region_in_bold(material):
    table = tables.matrix(material, "encoding")
    rows = material.rows("encoding", "pearson_r")
    means = rows.pivot_table(index="unit", columns="target", values="value")
    for column, region in enumerate(table.head[1:], start=1):
        bold = [row[0].text for row in table.rows if "best" in row[column].kind]
        assert bold == [means.loc[region].idxmax()]
    assert [row[0] for row in texts(table)] == [
        "gabor/level1",
        "gabor/level2",
        "noise ceiling",
        "chance",
        "shuffled control, all layers",
    ]
    assert texts(table)[2][1:] == ["0.80", "0.80"]


def test_a_fit_without_several_targets_and_regions_has_no_matrix(material):
    for name in ("decoding", "course", "geometry"):
        assert tables.matrix(material, name) is None


def test_the_listing_has_a_row_a_score_with_its_control(material):
    table = tables.listing(material, "encoding")
    rows = [dict(zip(table.head, row, strict=True)) for row in texts(table)]
    assert len(rows) == 4
    mean = material.rows("encoding").query("target == 'gabor/level1' and unit == 'V1'")["value"]
    assert rows[0]["mean"] == f"{mean.mean():.3f}"
    assert rows[0]["ceiling"] == "0.800"
    assert rows[0]["largest p"] == "0.001"
    null = material.rows("shuffled").query("target == 'gabor/level1' and unit == 'V1'")["value"]
    assert float(rows[0]["shuffled"].replace("\u2212", "-")) == round(null.mean(), 3)
    assert not table.notes


def test_a_time_course_is_listed_at_its_best_time(material):
    table = tables.listing(material, "course")
    (row,) = texts(table)
    means = material.rows("course").groupby("time")["value"].mean()
    best = f"{means.idxmax():.2f} s".replace("-", "\u2212")
    assert dict(zip(table.head, row, strict=True))["time"] == best


def test_headlines_say_how_many_numbers_they_are_the_highest_of(material):
    found = {one.fit: one for one in headlines(material)}
    assert list(found) == ["encoding", "decoding", "course", "geometry"]
    assert found["encoding"].beside == "noise ceiling 0.80; highest of 4"
    assert found["decoding"].beside == "chance 0.00"


def test_exclusions_are_added_up(material):
    table = data.exclusions(material)
    assert [(row[1], row[3], row[5]) for row in texts(table)] == [
        ("sub-01", "3", "a"),
        ("sub-02", "3", "a"),
    ]


def test_conditions_are_counted_a_subject(material):
    (facts,) = data.datasets(material)
    assert dict(facts.facts)["duration"] == "3 min 20 s"
    assert ["cat", "1", "1", "2.0 s"] in texts(facts.conditions)


def test_a_step_that_all_subjects_share_is_said_once(material):
    (facts,) = data.responses(material)
    assert [(step[:4], whose) for step, whose in facts.steps] == [("step", "")]


def test_the_graph_names_every_section(material):
    drawing = dag.draw(history.nodes(material))
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


def test_versions_of_all_artifacts_are_listed(material):
    assert dict(history.versions(material))["numpy"] == "2"
    assert isinstance(material.intervals, pd.DataFrame)


def test_costs_are_those_of_all_artifacts(material):
    total, memory, hosts = history.costs(material)
    assert total >= 0
    assert memory > 0
    assert len(hosts) == 1
    assert len(history.provenance(material).rows) == len(material.artifacts)
