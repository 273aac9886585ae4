"""RSA of measured patterns through both stages: every distance and comparison."""

from __future__ import annotations

import numpy as np
import pytest
from fitting import fit_and_score, trials, write_features, write_responses

from fornix.errors import FornixError
from fornix.study.fits.rsa import METRICS, RsaFit

N = 24


def section(**changes):
    return RsaFit(kind="rsa", responses="bold", features=["content"], **changes)


def planted(folder, n_runs=4, subjects=("01", "02"), noise=1.5):
    """Region A answers to layer a, region B to nothing; noise is shared by channels."""
    rng = np.random.default_rng(0)
    layers = {"a": rng.normal(size=(N, 6)), "b": rng.normal(size=(N, 6))}
    stimuli = [f"im{i:02d}.png" for i in range(N)]
    responses = {}
    for subject in subjects:
        signal = layers["a"] @ rng.normal(size=(6, 20)) / np.sqrt(6)
        mix = np.eye(40) + rng.normal(size=(40, 40)) / 8
        values = np.tile(np.hstack([signal, np.zeros((N, 20))]), (n_runs, 1))
        values = values + noise * rng.normal(size=values.shape) @ mix
        table = trials(stimuli * n_runs, np.repeat(range(n_runs), N))
        rois = np.repeat(["A", "B"], 20)
        responses[subject] = write_responses(folder / "r" / subject, values, table, rois, subject)
    return responses, {"content": write_features(folder / "f", layers, stimuli)}


def group(scores, metric, unit="A", target="content/a"):
    rows = scores[(scores["subject"] == "group") & (scores["metric"] == metric)]
    rows = rows[(rows["unit"] == unit) & (rows["target"] == target)]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.mark.parametrize(
    ("distance", "noise"),
    [("euclidean", "auto"), ("correlation", "residuals"), ("mahalanobis", "auto"),
     ("crossnobis", "auto"), ("crossnobis", "none")],
)  # fmt: skip
def test_every_distance_finds_the_planted_layer(tmp_path, distance, noise):
    one = section(brain_distance=distance, noise=noise, distance="euclidean")
    found, fits = fit_and_score(tmp_path, one, *planted(tmp_path))
    scores = found.table("scores")
    assert group(scores, "spearman_rho")["p"] < 0.01
    assert group(scores, "spearman_rho", target="content/b")["p"] > 0.01
    assert group(scores, "spearman_rho", unit="B")["p"] > 0.01
    brain = fits["01"].dataset("rdms").load()["brain"]
    assert brain.sizes["session"] == 1
    nothing = brain.sel(unit="B").values
    assert (nothing.min() < 0) == (distance == "crossnobis")


def test_crossnobis_of_a_region_that_knows_nothing_is_0_on_average(tmp_path):
    one = section(brain_distance="crossnobis")
    _, fits = fit_and_score(tmp_path, one, *planted(tmp_path))
    brain = fits["01"].dataset("rdms").load()["brain"]
    something, nothing = (brain.sel(unit=unit).values.ravel() for unit in "AB")
    # The noise's precision is estimated: a mean of 276 dependent pairs, at 24 stimuli.
    assert abs(nothing.mean()) < 4 * nothing.std() / np.sqrt(N)
    assert something.mean() > 10 * abs(nothing.mean())
    assert "cross-validated over 4 runs" in " ".join(fits["01"].json("fit.json")["notes"])


@pytest.mark.parametrize("comparison", list(METRICS))
def test_every_comparison_finds_the_planted_layer(tmp_path, comparison):
    one = section(comparison=comparison, distance="euclidean", brain_distance="euclidean")
    found, _ = fit_and_score(tmp_path, one, *planted(tmp_path), permutations=100)
    scores, metric = found.table("scores"), METRICS[comparison]
    row = group(scores, metric)
    assert row["p"] == pytest.approx(1 / 101)
    assert row["value"] > group(scores, metric, target="content/b")["value"]
    lower = scores.loc[scores["metric"] == "noise_ceiling_lower"].set_index("unit")["value"]["A"]
    assert lower <= row["ceiling"]
    assert lower > row["chance"]
    # Cosines of positive numbers are never 0; their chance says what they are for nothing.
    wrong = group(scores, metric, target="content/b")
    assert wrong["value"] == pytest.approx(wrong["chance"], abs=0.15)
    uncentred = comparison in ("cosine", "whitened_cosine", "cka", "procrustes")
    assert (row["chance"] > 0.1) == uncentred


