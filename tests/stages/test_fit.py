from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from fitting import text, trials, write, write_epochs, write_features, write_responses
from safetensors.numpy import load_file

from fornix.errors import FornixError
from fornix.stages import fit
from fornix.store.artifact import Target, open_artifact
from fornix.study.compute import Compute
from fornix.study.fits.classifier import ClassifierFit
from fornix.study.fits.ridge import RidgeFit
from fornix.study.fits.rsa import RsaFit

RIDGE = RidgeFit(kind="ridge", responses="bold", features=["content"])


def encoding_inputs(folder, n=40, repeats=2, noise=0.3):
    """Two runs, each showing every image once; units answer to layer ``right``."""
    rng = np.random.default_rng(0)
    right, wrong = rng.normal(size=(n, 5)), rng.normal(size=(n, 5))
    stimuli = [f"im{i:02d}.png" for i in range(n)]
    shown = np.concatenate([rng.permutation(n) for _ in range(repeats)])
    signal = right @ rng.normal(size=(5, 6))
    values = signal[shown] + noise * rng.normal(size=(len(shown), 6))
    table = trials([stimuli[i] for i in shown], np.repeat(range(repeats), n))
    order = rng.permutation(n)  # features needn't come in the order of the responses
    layers = {"right": right[order], "wrong": wrong[order]}
    return {
        "responses": write_responses(folder / "responses", values, table),
        "features/content": write_features(
            folder / "features", layers, [stimuli[i] for i in order]
        ),
    }, (values, shown)


def run(section, inputs, folder, seed=0, subject="01"):
    target = Target(folder)
    fit.run(section, inputs, target, Compute(), subject=subject, seed=seed)
    return open_artifact(target.path)


def test_ridge_predicts_held_out_averages_of_each_stimulus(tmp_path):
    inputs, (values, shown) = encoding_inputs(tmp_path)
    found = run(RIDGE, inputs, tmp_path / "fit")
    predictions = found.dataset("predictions").load()
    assert predictions["predicted"].dims == ("target", "sample", "unit")
    assert predictions["target"].values.tolist() == ["content/right", "content/wrong"]
    assert predictions["n_repeats"].values.tolist() == [2] * 40
    row = predictions["stimulus"].values.tolist().index("im07.png")
    expected = values[shown == 7].mean(0)
    assert np.allclose(predictions["observed"].values[row], expected, atol=1e-6)
    right = predictions["predicted"].sel(target="content/right").values
    assert np.corrcoef(right.ravel(), predictions["observed"].values.ravel())[0, 1] > 0.95
    assert predictions.attrs["volume_shape"] == [6, 1, 1]
    assert "i" in predictions.coords
    facts = found.json("fit.json")
    assert (facts["groups"], facts["n_samples"], len(facts["folds"])) == ("stimulus", 40, 5)
    weights = load_file(found.part("weights.safetensors"))
    assert weights["content/right/coef"].shape == (5, 6)


def test_every_sample_is_kept_when_repeats_are_not_averaged(tmp_path):
    inputs, (values, _) = encoding_inputs(tmp_path)
    section = RIDGE.model_copy(update={"average_repeats": False})
    predictions = run(section, inputs, tmp_path / "fit").dataset("predictions").load()
    assert np.allclose(predictions["observed"].values, values, atol=1e-6)
    table = predictions[["fold"]].to_dataframe()
    folds = table.groupby(predictions["stimulus"].values.astype(object))["fold"].nunique()
    assert (folds == 1).all()


def test_two_runs_give_the_same_bytes_and_another_seed_does_not(tmp_path):
    inputs, _ = encoding_inputs(tmp_path)
    shuffled = RIDGE.model_copy(update={"shuffle": True})
    digests = [
        run(shuffled, inputs, tmp_path / f"fit{i}", seed=seed).digest
        for i, seed in enumerate([0, 0, 1])
    ]
    assert digests[0] == digests[1] != digests[2]


def test_a_finished_fit_is_adopted(tmp_path, monkeypatch):
    inputs, _ = encoding_inputs(tmp_path)
    before = run(RIDGE, inputs, tmp_path / "fit")
    before.path.joinpath("manifest.json").unlink()
    monkeypatch.setattr("fornix.models.ridge.fit", lambda *_: pytest.fail("fitted again"))
    # Another name for the same responses changes nothing.
    again = run(RIDGE.model_copy(update={"responses": "other"}), inputs, tmp_path / "fit")
    assert again.digest == before.digest


