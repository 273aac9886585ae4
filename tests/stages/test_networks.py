"""Networks through the stages: what is stored, a cohort's shares, kills, bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from fitting import fit_and_score, trials, write_features, write_responses

from fornix.errors import FornixError
from fornix.stages import evaluate, fit
from fornix.store.artifact import Target, open_artifact
from fornix.study.compute import Compute
from fornix.study.fits.shared_trunk import SharedTrunkFit
from fornix.study.fits.transformer_encoder import TransformerEncoderFit
from fornix.study.scores import Evaluation, Scores

N, SIDE = 160, 3
STIMULI = [f"im{i:03d}" for i in range(N)]
TRAINING = {"epochs": 20, "batch_size": 16, "learning_rate": 5e-3, "clip": 1.0}
SECTION = TransformerEncoderFit(
    kind="transformer_encoder", responses="bold", features=["vit"], places="objects", width=16,
    heads=2, hidden=16, inner_splits=5, cv={"n_splits": 2}, training=TRAINING,
)  # fmt: skip


def planted(folder, subjects=("01",), seed=0):
    """``face`` answers to the marked token of a 3 x 3 grid; ``control`` to nothing."""
    rng = np.random.default_rng(seed)
    content = rng.normal(size=(N, SIDE**2, 2))
    places = rng.integers(SIDE**2, size=N)
    mark = np.zeros((N, SIDE**2, 1))
    mark[np.arange(N), places] = 2
    tokens = np.concatenate([content, mark], 2) @ rng.normal(size=(3, 8))
    responses = {}
    for subject in subjects:
        face = content[np.arange(N), places] @ rng.normal(size=(2, 4))
        values = np.concatenate([face, rng.normal(size=(N, 2))], axis=1)
        values += 0.3 * rng.normal(size=values.shape)
        rois = ["face"] * 4 + ["control"] * 2
        table = trials(STIMULI, ["1"] * N)
        responses[subject] = write_responses(folder / "r" / subject, values, table, rois, subject)
    centre = (np.stack(np.divmod(places, SIDE), 1) + 0.5) / SIDE
    features = {
        "vit": write_features(folder / "f", {"tokens": tokens.reshape(N, SIDE, SIDE, 8)}, STIMULI),
        "objects": write_features(folder / "o", {"face": centre}, STIMULI),
    }
    return responses, features


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    return fit_and_score(folder, SECTION, *planted(folder), permutations=100)


def test_predictions_attention_and_curves_are_stored(done):
    _, fits = done
    one = fits["01"]
    assert set(one.manifest["parts"]) == {
        "predictions.zarr", "attention.zarr", "training.parquet", "weights.safetensors", "fit.json",
    }  # fmt: skip
    maps = one.dataset("attention")["map0"]
    assert maps.dims == ("sample", "attending", "row0", "column0")
    assert maps.values.astype(float).sum((2, 3)) == pytest.approx(1, abs=0.01)
    log = one.table("training")
    assert set(log["split"]) == {"train", "validation"}
    assert set(log["fold"]) == {"fold0", "fold1"}


def test_the_right_token_is_looked_at(done):
    scores = done[0].table("scores").set_index(["metric", "unit"])
    hit = scores.loc["attention_hit", "face"]
    assert hit["value"] > 0.95
    assert hit["p"] < 0.02
    assert hit["chance"] == pytest.approx(1 / 9, abs=0.03)
    assert ("attention_hit", "control") not in scores.index
    assert scores.loc["pearson_r", "face"]["value"] > 0.85
    assert scores.loc["pearson_r", "control"]["p"] > 0.01


def test_shuffled_pictures_are_at_chance(tmp_path):
    shuffled = SECTION.model_copy(update={"shuffle": True})
    found, _ = fit_and_score(tmp_path, shuffled, *planted(tmp_path), permutations=100)
    scores = found.table("scores").set_index(["metric", "unit"])
    assert scores.loc["pearson_r", "face"]["p"] > 0.01
    assert scores.loc["attention_hit", "face"]["p"] > 0.01


def test_a_cohort_has_one_artifact_and_scores_of_everybody(tmp_path):
    responses, features = planted(tmp_path, ("01", "02", "07"))
    section = SharedTrunkFit(
        kind="shared_trunk", responses="bold", features=["vit"], width=32, cv={"n_splits": 2},
        training={"epochs": 3, "batch_size": 16},
    )  # fmt: skip
    inputs = {f"responses/{who}": path for who, path in responses.items()}
    target = Target(tmp_path / "fits" / "all")
    fit.run(section, inputs | {"features/vit": features["vit"]}, target, Compute(), seed=1)
    made = open_artifact(target.path)
    parts = {f"predictions-{who}.zarr" for who in responses} | {"training-01.parquet"}
    assert set(made.manifest["parts"]) == parts | {"weights.safetensors", "fit.json"}
    facts = made.json("fit.json")
    assert facts["subjects"] == ["01", "02", "07"]
    assert facts["n_samples"] == 3 * N
    # The same stimuli are held out in everybody.
    folds = [made.dataset(f"predictions-{who}") for who in responses]
    folds = [dict(zip(one["stimulus"].values, one["fold"].values, strict=True)) for one in folds]
    assert folds[0] == folds[1] == folds[2]
    inputs |= {f"fit/{who}": target.path for who in responses}
    judged = Evaluation(fit=section, scores=Scores(permutations=20))
    judgement = Target(tmp_path / "main-0123456789ab")
    evaluate.run(judged, inputs, judgement, Compute(), seed=1)
    scores = open_artifact(judgement.path).table("scores")
    assert set(scores["subject"]) == set(responses)
    assert set(scores["unit"]) == {"face", "control"}


def test_responses_that_are_not_finite_are_refused_and_nothing_stays(tmp_path):
    responses, features = planted(tmp_path)
    values = np.full((N, 3), np.nan)
    bad = write_responses(tmp_path / "bad", values, trials(STIMULI, ["1"] * N))
    given = {f"features/{name}": path for name, path in features.items()}
    target = Target(tmp_path / "fits" / "01")
    with pytest.raises(FornixError, match="3 of 3 units hold values that aren't finite"):
        fit.run(SECTION, {"responses": bad, **given}, target, Compute(), subject="01")
    assert not [one for one in target.path.parent.iterdir() if one.is_dir()]
    assert responses


def test_sigterm_in_mid_training_and_a_rerun_give_the_same_bytes(tmp_path):
    """A job of its own, told to end after some steps; the next one goes on where it was."""
    responses, features = planted(tmp_path)
    inputs = {"responses": str(responses["01"])}
    inputs |= {f"features/{name}": str(path) for name, path in features.items()}
    script = tmp_path / "job.py"
    script.write_text(
        textwrap.dedent(f"""
        import json, sys, time
        from pathlib import Path
        from fornix.models import networks
        from fornix.stages import fit
        from fornix.store.artifact import Target
        from fornix.study.compute import Compute
        from fornix.study.fits.transformer_encoder import TransformerEncoderFit
        step, steps = networks.Learner._step, []
        def slow(self, network, batch):
            steps.append(batch.step)
            if len(steps) == 30 and sys.argv[2] == "slow":
                print("training", flush=True)
            if len(steps) > 30 and sys.argv[2] == "slow":
                time.sleep(0.05)
            return step(self, network, batch)
        networks.Learner._step = slow
        section = TransformerEncoderFit(**json.loads({SECTION.model_dump_json()!r}))
        inputs = {{k: Path(v) for k, v in json.loads({json.dumps(inputs)!r}).items()}}
        fit.run(section, inputs, Target(Path(sys.argv[1])), Compute(), subject="01")
        print(len(steps))
        """)
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}
    whole, killed = tmp_path / "whole" / "01", tmp_path / "killed" / "01"

    def job(path, mode):
        call = [sys.executable, str(script), str(path), mode]
        return subprocess.Popen(call, stdout=subprocess.PIPE, text=True, env=environment)

    quiet = job(whole, "quick")
    every = int(quiet.communicate()[0])
    running = job(killed, "slow")
    assert running.stdout.readline() == "training\n"
    time.sleep(0.2)
    running.send_signal(signal.SIGTERM)
    running.communicate()
    assert running.returncode == 143
    assert not killed.exists()
    assert list(killed.parent.rglob("*.pt"))
    again = job(killed, "quick")
    rest = int(again.communicate()[0])
    assert 0 < rest <= every - 30
    one, other = (open_artifact(path) for path in (whole, killed))
    assert one.manifest["parts"] == other.manifest["parts"]
