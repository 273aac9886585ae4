from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fitting import (
    fit_and_score,
    text,
    trials,
    write,
    write_epochs,
    write_features,
    write_responses,
)

from fornix.evaluation.corrections import note_uncorrected
from fornix.evaluation.table import COLUMNS, KEYS
from fornix.study.fits.classifier import ClassifierFit
from fornix.study.fits.ridge import RidgeFit
from fornix.study.fits.rsa import RsaFit

RIDGE = RidgeFit(kind="ridge", responses="bold", features=["content"])


def planted(folder, n=60, repeats=3, share=0.5, subjects=("01",)):
    """Images in three runs: ROI A answers to layer a, B to layer b, C to nothing.

    ``share`` of the variance of A's and B's mean over repeats is explained.
    """
    rng = np.random.default_rng(0)
    layers = {"a": rng.normal(size=(n, 4)), "b": rng.normal(size=(n, 4))}
    stimuli = [f"im{i:02d}.png" for i in range(n)]
    rois = np.repeat(["A", "B", "C"], 20)
    responses = {}
    for subject in subjects:
        signal = np.concatenate(
            [layers["a"] @ rng.normal(size=(4, 20)), layers["b"] @ rng.normal(size=(4, 20)),
             np.zeros((n, 20))], axis=1,
        )  # fmt: skip
        signal /= np.where(signal.std(0) > 0, signal.std(0), 1)
        noise = np.sqrt(repeats * (1 - share) / share)
        shown = np.tile(np.arange(n), repeats)
        values = signal[shown] + noise * rng.normal(size=(len(shown), 60))
        table = trials([stimuli[i] for i in shown], np.repeat(range(repeats), n))
        responses[subject] = write_responses(folder / "r" / subject, values, table, rois, subject)
    return responses, {"content": write_features(folder / "f", layers, stimuli)}


def by(scores: pd.DataFrame, **keys) -> pd.Series:
    for name, value in keys.items():
        scores = scores[scores[name] == value]
    assert len(scores) == 1
    return scores.iloc[0]


def test_encoding_finds_the_planted_layer_of_each_region(tmp_path):
    found, _ = fit_and_score(tmp_path, RIDGE, *planted(tmp_path, subjects=("01", "02")))
    scores = found.table("scores")
    assert tuple(scores) == COLUMNS
    assert not scores.duplicated(list(KEYS)).any()
    assert set(scores["fit"]) == {"main"}
    for subject in ("01", "02"):
        for unit, layer, other in (("A", "a", "b"), ("B", "b", "a")):
            key = {"subject": subject, "unit": unit, "metric": "pearson_r"}
            right = by(scores, target=f"content/{layer}", **key)
            wrong = by(scores, target=f"content/{other}", **key)
            assert right["value"] > 0.5
            assert wrong["value"] < 0.25
            assert right["p"] == pytest.approx(1 / 201)
            assert wrong["p"] > 0.01
            # 60 stimuli: the ceiling itself has an error of a few hundredths.
            assert right["ceiling"] == pytest.approx(np.sqrt(0.5), abs=0.06)
            assert right["value"] < right["ceiling"] + 0.03
            assert right["n"] == 60
            squared = by(scores, target=f"content/{layer}", subject=subject, unit=unit, metric="r2")
            assert squared["ceiling"] == pytest.approx(0.5, abs=0.08)
            assert squared["value"] < squared["ceiling"] + 0.03
    details = found.json("details.json")
    for one in details["ceilings"]:
        if one["unit"] != "C":
            assert one["split_half"] == pytest.approx(one["nsd"], abs=0.05)