def test_a_transform_is_applied_before_the_comparison(tmp_path):
    inputs = planted(tmp_path)
    plain, _ = fit_and_score(tmp_path / "plain", section(), *inputs)
    whole = section(transform={"lower": 0.0, "upper": 1.0})
    same, _ = fit_and_score(tmp_path / "same", whole, *inputs)
    key = ("spearman_rho",)
    expected = group(plain.table("scores"), *key)["value"]
    assert group(same.table("scores"), *key)["value"] == pytest.approx(expected)
    topology = section(transform={"lower": 0.5, "upper": 0.5})
    other, _ = fit_and_score(tmp_path / "other", topology, *inputs)
    assert group(other.table("scores"), *key)["value"] != pytest.approx(expected, abs=1e-3)


def test_one_run_has_no_crossnobis(tmp_path):
    with pytest.raises(FornixError, match="one run only"):
        fit_and_score(tmp_path, section(brain_distance="crossnobis", noise="none"),
                      *planted(tmp_path, n_runs=1))  # fmt: skip


def test_patterns_have_no_crossnobis():
    with pytest.raises(ValueError, match="comparison cka is of patterns"):
        section(comparison="cka", brain_distance="crossnobis")


def test_models_that_learn_are_judged_on_held_out_stimuli(tmp_path):
    one = section(models=["fixed", "selected", "weighted", "reweighted"], distance="euclidean",
                  brain_distance="euclidean")  # fmt: skip
    found, _ = fit_and_score(tmp_path, one, *planted(tmp_path, subjects=("01", "02", "03")))
    scores = found.table("scores")
    for target in ("content:selected", "content:weighted", "content/a:reweighted"):
        assert group(scores, "spearman_rho", target=target)["p"] < 0.02
        # Widened by sqrt(2), a null of 200 draws seldom falls below this for what isn't there.
        assert group(scores, "spearman_rho", "B", target)["p"] > 0.01
    assert group(scores, "spearman_rho", target="content/b:reweighted")["p"] > 0.01
    chosen = found.json("details.json")["chosen"]["A"]["01"]["content:selected"]
    assert chosen == {"content/a": 1, "content/b": 0}
    table = found.table("bootstrap")
    assert set(table["over"]) == {"both"}
    assert (table["low"] < table["value"]).all()
    values = scores[scores["subject"] == "group"].set_index(["unit", "target"])["value"]
    for row in table.to_dict("records"):
        assert row["value"] == pytest.approx(values[row["unit"], row["target"]])
    pairs = found.table("differences").set_index(["unit", "target", "other"])
    # Three subjects leave two degrees of freedom.
    assert pairs.loc[("A", "content/a", "content/b"), "p"] < 0.05
    assert pairs.loc[("B", "content/a", "content/b"), "p"] > 0.01
    assert (pairs["p_fdr"] >= pairs["p"] - 1e-12).all()


@pytest.mark.parametrize(
    ("subjects", "comparison", "over", "note"),
    [
        (("01",), "spearman", "stimuli", ""),
        (("01", "02"), "kendall", "subjects", "can't be drawn for kendall"),
        (("01",), "kendall", "", "no confidence intervals"),
    ],
)
def test_intervals_are_over_what_there_is(tmp_path, subjects, comparison, over, note):
    inputs = planted(tmp_path, subjects=subjects)
    found, _ = fit_and_score(tmp_path, section(comparison=comparison), *inputs, permutations=20)
    parts = found.manifest["parts"]
    assert ("bootstrap.parquet" in parts) == bool(over)
    if over:
        assert set(found.table("bootstrap")["over"]) == {over}
    assert note in " ".join(found.json("details.json")["notes"])


def test_stimuli_are_not_drawn_where_every_pair_is_needed():
    with pytest.raises(ValueError, match="stimuli can't be drawn for cka"):
        section(comparison="cka", bootstrap={"over": "both"})
