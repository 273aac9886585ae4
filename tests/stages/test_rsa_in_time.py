"""RSA over epochs: each layer is found when it was planted, and a control finds none."""

from __future__ import annotations

import numpy as np
import pytest
from fitting import fit_and_score, trials, write_epochs, write_features
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from fornix.errors import FornixError
from fornix.study.fits.rsa import RsaFit

N = 20
TIMES = np.arange(-5, 20) / 50
EARLY = (TIMES > 0.03) & (TIMES < 0.13)
LATE = (TIMES > 0.19) & (TIMES < 0.29)


def section(**changes):
    given = {"window": 0.02, "distance": "euclidean", "brain_distance": "euclidean"}
    given |= {"bootstrap": {"over": "subjects"}} | changes
    return RsaFit(kind="rsa", responses="epochs", features=["content"], **given)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Layer a drives all sensors early, b late; eight subjects, two runs."""
    folder = tmp_path_factory.mktemp("epochs")
    rng = np.random.default_rng(0)
    layers = {name: rng.normal(size=(N, 5)) for name in ("a", "b")}
    stimuli = [f"im{i:02d}.png" for i in range(N)]
    responses, raw = {}, {}
    for subject in (f"{k:02d}" for k in range(1, 9)):
        clean = np.zeros((N, 12, len(TIMES)))
        for name, when in (("a", EARLY), ("b", LATE)):
            clean[:, :, when] = (layers[name] @ rng.normal(size=(5, 12)) / 5**0.5)[..., None]
        values = np.tile(clean, (2, 1, 1))
        values = values + 1.5 * rng.normal(size=values.shape)
        table = trials(stimuli * 2, np.repeat([1, 2], N))
        responses[subject] = write_epochs(folder / subject, values, TIMES, table)
        raw[subject] = values.astype(np.float32)
    return responses, {"content": write_features(folder / "f", layers, stimuli)}, layers, raw


def course(scores, target, column="value", subject="group"):
    rows = scores[(scores["metric"] == "spearman_rho") & (scores["target"] == target)]
    rows = rows[rows["subject"] == subject].sort_values("time")
    assert len(rows)
    return rows["time"].to_numpy(), rows[column].to_numpy()


def test_every_time_is_compared_as_scipy_does(tmp_path, planted):
    responses, features, layers, raw = planted
    found, _ = fit_and_score(tmp_path, section(), {"01": responses["01"]}, features)
    times, values = course(found.table("scores"), "content/a", subject="01")
    assert times == pytest.approx(TIMES)
    means = (raw["01"][:N].astype(float) + raw["01"][N:]) / 2
    expected = [spearmanr(pdist(means[:, :, t]), pdist(layers["a"]))[0] for t in range(len(TIMES))]
    assert values == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("correction", ["max", "cluster"])
def test_layers_are_found_when_they_were_planted(tmp_path, planted, correction):
    responses, features, *_ = planted
    found, _ = fit_and_score(tmp_path, section(), responses, features, correction=correction)
    scores = found.table("scores")
    for target, when in (("content/a", EARLY), ("content/b", LATE)):
        p = course(scores, target, "p_corrected")[1]
        assert (p[when] < 0.05).all()
        # Clusters reach over their edges; elsewhere the family-wise error is 5 % a target.
        apart = ~(when | np.roll(when, 2) | np.roll(when, -2))
        assert (p[apart] > 0.01).all()
        value, low, high = (course(scores, target, one)[1] for one in ("value", "lower", "upper"))
        assert (low < value).all()
        assert (value < high).all()
        assert (low[when] > 0).mean() > 0.8
    table = found.table("bootstrap")
    assert sorted(set(table["time"])) == pytest.approx(TIMES)


def test_the_shuffled_control_is_found_at_no_time(tmp_path, planted):
    responses, features, *_ = planted
    one = section(shuffle=True)
    found, _ = fit_and_score(tmp_path, one, responses, features, correction="max")
    for target in ("content/a", "content/b"):
        assert (course(found.table("scores"), target, "p_corrected")[1] > 0.01).all()


def test_windows_are_as_wide_and_as_far_apart_as_asked_for(tmp_path, planted):
    responses, features, layers, raw = planted
    one = section(window=0.1, step=0.04)
    found, fits = fit_and_score(tmp_path, one, {"01": responses["01"]}, features)
    times, values = course(found.table("scores"), "content/a", subject="01")
    assert times == pytest.approx(np.arange(-8, 32, 4) / 100 + 0.04)
    means = (raw["01"][:N].astype(float) + raw["01"][N:]) / 2
    inside = means[:, :, EARLY].mean(2)
    (k,) = np.flatnonzero(np.isclose(times, 0.08))
    assert values[k] == pytest.approx(spearmanr(pdist(inside), pdist(layers["a"]))[0], abs=1e-4)
    assert set(fits["01"].dataset("rdms").load()["roi"].values.tolist()) == {"all"}


@pytest.mark.parametrize("distance", ["crossnobis", "mahalanobis"])
def test_one_whitener_for_all_times(tmp_path, planted, distance):
    responses, features, *_ = planted
    one = section(window=0.1, step=0.04, brain_distance=distance)
    chosen = {name: responses[name] for name in ("01", "02", "03")}
    found, _ = fit_and_score(tmp_path, one, chosen, features, correction="max")
    times, p = course(found.table("scores"), "content/a", "p_corrected")
    assert p[np.isclose(times, 0.08)] < 0.05
    assert p[np.isclose(times, 0.32)] > 0.01


def test_no_window_is_longer_than_the_epoch(tmp_path, planted):
    responses, features, *_ = planted
    with pytest.raises(FornixError, match=r"no window of 2\.0 s"):
        fit_and_score(tmp_path, section(window=2.0), {"01": responses["01"]}, features)


def test_a_step_needs_a_window():
    with pytest.raises(ValueError, match="step is that of a sliding window"):
        section(window=None, step=0.1)