def test_maps_hold_every_voxel(tmp_path):
    found, _ = fit_and_score(tmp_path, RIDGE, *planted(tmp_path))
    maps = found.dataset("maps-01").load()
    scores = found.table("scores")
    in_a = maps["roi"].values == "A"
    mean = maps["pearson_r"].sel(target="content/a").values[in_a].mean()
    row = by(scores, unit="A", target="content/a", metric="pearson_r")
    assert mean == pytest.approx(row["value"], abs=1e-6)
    assert maps["ceiling"].values[in_a].mean() == pytest.approx(row["ceiling"], abs=1e-6)
    assert maps.attrs["volume_shape"] == [60, 1, 1]
    assert "i" in maps.coords


def test_shuffled_stimuli_are_at_chance(tmp_path):
    section = RIDGE.model_copy(update={"shuffle": True})
    found, _ = fit_and_score(tmp_path, section, *planted(tmp_path))
    both = found.table("scores").merge(found.table("intervals"), on=list(KEYS))
    r = both[both["metric"] == "pearson_r"]
    assert len(r) == 6
    # 95 % intervals of six scores, all within in 3 of 4 studies and five of six in 97 %.
    assert ((r["value"] >= r["low"]) & (r["value"] <= r["high"])).sum() >= 5
    assert ((r["low"] < 0) & (r["high"] > 0)).all()
    assert (r["p"] > 0.01).all()


def test_shuffled_conditions_are_at_chance_although_runs_are_held_out(tmp_path):
    rng = np.random.default_rng(0)
    names = list("abcdefgh")
    signal = rng.normal(size=(8, 40))
    values = np.tile(signal, (12, 1)) + rng.normal(size=(96, 40))
    table = trials(names * 12, np.repeat(range(12), 8), trial_type=names * 12)
    responses = {"01": write_responses(tmp_path / "r", values, table)}
    features = {"content": write_features(tmp_path / "f", {"category": np.eye(8)}, names)}
    key = {"unit": "brain", "metric": "pearson_r"}
    true, _ = fit_and_score(tmp_path / "true", RIDGE, responses, features)
    row = by(true.table("scores"), **key)
    assert row["value"] > 0.5
    assert row["value"] <= row["ceiling"] + 0.05
    section = RIDGE.model_copy(update={"shuffle": True})
    control, _ = fit_and_score(tmp_path / "control", section, responses, features)
    row = by(control.table("scores").merge(control.table("intervals"), on=list(KEYS)), **key)
    assert row["low"] <= row["value"] <= row["high"]


def test_one_repeat_has_no_ceiling_and_says_so(tmp_path):
    found, _ = fit_and_score(tmp_path, RIDGE, *planted(tmp_path, repeats=1))
    assert found.table("scores")["ceiling"].isna().all()
    assert any("shown once" in note for note in found.json("details.json")["notes"])


def test_minimum_ceiling_leaves_noisy_voxels_out(tmp_path):
    inputs = planted(tmp_path)
    found, _ = fit_and_score(tmp_path, RIDGE, *inputs, minimum_ceiling=0.3)
    scores = found.table("scores")
    assert by(scores, unit="A", target="content/a", metric="r2")["ceiling"] > 0.3
    assert any("left out" in n or "no unit of C" in n for n in found.json("details.json")["notes"])


def test_settings_that_switch_things_off(tmp_path):
    found, _ = fit_and_score(tmp_path, RIDGE, *planted(tmp_path), permutations=0, ceiling=False)
    scores = found.table("scores")
    assert scores["p"].isna().all()
    assert scores["ceiling"].isna().all()
    assert found.table("intervals").empty


def test_leave_one_stimulus_out_still_scores(tmp_path):
    cv = {"groups": "stimulus", "n_splits": None}
    section = RidgeFit(kind="ridge", responses="bold", features=["content"], cv=cv)
    found, _ = fit_and_score(tmp_path, section, *planted(tmp_path, n=24))
    scores = found.table("scores")
    assert by(scores, unit="A", target="content/a", metric="pearson_r")["value"] > 0.4
    assert any("too small" in note for note in found.json("details.json")["notes"])


