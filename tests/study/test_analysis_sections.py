"""Sections of ``analyses``: what they may name, and the jobs that they become."""

from __future__ import annotations

import copy

import pytest

from fornix.dag.graph import Graph
from fornix.errors import FornixError
from fornix.study.load import parse_study

STUDY = {
    "name": "small",
    "datasets": {
        "shapes": {"source": "simulate", "world": {"name": "shapes", "n_subjects": 2}},
        "others": {"source": "simulate", "world": {"name": "shapes", "n_subjects": 1}},
    },
    "responses": {"betas": {"kind": "fmri", "dataset": "shapes"}},
    "features": {
        "gabor": {"kind": "gabor", "dataset": "shapes"},
        "pixels": {"kind": "pixels", "dataset": "shapes"},
        "elsewhere": {"kind": "pixels", "dataset": "others"},
    },
    "fits": {"encoding": {"kind": "ridge", "responses": "betas", "features": ["gabor"]}},
    "analyses": {
        "alike": {"kind": "cka", "features": ["gabor", "pixels"]},
        "shape": {"kind": "probe", "features": ["gabor"], "label": "category"},
    },
}


def study(**analyses):
    raw = copy.deepcopy(STUDY)
    raw["analyses"] |= analyses
    return parse_study(raw)


def test_an_analysis_is_one_job_that_needs_its_own_features():
    graph = Graph(study())
    job = graph.find("analyse", "alike")
    assert set(job.needs) == {"ingest", "features/gabor", "features/pixels"}
    assert job.folder.parent.name == "analyses"
    assert job.modules == ("fornix.analysis.cka",)
    assert set(graph.find("analyse", "shape").needs) == {"ingest", "features/gabor"}
    assert graph.report.needs["analyses/alike"] is job


def test_only_the_sparse_autoencoder_rests_on_torch():
    graph = Graph(study(sparse={"kind": "sae", "features": ["gabor"]}))
    versions = {job.name: job.code.versions for job in graph.of("analyse")}
    assert [name for name, found in versions.items() if "torch" in found] == ["sparse"]
    assert "fornix.analysis.probe" not in graph.find("analyse", "alike").code.modules


def test_a_setting_moves_its_own_analysis_and_the_report():
    changed = {"kind": "probe", "features": ["gabor"], "label": "category", "n_splits": 3}
    one, two = Graph(study()), Graph(study(shape=changed))
    moved = {key[:2] for key in one.jobs if one.jobs[key].folder != two.jobs[key].folder}
    assert moved == {("analyse", "shape"), ("report", "small")}


@pytest.mark.parametrize(
    ("name", "section", "words"),
    [
        ("a", {"kind": "cka", "features": ["gabr"]}, ["no features named 'gabr'", "'gabor'"]),
        ("encoding", {"kind": "cka", "features": ["gabor"]}, ["a fit has the name 'encoding'"]),
        ("a", {"kind": "cka", "features": ["gabor", "elsewhere"]}, ["several datasets"]),
        ("a", {"kind": "cca", "features": ["gabor"]}, ["cka"]),
        ("a", {"kind": "sae", "features": ["gabor"], "n_latents": 4}, ["k: 16", "n_latents: 4"]),
        (
            "a",
            {"kind": "effective_dimension", "features": ["gabor"], "ranks": [9, 3]},
            ["ranks: [9, 3] must rise"],
        ),
    ],
)
def test_what_is_wrong_is_said(name, section, words):
    with pytest.raises(FornixError) as caught:
        study(**{name: section})
    assert all(word in str(caught.value) for word in [*words, "analyses"])


def test_claims_may_be_about_analyses():
    claim = {"text": "They differ.", "test": "at_least", "threshold": 0.1}
    raw = {**STUDY, "claims": [{**claim, "scores": {"fit": "alike", "metric": "cka_debiased"}}]}
    assert parse_study(raw).claims[0].scores.fit == "alike"
    raw["claims"][0]["scores"]["fit"] = "alik"
    with pytest.raises(FornixError, match="did you mean 'alike'"):
        parse_study(raw)
