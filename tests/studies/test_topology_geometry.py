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


# Half as many people, and so as many jobs, as in `mini`; more areas and pictures make up for them,
# at no cost. Of the grid is left what the claims name, and some of each regime.
WORLD = "{n_subjects: 4, n_regions: 16, n_images: 48}"
FIT = "{quantiles: [0.0, 0.1, 0.4, 0.5, 0.6, 0.9, 1.0], bootstrap: {n_draws: 100}}"
SMALLER = (
    *(f"datasets.{name}.world={WORLD}" for name in ("regular", "heavy")),
    *(f"fits.{name}={FIT}" for name in ("identification", "heavy")),
)


@pytest.fixture(scope="module")
def run(run_study, tmp_path_factory):
    """Return scores and verdicts of a variant."""
    no_data = tmp_path_factory.mktemp("no-data")

    def variant(name):
        scores = run_study("topology_geometry", no_data, *SMALLER, variant=name)
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