def test_encoding_of_epochs_has_a_score_at_every_time(tmp_path):
    rng = np.random.default_rng(0)
    stimuli = [f"im{i:02d}.png" for i in range(40)]
    layer = rng.normal(size=(40, 3))
    epochs = rng.normal(size=(80, 8, 5))
    epochs[:, :, 3] += np.tile(layer @ rng.normal(size=(3, 8)), (2, 1))
    table = trials(stimuli * 2, np.repeat([1, 2], 40))
    times = np.arange(5) / 10
    responses = {"01": write_epochs(tmp_path / "r", epochs, times, table)}
    features = {"content": write_features(tmp_path / "f", {"a": layer}, stimuli)}
    found, _ = fit_and_score(tmp_path, RIDGE, responses, features)
    r = found.table("scores").query("metric == 'pearson_r'").set_index("time")
    assert set(r["unit"]) == {"all"}
    assert r["value"].idxmax() == pytest.approx(0.3)
    assert (r["p"] <= 0.01).tolist() == [False, False, False, True, False]


def test_windows_of_an_epoch_have_scores_of_their_own(tmp_path):
    rng = np.random.default_rng(0)
    layer = rng.normal(size=(40, 3))
    epochs = rng.normal(size=(80, 8, 10))
    epochs[:, :, 4:7] += np.tile(layer @ rng.normal(size=(3, 8)), (2, 1))[..., None]
    stimuli = [f"{i:02d}.png" for i in range(40)]
    table = trials(stimuli * 2, ["1"] * 40 + ["2"] * 40)
    responses = {"01": write_epochs(tmp_path / "r", epochs, np.arange(10) / 10, table)}
    features = {"content": write_features(tmp_path / "f", {"a": layer}, stimuli)}
    section = RidgeFit(kind="ridge", responses="eeg", features=["content"])
    spans = {"before": (0.0, 0.3), "during": (0.4, 0.6), "between": (0.61, 0.69)}
    found, _ = fit_and_score(
        tmp_path, section, responses, features, windows=spans, correction="max"
    )
    scores = found.table("scores")
    rows = scores[scores["metric"] == "window_r"].set_index("unit")
    assert set(rows.index) == {"before", "during"}
    assert rows["time"].tolist() == [0.15, 0.5]
    r = scores[scores["metric"] == "pearson_r"]
    for name, row in rows.iterrows():
        start, stop = spans[name]
        inside = r["time"].between(start - 1e-6, stop + 1e-6)
        assert row["value"] == pytest.approx(r.loc[inside, "value"].mean())
    assert rows.loc["during", "p_corrected"] < 0.01
    assert rows.loc["before", "p_corrected"] > 0.01
    assert rows.loc["during", "lower"] > 0.3
    assert "no sample lies in the windows between" in " ".join(found.json("details.json")["notes"])
    plain, _ = fit_and_score(tmp_path / "plain", section, responses, features)
    assert "window_r" not in set(plain.table("scores")["metric"])