def test_an_unknown_stimulus_is_an_error_and_leaves_nothing(tmp_path):
    inputs, _ = encoding_inputs(tmp_path)
    stimuli = [f"im{i:02d}.png" for i in range(39)]
    layers = {"right": np.eye(39)}
    inputs["features/content"] = write_features(tmp_path / "fewer", layers, stimuli)
    with pytest.raises(FornixError, match=r"1 of 40 samples show 1 stimuli .*im39\.png"):
        run(RIDGE, inputs, tmp_path / "fit")
    assert not (tmp_path / "fit").exists()
    assert not list(tmp_path.glob("*.partial"))


def test_samples_without_a_stimulus_are_left_out_with_a_note(tmp_path):
    rng = np.random.default_rng(0)
    stimuli = [f"im{i:02d}.png" for i in range(20)] * 2 + [""] * 4
    table = trials(stimuli, [1] * 20 + [2] * 24)
    inputs = {
        "responses": write_responses(tmp_path / "r", rng.normal(size=(44, 3)), table),
        "features/content": write_features(
            tmp_path / "f", {"a": rng.normal(size=(20, 3))}, stimuli[:20]
        ),
    }
    facts = run(RIDGE, inputs, tmp_path / "fit").json("fit.json")
    assert facts["n_samples"] == 20
    assert any("4 samples name no stimulus" in note for note in facts["notes"])


def test_conditions_hold_out_runs_and_average_within_them(tmp_path):
    rng = np.random.default_rng(0)
    names = list("abcdefgh")
    table = trials(names * 8, np.repeat(range(4), 16), trial_type=names * 8)
    inputs = {
        "responses": write_responses(tmp_path / "r", rng.normal(size=(64, 3)), table),
        "features/content": write_features(tmp_path / "f", {"category": np.eye(8)}, names),
    }
    found = run(RIDGE, inputs, tmp_path / "fit")
    assert found.json("fit.json")["groups"] == "run"
    predictions = found.dataset("predictions").load()
    assert predictions.sizes["sample"] == 32
    assert set(predictions["n_repeats"].values) == {2}


def test_epochs_are_encoded_at_every_channel_and_time(tmp_path):
    rng = np.random.default_rng(0)
    stimuli = [f"im{i:02d}.png" for i in range(20)]
    table = trials(stimuli * 2, [1] * 20 + [2] * 20)
    times = np.arange(4) / 10
    inputs = {
        "responses": write_epochs(tmp_path / "r", rng.normal(size=(40, 3, 4)), times, table),
        "features/content": write_features(
            tmp_path / "f", {"a": rng.normal(size=(20, 3))}, stimuli
        ),
    }
    predictions = run(RIDGE, inputs, tmp_path / "fit").dataset("predictions").load()
    assert predictions.sizes["unit"] == 12
    assert predictions["time"].values.tolist() == pytest.approx([0, 0.1, 0.2, 0.3] * 3)


