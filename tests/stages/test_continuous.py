"""Fit and evaluate where samples follow one another: volumes, and features of events in time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fitting import fit_and_score, text, write_features
from nilearn.glm.first_level import compute_regressor
from scipy import stats

from fornix.errors import FornixError
from fornix.stages import fit
from fornix.store.artifact import Recipe, Target, create
from fornix.study.compute import Compute
from fornix.study.fits.ridge import RidgeFit

TR, N = 2.0, 200
N_WORDS = 300
rng = np.random.default_rng(0)
ONSET = np.sort(rng.uniform(0, N * TR - 20, N_WORDS))
STIMULI = [f"w{i:03d}" for i in range(N_WORDS)]
WORDS = {"tone": rng.normal(size=(N_WORDS, 1)), "sense": rng.normal(size=(N_WORDS, 4))}
REGIONS = ["hears", "thinks", "both", "rests"]


def regressors(values: np.ndarray) -> np.ndarray:
    times = TR * np.arange(N)
    parts = [
        compute_regressor(np.stack([ONSET, np.full(N_WORDS, 0.3), one]), "spm", times)[0][:, 0]
        for one in values.T
    ]
    return stats.zscore(np.stack(parts, axis=1))


def brain(seed: int, noise: float = 1.0) -> np.ndarray:
    """Return regions that follow the tone of words, their sense, both, or nothing."""
    own = np.random.default_rng(seed)
    tone = regressors(WORDS["tone"])[:, 0]
    sense = stats.zscore(regressors(WORDS["sense"]) @ np.array([1.0, -1, 0.5, 2]))
    signal = np.stack([tone, sense, (tone + sense) / np.sqrt(2), np.zeros(N)], axis=1)
    # Noise that is autocorrelated, as that of BOLD is.
    white = own.normal(size=(N + 20, 4))
    slow = np.stack([np.convolve(one, np.exp(-np.arange(8) / 2.0), "same") for one in white.T], 1)
    return signal + noise * stats.zscore(slow[10 : N + 10])


def write_volumes(path: Path, values: np.ndarray, subject: str = "01") -> Path:
    recording = f"sub-{subject}_bold"
    coords = {
        "onset": ("sample", TR * np.arange(N)),
        "duration": ("sample", np.full(N, TR)),
        "recording": ("sample", text([recording] * N)),
        "session": ("sample", text([""] * N)),
        "run": ("sample", text(["1"] * N)),
        "trial": ("sample", np.arange(N)),
        "stimulus": ("sample", text([""] * N)),
        "unit": text(REGIONS),
        "roi": ("unit", text(REGIONS)),
    }
    dataset = xr.Dataset(
        {"responses": (("sample", "unit"), values.astype(np.float32))},
        coords=coords,
        attrs={"subject": subject, "samples": "volumes", "units": "z"},
    )
    events = pd.DataFrame(
        {"recording": recording, "onset": ONSET, "duration": 0.3, "stimulus": STIMULI}
    )
    silence = pd.DataFrame({"recording": [recording], "onset": 1.0, "duration": 0.0})
    with create(Target(path), Recipe("test", {}, {})) as draft:
        draft.write_dataset("responses", dataset, along="unit")
        draft.write_table("events", pd.concat([events, silence], ignore_index=True))
    return path


@pytest.fixture(scope="module")
def features(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("features")
    return {
        f"{name}s": write_features(folder / name, {"layer": values}, STIMULI)
        for name, values in WORDS.items()
    }


def section(**settings):
    given = {"align": {"method": "hrf"}, "alphas": (0, 5, 6), "features": ["tones", "senses"]}
    return RidgeFit(kind="ridge", responses="r", **(given | settings))


@pytest.fixture(scope="module")
def judged(tmp_path_factory, features):
    folder = tmp_path_factory.mktemp("joint")
    subjects = {
        f"0{k}": write_volumes(folder / f"r{k}", brain(k), subject=f"0{k}") for k in (1, 2, 3)
    }
    spaces = {"tone": ["tones/*"], "sense": ["senses/layer"]}
    scores, fits = fit_and_score(folder, section(joint=True, spaces=spaces), subjects, features)
    return scores, fits


def table(scores, metric, *, subject=None):
    rows = scores.table("scores")
    rows = rows[rows["metric"] == metric]
    chosen = rows["subject"] == subject if subject else rows["subject"] != "group"
    return rows[chosen]


def value(rows, target, unit, column="value"):
    found = rows[(rows["target"] == target) & (rows["unit"] == unit)]
    assert len(found)
    return found[column].to_numpy()


def test_the_planted_space_is_found_in_each_region(judged):
    rows = table(judged[0], "pearson_r")
    # Signal and noise have the same variance: the best model reaches 1 / sqrt(2).
    assert (value(rows, "tone", "hears") > 0.6).all()
    assert (value(rows, "sense", "thinks") > 0.5).all()
    assert (value(rows, "tone", "hears", "p") < 0.02).all()
    for target, unit in (("tone", "thinks"), ("sense", "hears"), ("joint", "rests")):
        assert value(rows, target, unit).mean() < 0.15
    assert (value(rows, "tone", "rests", "p") > 0.01).all()


def test_each_space_adds_what_the_others_lack(judged):
    for metric in ("unique_r2", "unique_r"):
        rows = table(judged[0], metric)
        assert set(rows["target"]) == {"tone", "sense"}
        assert (value(rows, "tone", "hears") > 0.3).all()
        assert (value(rows, "tone", "hears", "p") < 0.02).all()
        # What isn't needed costs a little.
        assert (value(rows, "sense", "hears") > -0.1).all()
        assert (value(rows, "sense", "hears") < 0.02).all()
        assert (value(rows, "sense", "thinks") > 0.2).all()
        assert (value(rows, "sense", "both") > 0.1).all()
        assert (value(rows, "tone", "both") > 0.1).all()
        assert np.abs(value(rows, "tone", "rests")).max() < 0.08


def test_unique_is_joint_minus_the_others(judged):
    for metric, of in (("unique_r2", "r2"), ("unique_r", "pearson_r")):
        whole = table(judged[0], of, subject="02")
        found = table(judged[0], metric, subject="02")
        for unit in REGIONS:
            expected = value(whole, "joint", unit) - value(whole, "joint-tone", unit)
            np.testing.assert_allclose(value(found, "tone", unit), expected, atol=1e-9)


def test_others_predict_a_subject_and_are_the_ceiling(judged):
    rows = table(judged[0], "isc")
    assert set(rows["target"]) == {"others"}
    # Two others: their mean has half the noise, so that r = 1 / sqrt(2 * 1.5).
    assert value(rows, "others", "hears").mean() == pytest.approx(1 / np.sqrt(3), abs=0.08)
    assert (value(rows, "others", "hears", "p") < 0.02).all()
    assert np.abs(value(rows, "others", "rests")).max() < 0.25
    scored = table(judged[0], "pearson_r", subject="01")
    expected = value(rows[rows["subject"] == "01"], "others", "both")
    np.testing.assert_allclose(value(scored, "tone", "both", "ceiling"), expected)


def test_the_group_is_predicted_better_than_one(judged):
    group = value(table(judged[0], "pearson_r", subject="group"), "joint", "both")
    assert group > value(table(judged[0], "pearson_r"), "joint", "both").max()
    assert (
        value(table(judged[0], "pearson_r", subject="group"), "joint", "both", "p") < 0.01
    ).all()


def test_folds_are_blocks_with_gaps(judged):
    facts = judged[1]["01"].json("fit.json")
    assert facts["groups"] == "block"
    assert [fold["n_test"] for fold in facts["folds"]] == [40] * 5
    assert facts["folds"][0]["n_train"] == 150  # 20 s of 2 s left out on one side
    assert facts["folds"][2]["n_train"] == 140


def test_shifted_features_are_at_chance(tmp_path, features):
    """Over 6 people, the mean r lies within 4 standard errors of 0."""
    subjects = {
        f"{k:02d}": write_volumes(tmp_path / f"r{k}", brain(k), subject=f"{k:02d}")
        for k in range(6)
    }
    scores, _ = fit_and_score(tmp_path, section(shuffle=True), subjects, features, permutations=50)
    rows = table(scores, "pearson_r")
    for (_, _), mine in rows.groupby(["target", "unit"]):
        error = mine["value"].std() / np.sqrt(len(mine))
        assert abs(mine["value"].mean()) < 4 * error
    assert (rows["p"] < 0.05).mean() < 0.2


@pytest.mark.parametrize(
    "align",
    [{"method": "lanczos", "delays": [2, 4, 6, 8, 10]}, {"method": "sum", "delays": [4, 6]}],
)
def test_delays_find_the_response_themselves(tmp_path, features, align):
    responses = {"01": write_volumes(tmp_path / "r", brain(1, noise=0.5))}
    scores, _ = fit_and_score(tmp_path, section(align=align, pca=8), responses, features)
    assert (value(table(scores, "pearson_r"), "tones/layer", "hears") > 0.6).all()


def test_trials_have_nothing_to_align(tmp_path, features):
    from fitting import trials, write_responses

    values = np.random.default_rng(0).normal(size=(40, 3))
    path = write_responses(tmp_path / "r", values, trials(STIMULI[:40], [1] * 40))
    inputs = {"responses": path, **{f"features/{k}": v for k, v in features.items()}}
    with pytest.raises(FornixError, match="trials") as caught:
        fit.run(section(), inputs, Target(tmp_path / "fit"), Compute(), subject="01")
    assert "volumes" in str(caught.value.mend)


def test_the_delay_that_matters_is_found(tmp_path, features):
    """Each region follows the tone of words with a delay of its own."""
    planted = {"hears": 2.0, "thinks": 6.0, "both": 4.0}
    times = TR * np.arange(N)

    def follows(delay):
        """Return each volume's summed tone of the words that began so much earlier."""
        first = np.searchsorted(ONSET, times - delay)
        last = np.searchsorted(ONSET, times - delay + TR)
        sums = np.r_[0, np.cumsum(WORDS["tone"][:, 0])]
        return stats.zscore(sums[last] - sums[first])

    own = np.random.default_rng(3)
    values = own.normal(size=(N, 4))
    for name, delay in planted.items():
        values[:, REGIONS.index(name)] += follows(delay)
    align = {"method": "sum", "delays": [0, 2, 4, 6, 8], "each_delay": True}
    responses = {"01": write_volumes(tmp_path / "r", values)}
    found, _ = fit_and_score(tmp_path, section(align=align), responses, features, correction="max")
    scores = found.table("scores")
    lags = scores[(scores["metric"] == "lag_r") & (scores["target"] == "tones/layer")]
    assert sorted(set(lags["time"])) == [0, 2, 4, 6, 8]
    for name, delay in planted.items():
        here = lags[lags["unit"] == name].set_index("time")
        assert here["value"].idxmax() == delay
        assert here["p_corrected"][delay] < 0.02
        assert (here["p_corrected"].drop([delay]) > 0.02).sum() >= 3
    assert (lags[lags["unit"] == "rests"]["p_corrected"] > 0.05).all()
    whole = scores[(scores["metric"] == "pearson_r") & (scores["unit"] == "hears")]
    assert set(whole["target"]) == {"tones/layer", "senses/layer"}
    assert whole["time"].isna().all()
    assert found.json("details.json")["how"]["lag_r"]
    with pytest.raises(ValueError, match="there is one"):
        section(align=align | {"delays": [2.0]})
