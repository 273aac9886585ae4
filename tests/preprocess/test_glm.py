from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from nilearn.glm.first_level import make_first_level_design_matrix, run_glm

from fornix.errors import FornixError
from fornix.preprocess.glm import lss_rows, make_design, nuisance_spread, trial_betas, whiten

TR, N = 2.0, 120
HRFS = ["glover", "spm", "glover + derivative", "spm + derivative"]


@pytest.fixture(scope="module")
def run():
    """Return events of three conditions, noise with drift and autocorrelation, confounds."""
    rng = np.random.default_rng(1)
    n = 18
    events = pd.DataFrame(
        {
            "onset": 10 + 12 * np.arange(n) + rng.uniform(0, 3, n),
            "duration": rng.choice([0.0, 1.0, 3.0], n),
            "trial_type": rng.permutation(np.repeat(["a", "b", "c"], n // 3)),
        }
    )
    noise = rng.normal(size=(N, 7))
    for t in range(1, N):
        noise[t] += 0.4 * noise[t - 1]
    signals = (100 + noise + np.linspace(0, 3, N)[:, None]).astype(np.float32)
    return events, signals, rng.normal(size=(N, 2))


def design_of(events, confounds=None, hrf="glover", others=None, **more):
    others = events[:0] if others is None else others
    settings = {"hrf": hrf, "detrend": False, "high_pass": 0.01, "confounds": confounds} | more
    conditions = list(events["trial_type"])
    times = TR * np.arange(N)
    return make_design(events, conditions, others, list(others["trial_type"]), times, **settings)


def nilearn_matrix(events, names, confounds, hrf):
    frame = events.assign(trial_type=names)
    return make_first_level_design_matrix(
        TR * np.arange(N),
        frame,
        hrf_model=hrf,
        drift_model="cosine",
        high_pass=0.01,
        add_regs=confounds,
        add_reg_names=["u", "v"],
    )


@pytest.mark.filterwarnings("ignore:.*null duration.*")
@pytest.mark.parametrize("hrf", HRFS)
def test_lsa_is_nilearns_glm_of_all_trials(run, hrf):
    events, signals, confounds = run
    names = [f"t{i:02d}" for i in range(len(events))]
    matrix = nilearn_matrix(events, names, confounds, hrf)
    solved = np.linalg.lstsq(matrix.to_numpy(), signals.astype(float), rcond=None)[0]
    expected = solved[[matrix.columns.get_loc(name) for name in names]]
    design = design_of(events, confounds, hrf)
    found = trial_betas(signals, design, method="lsa", noise="ols", where="r")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*null duration.*")
@pytest.mark.parametrize("hrf", HRFS)
def test_lss_is_a_loop_of_nilearns_glms(run, hrf):
    events, signals, confounds = run
    expected = []
    for trial in range(len(events)):
        names = np.array(events["trial_type"], dtype=object)
        names[trial] = "this"
        matrix = nilearn_matrix(events, names, confounds, hrf)
        labels, results = run_glm(signals.astype(float), matrix.to_numpy(), noise_model="ols")
        expected.append(results[labels[0]].theta[matrix.columns.get_loc("this")])
    design = design_of(events, confounds, hrf)
    found = trial_betas(signals, design, method="lss", noise="ols", where="r")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*null duration.*")
def test_lsa_with_ar1_is_nilearns(run):
    events, signals, confounds = run
    names = [f"t{i:02d}" for i in range(len(events))]
    matrix = nilearn_matrix(events, names, confounds, "glover")
    labels, results = run_glm(signals.astype(float), matrix.to_numpy(), noise_model="ar1")
    expected = np.empty((len(names), signals.shape[1]))
    for label in np.unique(labels):
        theta = results[label].theta[[matrix.columns.get_loc(name) for name in names]]
        expected[:, labels == label] = theta
    design = design_of(events, confounds)
    found = trial_betas(signals, design, method="lsa", noise="ar1", where="r")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_whitening_leaves_white_noise(run):
    rng = np.random.default_rng(2)
    series = rng.normal(size=(4000, 1))
    coloured = series.copy()
    for t in range(1, len(series)):
        coloured[t] += 0.7 * coloured[t - 1]
    np.testing.assert_allclose(whiten(coloured, 0.7), series, atol=1e-12)


@pytest.mark.parametrize("method", ["lsa", "lss"])
@pytest.mark.parametrize("noise", ["ols", "ar1"])
def test_planted_betas_are_recovered(run, method, noise):
    events, _, confounds = run
    # The height of a response grows with its event's duration: give all the same.
    events = events.assign(duration=2.0)
    rng = np.random.default_rng(3)
    design = design_of(events, confounds, detrend=True)
    planted = rng.normal(2, 1, (len(events), 40))
    scale = design.main.max(axis=0).mean()
    signals = design.main @ planted + confounds @ rng.normal(size=(2, 40)) * 3
    signals += 50 + 5 * np.linspace(-1, 1, N)[:, None] + rng.normal(0, 0.1 * scale, (N, 40))
    design = design_of(events, confounds, detrend=True)
    found = trial_betas(signals.astype(np.float32), design, method=method, noise=noise, where="r")
    r = np.corrcoef(found.ravel(), planted.ravel())[0, 1]
    assert r > (0.97 if method == "lsa" else 0.9)
    assert abs(found.mean() - 2) < 0.2


def test_other_conditions_are_modelled_and_do_not_leak(run):
    events, _, _ = run
    shown, others = events[events["trial_type"] != "c"], events[events["trial_type"] == "c"]
    whole = design_of(events)
    strong = np.where(events["trial_type"] == "c", 30.0, 1.0)
    signals = (whole.main @ strong)[:, None].astype(np.float32)
    with_others = design_of(shown, others=others)
    found = trial_betas(signals, with_others, method="lsa", noise="ols", where="r")
    np.testing.assert_allclose(found, 1.0, atol=1e-3)
    without = trial_betas(signals, design_of(shown), method="lsa", noise="ols", where="r")
    assert abs(without - 1).max() > 0.5


def test_trials_at_one_onset_are_refused(run):
    events, signals, _ = run
    twice = pd.concat([events, events[:1].assign(trial_type="z")], ignore_index=True)
    with pytest.raises(FornixError, match="can't be told apart") as caught:
        trial_betas(signals, design_of(twice), method="lsa", noise="ols", where="sub-01_bold")
    assert "sub-01_bold" in caught.value.where
    with pytest.raises(FornixError, match="can't be told from the others"):
        lss_rows(design_of(twice))


def test_more_trials_than_volumes_is_an_error_that_names_lss():
    events = pd.DataFrame({"onset": np.linspace(5, 220, 119), "duration": 0.0, "trial_type": "a"})
    with pytest.raises(FornixError, match="119 trials") as caught:
        trial_betas(
            np.ones((N, 1), np.float32), design_of(events), method="lsa", noise="ols", where="r"
        )
    assert "lss" in caught.value.mend


def test_nuisance_spread_ignores_drift_and_mean(run):
    events, _, _ = run
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(N, 3))
    drift = 40 * np.cos(np.pi * (np.arange(N) + 0.5) / N)[:, None]
    design = design_of(events)
    plain = nuisance_spread(noise.astype(np.float32), design)
    drifting = nuisance_spread((1000 + noise + drift).astype(np.float32), design)
    np.testing.assert_allclose(drifting, plain, rtol=1e-3)
