"""Through fit and evaluate: corrected p, intervals, comparisons, the group, brain-likeness."""

from __future__ import annotations

import numpy as np
import pytest
from fitting import fit_and_score, trials, write_epochs, write_features, write_responses

from fornix.study.fits.ridge import RidgeFit
from fornix.study.scores import Scores

RIDGE = RidgeFit(kind="ridge", responses="bold", features=["net"])
REGIONS = ["V1", "V2", "V4", "LO", "IT"]


def one(table, **keys):
    found = table
    for name, value in keys.items():
        found = found[found[name] == value]
    assert len(found) == 1, f"{len(found)} rows with {keys}"
    return found.iloc[0]


def hierarchy(folder, *, subjects=2, n=60, units=8, noise=1.0, backwards=False):
    """Five regions, each driven by one of five layers: the deeper layer by the higher region."""
    rng = np.random.default_rng(0)
    stimuli = [f"im{i:02d}" for i in range(n)]
    layers = {f"block{k}": rng.standard_normal((n, 4)) for k in range(5)}
    rois = np.repeat(REGIONS, units)
    responses = {}
    for s in range(subjects):
        driven = reversed(layers.values()) if backwards else layers.values()
        signal = np.hstack([one @ rng.standard_normal((4, units)) / 2 for one in driven])
        values = np.tile(signal, (2, 1)) + noise * rng.standard_normal((2 * n, len(rois)))
        table = trials(stimuli * 2, np.repeat([1, 2], n))
        name = f"{s + 1:02d}"
        responses[name] = write_responses(folder / f"r{s}", values, table, rois, name)
    return responses, {"net": write_features(folder / "f", layers, stimuli)}


LIKE = {"brain_likeness": True, "hierarchy": REGIONS, "bootstrap": 200}


def test_deeper_layers_are_found_in_higher_regions(tmp_path):
    found, _ = fit_and_score(tmp_path, RIDGE, *hierarchy(tmp_path), **LIKE)
    scores = found.table("scores")
    for subject in ("01", "02", "group"):
        row = one(scores, subject=subject, metric="spatial_score")
        assert row["target"] == "net"
        assert row["value"] == pytest.approx(1)
        # All 120 orders of five regions: none but this is as good.
        assert row["p"] == pytest.approx(1 / 120)
        assert row["n"] == 5
        assert row["lower"] > 0.8
    encoding = scores[(scores["metric"] == "encoding_score") & (scores["subject"] == "01")]
    assert set(encoding["target"]) == {"net"}
    assert set(encoding["unit"]) == {"all", *REGIONS}
    layers = scores[(scores["metric"] == "layer_encoding_score") & (scores["subject"] == "01")]
    r = scores[(scores["metric"] == "pearson_r") & (scores["subject"] == "01")]
    means = r.groupby("target")["value"].mean()
    for layer, mean in means.items():
        row = one(layers, target=layer, unit="all")
        assert row["value"] == pytest.approx(mean)
        assert row["lower"] < mean < row["upper"]
    whole = one(encoding, target="net", unit="all")
    assert whole["value"] == pytest.approx(means.max())
    assert whole["chance"] > 0
    assert whole["p"] < 0.02
    v1 = one(encoding, target="net", unit="V1")["value"]
    assert v1 == pytest.approx(r[r["unit"] == "V1"]["value"].max())


def test_a_hierarchy_that_runs_backwards_is_not_brain_like(tmp_path):
    inputs = hierarchy(tmp_path, subjects=1, backwards=True)
    found, _ = fit_and_score(tmp_path, RIDGE, *inputs, **LIKE)
    row = one(found.table("scores"), metric="spatial_score")
    assert row["value"] == pytest.approx(-1)
    assert row["p"] == 1


def test_layers_of_shuffled_stimuli_are_at_chance(tmp_path):
    section = RIDGE.model_copy(update={"shuffle": True})
    found, _ = fit_and_score(tmp_path, section, *hierarchy(tmp_path, subjects=1), **LIKE)
    scores = found.table("scores")
    assert one(scores, metric="encoding_score", target="net", unit="all")["p"] > 0.02
    assert one(scores, metric="spatial_score")["p"] > 0.02


def test_too_few_regions_have_no_spatial_score(tmp_path):
    more = LIKE | {"hierarchy": {"V1": 0.0, "IT": 40.0, "Nowhere": 90.0}}
    found, _ = fit_and_score(tmp_path, RIDGE, *hierarchy(tmp_path, subjects=1), **more)
    assert "spatial_score" not in set(found.table("scores")["metric"])
    assert any(
        "2 regions are in scores.hierarchy" in n for n in found.json("details.json")["notes"]
    )


def latencies(folder, n=50, channels=6, times=12):
    """Epochs in which each of four layers has its time, later for deeper ones."""
    rng = np.random.default_rng(1)
    stimuli = [f"im{i:02d}" for i in range(n)]
    layers = {f"block{k}": rng.standard_normal((n, 3)) for k in range(4)}
    epochs = rng.standard_normal((2 * n, channels, times))
    for k, layer in enumerate(layers.values()):
        bump = np.exp(-(((np.arange(times) - (2 + 2.5 * k)) / 1.2) ** 2))
        evoked = np.tile(layer @ rng.standard_normal((3, channels)), (2, 1))
        epochs += evoked[:, :, None] * bump
    table = trials(stimuli * 2, np.repeat([1, 2], n))
    responses = {"01": write_epochs(folder / "r", epochs, np.arange(times) / 20, table)}
    return responses, {"net": write_features(folder / "f", layers, stimuli)}


