"""Networks that the study trains itself become more brain-like, and their layers go with regions.

Half-times, times and the kind of pictures aren't tested: in this small world they don't come out.
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.long, pytest.mark.paper]


@pytest.fixture(scope="module")
def scores(run_study, tmp_path_factory):
    found = run_study("dinov3_convergence", tmp_path_factory.mktemp("no-data"), "variant=mini")
    return found[found["fit"] == "encoding"]


def test_training_raises_the_encoding_score_in_everybody(scores):
    rows = scores.query("metric == 'encoding_score' and unit == 'all'")
    table = rows.pivot_table(index="subject", columns="target", values="value")
    for kind in ("objects", "aerial", "cells"):
        assert (table[f"{kind}_large_300"] > table[f"{kind}_large_0"]).all()


def test_size_and_training_have_effects_of_their_own(scores):
    rows = scores.query("metric == 'eta_squared' and unit == 'encoding_score'").set_index("target")
    assert (rows.loc[["size", "training"], "p"] < 0.05).all()
    assert len(rows) == 6


def test_deeper_layers_go_with_higher_regions(scores):
    group = scores.query("subject == 'group'").set_index(["target", "metric"])
    assert group.loc[("objects_large_300", "spatial_score"), "p"].item() < 0.05