def classes(folder, n_runs=5, per_run=8, n_units=6, effect=2.0):
    rng = np.random.default_rng(0)
    labels = np.tile(["cat", "dog"], n_runs * per_run // 2)
    values = rng.normal(size=(len(labels), n_units))
    values[:, 0] += effect * (labels == "dog")
    table = trials([""] * len(labels), np.repeat(range(n_runs), per_run), trial_type=labels)
    rois = ["V1"] * 3 + ["V2"] * (n_units - 3)
    return {"responses": write_responses(folder / "responses", values, table, rois)}


def test_classifier_scores_every_region(tmp_path):
    section = ClassifierFit(kind="classifier", responses="bold")
    found = run(section, classes(tmp_path), tmp_path / "fit")
    predictions = found.dataset("predictions").load()
    assert predictions["score"].dims == ("unit", "time", "sample", "class")
    assert predictions["unit"].values.tolist() == ["all", "V1", "V2"]
    assert predictions["class"].values.tolist() == ["cat", "dog"]
    assert predictions["time"].values.tolist() == [0.0]
    assert set(predictions["pair"].values) == {-1}
    assert predictions.attrs["chance"] == 0.5
    weights = load_file(found.part("weights.safetensors"))
    assert weights["V1/coef"].shape == (1, 1, 3)
    answer = predictions["class"].values[predictions["score"].values[:, 0].argmax(2)]
    right = (answer == predictions["label"].values).mean(1)
    assert right[1] > 0.7
    assert right[2] < 0.65


def test_shuffled_labels_keep_their_runs(tmp_path):
    inputs = classes(tmp_path)
    section = ClassifierFit(kind="classifier", responses="bold", shuffle=True)
    predictions = run(section, inputs, tmp_path / "fit").dataset("predictions").load()
    dogs = predictions["label"].values == "dog"
    runs = predictions["run"].values.astype(str)
    assert {dogs[runs == one].sum() for one in np.unique(runs)} == {4}
    assert (dogs != np.tile([False, True], 20)).any()


@pytest.mark.parametrize(("groups", "noted"), [("run", True), ("stimulus", False)])
def test_pictures_that_a_decoder_could_know_again_are_noted(tmp_path, groups, noted):
    rng = np.random.default_rng(0)
    pictures = [f"im{i:02d}.png" for i in range(8)]
    table = trials(pictures * 4, np.repeat([1, 2, 3, 4], 8))
    table["trial_type"] = ["cat", "dog"] * 16
    inputs = {"responses": write_responses(tmp_path / "r", rng.normal(size=(32, 4)), table)}
    section = ClassifierFit(kind="classifier", responses="bold", cv={"groups": groups})
    notes = run(section, inputs, tmp_path / "fit").json("fit.json")["notes"]
    assert any("8 of 8 stimuli are in training and in test" in note for note in notes) == noted


def test_a_contrast_keeps_both_members_of_a_trial_in_one_fold(tmp_path):
    rng = np.random.default_rng(0)
    times = np.arange(-20, 20) / 50
    epochs = rng.normal(size=(30, 3, 40))
    table = trials([""] * 30, [1] * 30)
    inputs = {"responses": write_epochs(tmp_path / "r", epochs, times, table)}
    settings = {"window": 0.1, "step": 0.1, "baseline": (-0.2, 0)}
    section = ClassifierFit(kind="classifier", responses="eeg", **settings)
    found = run(section, inputs, tmp_path / "fit")
    predictions = found.dataset("predictions").load()
    assert predictions.sizes["sample"] == 60
    assert predictions["class"].values.tolist() == ["baseline", "window"]
    frame = predictions[["fold"]].to_dataframe().groupby(predictions["pair"].values)["fold"]
    assert (frame.nunique() == 1).all()
    assert found.json("fit.json")["groups"] == "block"
    assert found.json("fit.json")["label"] == "baseline"


def test_windows_need_epochs(tmp_path):
    section = ClassifierFit(kind="classifier", responses="bold", window=0.1)
    with pytest.raises(FornixError, match="samples have no time"):
        run(section, classes(tmp_path), tmp_path / "fit")


RSA = RsaFit(kind="rsa", responses="r", features=["content"])


def test_given_rdms_are_compared_pair_by_pair(tmp_path):
    rng = np.random.default_rng(0)
    square = rng.random((2, 5, 5))
    square = (square + square.transpose(0, 2, 1)) * (1 - np.eye(5))
    stimuli = text(list("edcba"))
    coords = {"session": text([1, 2]), "stimulus": stimuli, "stimulus_2": stimuli}
    rdms = xr.Dataset({"rdm": (("session", "stimulus", "stimulus_2"), square)}, coords=coords)
    layers = {"size": np.arange(5.0)[:, None], "flat": np.tile([[1.0], [2], [3], [4], [4]], 3)}
    inputs = {
        "responses": write(tmp_path / "r", "responses", rdms, "stimulus"),
        "features/content": write_features(tmp_path / "f", layers, list("abcde")),
    }
    found = run(RSA, inputs, tmp_path / "fit")
    data = found.dataset("rdms").load()
    assert data["brain"].dims == ("unit", "session", "pair")
    for pair in range(10):
        a, b = data["stimulus_a"].values[pair], data["stimulus_b"].values[pair]
        i, j = "edcba".index(a), "edcba".index(b)
        assert data["brain"].values[0, 1, pair] == pytest.approx(square[1, i, j])
        assert data["model"].sel(target="content/size").values[pair] == abs(ord(a) - ord(b))
    # Correlations of flat patterns aren't defined: the layer is left out, and the reader is told.
    assert data["target"].values.tolist() == ["content/size"]
    assert any("content/flat" in note for note in found.json("fit.json")["notes"])


def test_measured_responses_give_an_rdm_a_region_and_session(tmp_path):
    rng = np.random.default_rng(0)
    table = trials(list("abcd") * 6, np.repeat(range(6), 4))
    table["session"] = np.repeat(["1", "2"], 12)
    rois = ["V1"] * 5 + ["V2"] * 5
    inputs = {
        "responses": write_responses(tmp_path / "r", rng.normal(size=(24, 10)), table, rois),
        "features/content": write_features(tmp_path / "f", {"a": rng.random((4, 3))}, list("abcd")),
    }
    found = run(RSA, inputs, tmp_path / "fit")
    data = found.dataset("rdms")
    assert dict(data["brain"].sizes) == {"unit": 2, "session": 2, "pair": 6}
    assert found.json("fit.json")["n_samples"] == 4
    assert json.dumps(found.json("fit.json"))
