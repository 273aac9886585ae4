"""The three real studies reach the figures that a plain analysis of the same files gives.

Reference figures: scikit-learn and scipy on the same recordings (see docs/studies.md).
"""

from __future__ import annotations

import json

import pytest

from fornix.evaluation.table import COLUMNS

pytestmark = [pytest.mark.real, pytest.mark.long]


def pick(scores, **values):
    for key, value in values.items():
        scores = scores[scores[key] == value]
    assert len(scores), f"no score with {values}"
    return scores


@pytest.fixture(scope="module")
def haxby(run_study, real_data):
    return run_study("haxby2001", real_data("haxby2001-slice").parent)


@pytest.fixture(scope="module")
def eeg(run_study, real_data):
    real_data("n170-eeg")
    return run_study("visual_eeg", real_data("visual-eeg").parent)


@pytest.fixture(scope="module")
def objects(run_study, real_data):
    # A thousand draws for either fit took half of the study's time.
    fewer = ("fits.rsa.bootstrap.n_draws=100", "fits.rsa_shuffled.bootstrap.over=none")
    return run_study("objects92", real_data("objects92").parent, *fewer)


def test_haxby_decodes_eight_categories(haxby):
    assert list(haxby.columns) == list(COLUMNS)
    row = pick(haxby, fit="decoding", metric="accuracy", unit="all").iloc[0]
    assert row["value"] >= 0.70
    assert row["chance"] == pytest.approx(1 / 8)
    assert row["p"] < 0.01


def test_haxby_controls_are_at_chance(haxby):
    assert (pick(haxby, fit="decoding_shuffled", metric="accuracy")["p"] > 0.025).all()
    assert (pick(haxby, fit="encoding_shuffled", metric="pearson_r")["p"] > 0.025).all()


def test_haxby_category_predicts_voxels(haxby):
    row = pick(haxby, fit="encoding", metric="pearson_r").iloc[0]
    assert row["value"] > 0.1
    assert row["p"] < 0.01


def test_haxby_draws_a_map_of_every_category(haxby, run_study):
    page = (run_study.root / "results/haxby2001/report.html").read_text(encoding="utf-8")
    assert "Category maps" in page
    assert "; face: " in page  # what is said to those who can't see it
    (figure,) = (run_study.root / "results/haxby2001/figures").glob("*-category-maps.svg")
    assert "face, z = 0 mm" in figure.read_text(encoding="utf-8")


def test_eeg_response_is_told_from_its_baseline(eeg):
    auc = pick(eeg, fit="response", metric="auc")
    assert auc[auc["time"] > 0]["value"].max() >= 0.90
    before = auc[auc["time"] <= -0.05]
    # Seventeen windows or fewer, tested one by one at the level that all of them share.
    assert (before["p"] > 0.05 / len(before)).all()
    assert before["value"].mean() == pytest.approx(0.5, abs=0.08)


def test_eeg_headset_tells_faces_from_houses_in_everybody(eeg):
    auc = pick(eeg, fit="category", metric="auc").set_index("subject")["value"]
    for subject, reference in {"01": 0.69, "02": 0.61, "03": 0.64}.items():
        assert auc[subject] >= reference - 0.03
    assert (pick(eeg, fit="category_shuffled", metric="auc")["p"] > 0.025).all()


def test_objects_in_human_it(objects):
    group = pick(objects, fit="rsa", subject="group").set_index(["target", "metric"])["value"]
    assert group["category/animate", "spearman_rho"] == pytest.approx(0.386, abs=0.02)
    assert group["pixels/pixels", "spearman_rho"] == pytest.approx(0.02, abs=0.02)
    assert group["noise ceiling", "noise_ceiling_lower"] == pytest.approx(0.38, abs=0.02)
    assert group["noise ceiling", "noise_ceiling_upper"] == pytest.approx(0.66, abs=0.02)


def test_shuffled_objects_correlate_with_nothing(objects):
    rows = pick(objects, fit="rsa_shuffled", subject="group", metric="spearman_rho")
    # A group's mean has a null spread of 0.03. A thousand permutations can't reach 0.05 / 73.
    assert rows["value"].abs().max() < 0.1


def test_nothing_that_is_claimed_of_objects_is_refuted(objects, run_study):
    claims = json.loads((run_study.root / "results/objects92/claims.json").read_text())
    # Without the networks' weights, what is about them isn't testable.
    assert "not supported" not in {one["verdict"] for one in claims}