def test_deeper_layers_come_later_and_their_times_are_clusters(tmp_path):
    inputs = latencies(tmp_path)
    more = LIKE | {"correction": "cluster", "hierarchy": []}
    found, _ = fit_and_score(tmp_path, RIDGE, *inputs, **more)
    scores = found.table("scores")
    row = one(scores, metric="temporal_score")
    assert row["value"] > 0.9
    assert row["p"] == pytest.approx(1 / 24)
    r = scores[(scores["metric"] == "pearson_r") & (scores["target"] == "net/block1")]
    r = r.set_index(r["time"].round(3))
    assert r["p_corrected"].loc[0.2:0.25].max() < 0.05
    assert r["p_corrected"].loc[0.45:].min() > 0.05
    early = fit_and_score(tmp_path / "early", RIDGE, *inputs, **more | {"window": (0.0, 0.2)})[0]
    assert one(early.table("scores"), metric="temporal_score")["value"] < row["value"]


@pytest.mark.parametrize("correction", ["fdr", "max", "cluster"])
def test_corrected_p_is_never_smaller_and_keeps_what_is_there(tmp_path, correction):
    inputs = hierarchy(tmp_path, subjects=1)
    found, _ = fit_and_score(tmp_path, RIDGE, *inputs, correction=correction)
    scores = found.table("scores")
    r = scores[scores["metric"] == "pearson_r"]
    assert len(r) == 25
    right = r["target"] == [f"net/block{REGIONS.index(unit)}" for unit in r["unit"]]
    assert (r["p_corrected"][right] < 0.05).all()
    assert (r["p_corrected"][~right] > 0.05).all()
    assert (r["p_corrected"] >= r["p"] - 0.01).all()


def test_pairs_of_targets_are_compared_unit_by_unit(tmp_path):
    compare = [("net/block0", "net/block4"), ("net/block4", "net/block0")]
    inputs = hierarchy(tmp_path, subjects=1)
    found, _ = fit_and_score(tmp_path, RIDGE, *inputs, compare=compare, correction="max")
    scores = found.table("scores")
    difference = scores[scores["metric"] == "difference_r"]
    assert len(difference) == 10
    r = scores[scores["metric"] == "pearson_r"]
    first, second = (one(r, unit="V1", target=f"net/block{k}")["value"] for k in (0, 4))
    row = one(difference, unit="V1", target="net/block0 - net/block4")
    assert row["value"] == pytest.approx(first - second)
    assert row["p_corrected"] < 0.02
    assert 0 < row["lower"] < row["value"] < row["upper"]
    assert one(difference, unit="V1", target="net/block4 - net/block0")["p"] > 0.98
    assert one(difference, unit="V4", target="net/block0 - net/block4")["p"] > 0.02
    found, _ = fit_and_score(tmp_path / "no", RIDGE, *inputs, compare=[("net/blok", "*")])
    assert any("'net/blok'" in note for note in found.json("details.json")["notes"])


@pytest.mark.parametrize("bootstrap", [0, 300])
def test_six_subjects_are_a_group(tmp_path, bootstrap):
    inputs = hierarchy(tmp_path, subjects=6, n=24, units=3)
    found, _ = fit_and_score(
        tmp_path, RIDGE, *inputs, correction="max", bootstrap=bootstrap, permutations=99
    )
    scores = found.table("scores")
    group = scores[scores["subject"] == "group"]
    members = scores[scores["subject"] != "group"]
    row = one(group, unit="V1", target="net/block0", metric="pearson_r")
    mine = members.query("unit == 'V1' and target == 'net/block0' and metric == 'pearson_r'")
    assert row["value"] == pytest.approx(mine["value"].mean())
    assert row["effect"] == pytest.approx(mine["value"].mean() / mine["value"].std())
    assert row["p"] <= row["p_corrected"] < 0.05
    assert row["p"] >= 1 / 64 - 1e-9
    assert row["lower"] < row["value"] < row["upper"]
    assert one(group, unit="V1", target="net/block4", metric="pearson_r")["p_corrected"] > 0.05
    assert found.json("details.json")["how"]["group"].startswith("mean over subjects")


def test_few_subjects_hear_what_they_cannot_show(tmp_path):
    found, _ = fit_and_score(tmp_path, RIDGE, *hierarchy(tmp_path, subjects=3, n=24, units=3))
    assert "group" not in set(found.table("scores")["subject"])
    assert any("below 0.12" in note for note in found.json("details.json")["notes"])


def test_a_region_of_the_hierarchy_that_nobody_has_is_named(tmp_path):
    more = LIKE | {"hierarchy": ["V1", "V2", "V3", "V4", "LO", "ITT"]}
    found, _ = fit_and_score(tmp_path, RIDGE, *hierarchy(tmp_path, subjects=1), **more)
    assert one(found.table("scores"), metric="spatial_score")["n"] == 4
    notes = found.json("details.json")["notes"]
    assert any("no region is named V3, ITT" in note for note in notes)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"correction": "max", "permutations": 0}, "permutations: 0 gives none"),
        ({"hierarchy": ["V1", "V2", "V1"]}, "names V1 twice"),
        ({"window": (0.3, 0.1)}, "before it begins"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Scores(**settings)
