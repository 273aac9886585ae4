"""The paper's claims hold where regions stand in a row, and fail where pixels drive all alike."""

from __future__ import annotations

import json

import pytest

from fornix.evaluation.claims import SUPPORTED

pytestmark = [pytest.mark.long, pytest.mark.paper]

AT_CHANCE = "With the pictures exchanged, nothing is predicted"


@pytest.fixture(scope="module")
def run(run_study, tmp_path_factory):
    """Return scores of the fMRI and verdicts of a variant."""
    no_data = tmp_path_factory.mktemp("no-data")

    def variant(name):
        scores = run_study("dinov3_convergence", no_data, variant=name)
        folder = run_study.root / f"results/dinov3_convergence-{name}"
        claims = json.loads((folder / "claims.json").read_text())
        return scores[scores["fit"] == "encoding"], {one["text"]: one["verdict"] for one in claims}

    return variant


def test_the_claims_hold_where_regions_stand_in_a_row(run):
    scores, verdicts = run("mini")
    assert set(verdicts.values()) == {SUPPORTED}
    rows = scores.query("metric == 'encoding_score' and unit == 'all'")
    table = rows.pivot_table(index="subject", columns="target", values="value")
    assert (table["objects_large_600"] > table["objects_large_0"] + 0.2).all()
    effects = scores.query("metric == 'eta_squared' and unit == 'encoding_score'")
    assert (effects.set_index("target").loc[["size", "training", "images"], "p"] < 0.05).all()


def test_they_fail_where_pixels_drive_all_regions_alike(run):
    _, verdicts = run("mini_control")
    held = {text for text, verdict in verdicts.items() if verdict == SUPPORTED}
    assert all(text.startswith(AT_CHANCE) for text in held)
