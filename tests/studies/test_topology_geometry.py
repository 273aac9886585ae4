"""The paper's claims hold in its world, and fail where the worlds are exchanged."""

from __future__ import annotations

import json

import pytest

from fornix.evaluation.claims import REFUTED, SUPPORTED

pytestmark = pytest.mark.long

TOPOLOGY = {
    "Topology does nearly as well as all of the geometry.",
    "Where large distances are unreliable, levelling them helps.",
    "There the topology alone (which two fifths of the pairs are near) does better than the ranks.",
    "What is kept must be the small distances, since the large ones alone tell less.",
}


@pytest.fixture(scope="module")
def run(run_study, tmp_path_factory):
    """Return scores and verdicts of a variant."""

    def variant(name):
        scores = run_study("topology_geometry", tmp_path_factory.mktemp("x"), f"variant={name}")
        folder = run_study.root / f"results/topology_geometry-{name}"
        claims = json.loads((folder / "claims.json").read_text())
        return scores, {one["text"]: one["verdict"] for one in claims}

    return variant


def test_the_claims_hold_in_the_world_of_the_paper(run):
    scores, verdicts = run("mini")
    assert set(verdicts.values()) == {SUPPORTED}
    assert set(verdicts) >= TOPOLOGY
    group = scores[scores["subject"] == "group"].set_index(["fit", "target"])["value"]
    assert group["identification", "rank"] > 0.85
    assert group["heavy", "l0-u0.5"] > group["heavy", "rank"] + 0.1


def test_they_fail_where_the_worlds_are_exchanged(run):
    _, verdicts = run("mini_control")
    assert {text for text, verdict in verdicts.items() if verdict == REFUTED} == TOPOLOGY