def decoding_inputs(folder, effect, n_classes=4, n_runs=8, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.tile(np.arange(n_classes), 2 * n_runs)
    values = rng.normal(size=(len(labels), 20))
    values[:, :10] += effect * rng.normal(size=(n_classes, 10))[labels]
    names = np.array([f"c{i}" for i in labels])
    table = trials(names, np.repeat(range(n_runs), 2 * n_classes), trial_type=names)
    rois = ["IT"] * 10 + ["M1"] * 10
    return {"01": write_responses(folder / f"r{effect}{seed}", values, table, rois)}


@pytest.mark.parametrize("n_classes", [2, 4])
def test_decoding_finds_the_region_that_knows_the_class(tmp_path, n_classes):
    section = ClassifierFit(kind="classifier", responses="bold")
    found, _ = fit_and_score(tmp_path, section, decoding_inputs(tmp_path, 1.5, n_classes))
    scores = found.table("scores")
    assert set(scores["unit"]) == {"all", "IT", "M1"}
    assert set(scores["target"]) == {"trial_type"}
    assert scores["time"].isna().all()
    accuracy = {u: by(scores, unit=u, metric="accuracy") for u in ("IT", "M1")}
    assert accuracy["IT"]["chance"] == pytest.approx(1 / n_classes)
    assert accuracy["IT"]["value"] > 0.8
    assert accuracy["IT"]["p"] == pytest.approx(1 / 201)
    assert accuracy["M1"]["p"] > 0.01
    assert by(scores, unit="IT", metric="auc")["value"] > 0.9
    assert by(scores, unit="M1", metric="auc")["chance"] == 0.5


def test_chance_is_the_share_of_the_largest_class(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.tile(["a", "a", "a", "b"], 16)
    table = trials(labels, np.repeat(range(8), 8), trial_type=labels)
    responses = {"01": write_responses(tmp_path / "r", rng.normal(size=(64, 4)), table)}
    section = ClassifierFit(kind="classifier", responses="bold")
    scores = fit_and_score(tmp_path, section, responses)[0].table("scores")
    row = by(scores, metric="accuracy")
    assert row["chance"] == 0.75
    assert abs(row["value"] - 0.75) < 0.15


def test_p_of_decoding_keeps_its_error_rate(tmp_path):
    section = ClassifierFit(kind="classifier", responses="bold", estimator="ridge")
    found = []
    for seed in range(25):
        responses = decoding_inputs(tmp_path, 0, n_classes=2, seed=seed)
        scores, _ = fit_and_score(tmp_path / f"{seed}", section, responses, permutations=99)
        table = scores.table("scores")
        found += table[(table["metric"] == "auc") & (table["unit"] != "all")]["p"].tolist()
    # 50 tests of noise: more than 8 below 0.05 has a probability of 0.1 %.
    assert sum(p <= 0.05 for p in found) <= 8
    assert 0.3 < np.mean(found) < 0.7


def test_a_contrast_rises_after_onset_and_not_before(tmp_path):
    rng = np.random.default_rng(0)
    times = np.arange(-25, 30) / 50
    epochs = rng.normal(size=(60, 6, 55))
    epochs[:, :3, times >= 0.1] += 1.0
    responses = {"01": write_epochs(tmp_path / "r", epochs, times, trials([""] * 60, [1] * 60))}
    section = ClassifierFit(
        kind="classifier", responses="eeg", window=0.1, step=0.1, baseline=(-0.2, 0)
    )
    found, _ = fit_and_score(tmp_path, section, responses)
    scores = found.table("scores")
    auc = scores[scores["metric"] == "auc"]
    assert set(auc["target"]) == {"baseline"}
    assert set(auc["n"]) == {60}
    assert (auc[auc["time"] > 0.1]["value"] > 0.9).all()
    assert (auc[auc["time"] > 0.1]["p"] < 0.01).all()
    assert auc[auc["time"] < 0]["value"].between(0.25, 0.75).all()
    assert (auc[auc["time"] < 0]["p"] > 0.02).all()


RSA = RsaFit(kind="rsa", responses="r", features=["content"])


def rsa_inputs(folder, subjects=4, n=20, drop=()):
    rng = np.random.default_rng(0)
    right, wrong = rng.normal(size=(n, 6)), rng.normal(size=(n, 6))
    stimuli = [f"im{i:02d}.png" for i in range(n)]
    rows, columns = np.triu_indices(n, 1)
    truth = np.zeros((n, n))
    truth[rows, columns] = 1 - np.corrcoef(right)[rows, columns]
    responses = {}
    for s in range(subjects):
        kept = [i for i in range(n) if (s, i) not in drop]
        square = np.stack([truth + 0.5 * np.triu(rng.random((n, n)), 1) for _ in range(2)])
        square = (square + square.transpose(0, 2, 1))[:, kept][:, :, kept]
        ids = text([stimuli[i] for i in kept])
        coords = {"session": text([1, 2]), "stimulus": ids, "stimulus_2": ids}
        rdms = xr.Dataset({"rdm": (("session", "stimulus", "stimulus_2"), square)}, coords=coords)
        responses[f"{s + 1:02d}"] = write(folder / f"r{s}", "responses", rdms, "stimulus")
    layers = {"right": right, "wrong": wrong}
    return responses, {"content": write_features(folder / "f", layers, stimuli)}


def test_rsa_has_subjects_a_group_and_noise_ceilings(tmp_path):
    found, _ = fit_and_score(tmp_path, RSA, *rsa_inputs(tmp_path))
    scores = found.table("scores")
    rho = scores[scores["metric"] == "spearman_rho"]
    group = by(rho, subject="group", target="content/right")
    members = rho[(rho["subject"] != "group") & (rho["target"] == "content/right")]
    assert group["value"] == pytest.approx(members["value"].mean())
    assert group["p"] == pytest.approx(1 / 201)
    assert by(rho, subject="group", target="content/wrong")["p"] > 0.01
    lower = by(scores, metric="noise_ceiling_lower")
    upper = by(scores, metric="noise_ceiling_upper")
    assert lower["target"] == upper["target"] == "noise ceiling"
    assert lower["value"] <= group["value"] <= upper["value"] == group["ceiling"]
    assert not scores.duplicated(list(KEYS)).any()
    intervals = found.table("intervals")
    assert set(intervals["metric"]) == {"spearman_rho"}


def test_shuffled_rsa_is_at_chance(tmp_path):
    section = RSA.model_copy(update={"shuffle": True})
    found, _ = fit_and_score(tmp_path, section, *rsa_inputs(tmp_path))
    group = by(found.table("scores"), subject="group", target="content/right")
    assert group["p"] > 0.02


def test_subjects_are_compared_on_the_stimuli_they_share(tmp_path):
    found, _ = fit_and_score(tmp_path, RSA, *rsa_inputs(tmp_path, drop={(0, 3), (1, 7)}))
    scores = found.table("scores")
    assert set(scores["n"]) == {18 * 17 // 2}
    assert by(scores, subject="group", target="content/right")["value"] > 0.5
    assert any("18 stimuli" in note for note in found.json("details.json")["notes"])


def test_one_subject_has_no_rsa_ceiling(tmp_path):
    found, _ = fit_and_score(tmp_path, RSA, *rsa_inputs(tmp_path, subjects=1))
    scores = found.table("scores")
    assert set(scores["subject"]) == {"01"}
    assert scores["ceiling"].isna().all()
    assert any("no noise ceiling" in note for note in found.json("details.json")["notes"])


@pytest.mark.real
def test_human_it_agrees_with_the_published_rdms(real_data, tmp_path):
    """Animate/inanimate in human IT: 0.386, ceilings 0.38 and 0.66 (shared data's README)."""
    folder = real_data("objects92")
    rdm = np.load(folder / "human_it_rdms.npz")["rdm"]
    table = pd.read_csv(folder / "stimuli.tsv", sep="\t")
    ids = text(table["stim_file"])
    responses = {}
    for s, one in enumerate(rdm):
        coords = {"session": text([1, 2]), "stimulus": ids, "stimulus_2": ids}
        data = xr.Dataset({"rdm": (("session", "stimulus", "stimulus_2"), one)}, coords=coords)
        responses[f"{s + 1:02d}"] = write(tmp_path / f"r{s}", "responses", data, "stimulus")
    animate = ((table["human"] == 1) | (table["animal"] == 1)).to_numpy()[:, None]
    features = {"content": write_features(tmp_path / "f", {"animate": animate}, ids)}
    found, _ = fit_and_score(tmp_path, RSA, responses, features)
    scores = found.table("scores")
    group = by(scores, subject="group", target="content/animate")
    assert group["value"] == pytest.approx(0.386, abs=0.001)
    assert by(scores, metric="noise_ceiling_lower")["value"] == pytest.approx(0.38, abs=0.01)
    assert by(scores, metric="noise_ceiling_upper")["value"] == pytest.approx(0.66, abs=0.01)
    json.dumps(found.json("details.json"), allow_nan=False)


@pytest.mark.parametrize("shuffle", [False, True])
def test_decoding_of_new_stimuli_has_a_null(tmp_path, shuffle):
    """A is driven by the class, B by each image in its own way: only A knows new images' class."""
    rng = np.random.default_rng(2)
    stimuli = [f"im{i:02d}" for i in range(40)]
    names = np.array(["cat", "dog"])[np.arange(40) % 2]
    of_class = np.where(names == "cat", 1.0, -1.0)[:, None] * np.ones(10)
    signal = np.hstack([of_class, rng.normal(size=(40, 10))])
    shown = np.tile(np.arange(40), 4)
    values = signal[shown] + rng.normal(size=(160, 20))
    table = trials([stimuli[i] for i in shown], np.repeat(range(4), 40))
    table["trial_type"] = names[shown]
    responses = write_responses(tmp_path / "r", values, table, np.repeat(["A", "B"], 10), "01")
    section = ClassifierFit(
        kind="classifier", responses="bold", cv={"groups": "stimulus"}, shuffle=shuffle
    )
    found, _ = fit_and_score(tmp_path, section, {"01": responses}, {})
    scores = found.table("scores")
    one = by(scores, unit="A", metric="accuracy")
    assert (one.p < 0.01, one.value > 0.9) == (not shuffle, not shuffle)
    assert by(scores, unit="B", metric="accuracy").p > 0.05


def test_times_of_a_decoder_are_corrected_for_their_number(tmp_path):
    rng = np.random.default_rng(4)
    labels = np.tile(["face", "house"], 60)
    epochs = rng.normal(size=(120, 6, 30))
    epochs[labels == "face", :3, 15:] += 0.8
    table = trials(labels, np.repeat(range(6), 20), trial_type=labels)
    responses = {"01": write_epochs(tmp_path / "r", epochs, np.arange(30) / 100, table)}
    section = ClassifierFit(kind="classifier", responses="eeg", window=0.03, step=0.03)
    for correction in ("max", "cluster", "fdr"):
        found, _ = fit_and_score(tmp_path / correction, section, responses, correction=correction)
        auc = found.table("scores").query("metric == 'auc' and unit == 'all'")
        late = auc["time"] > 0.16
        assert (auc["p_corrected"][late] < 0.05).all(), correction
        assert (auc["p_corrected"][auc["time"] < 0.12] > 0.05).all(), correction
        assert "p_corrected" in found.json("details.json")["how"]


@pytest.mark.parametrize("correction", ["max", "fdr"])
def test_layers_of_an_rsa_are_corrected_for_their_number(tmp_path, correction):
    found, _ = fit_and_score(tmp_path, RSA, *rsa_inputs(tmp_path), correction=correction)
    rho = found.table("scores").query("metric == 'spearman_rho'")
    for subject in ("01", "group"):
        assert by(rho, subject=subject, target="content/right")["p_corrected"] < 0.02
        assert by(rho, subject=subject, target="content/wrong")["p_corrected"] > 0.02
    assert (rho["p_corrected"] >= rho["p"]).all()


def test_what_is_not_corrected_is_named():
    rows = [{"metric": "a", "p": 0.1, "p_corrected": 0.2}]
    rows.append({"metric": "b", "p": 0.1, "p_corrected": np.nan})
    notes: list[str] = []
    note_uncorrected(rows, "max", notes)
    assert notes == ["p of b isn't corrected by scores.correction: max"]
    note_uncorrected(rows, "none", notes)
    assert len(notes) == 1
