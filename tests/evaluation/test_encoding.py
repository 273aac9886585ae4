"""Encoding fits are judged against a world whose truth is planted in the predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import kstest

from fornix.evaluation.encoding import evaluate
from fornix.evaluation.held_out import HeldOut
from fornix.evaluation.regions import Ceilings, judge_predictions
from fornix.evaluation.statistics.families import Family
from fornix.evaluation.target_pairs import comparison_rows
from fornix.study.fits.ridge import RidgeFit
from fornix.study.scores import Evaluation, Scores

RIDGE = RidgeFit(kind="ridge", responses="bold", features=["net"])
REPEATS = 3


class World:
    """Responses of a signal and noise; models are the signal itself, half of it, or none of it."""

    def __init__(self, seed=0, *, n=100, units=12, share=0.4, subjects=1, repeats=REPEATS):
        rng = np.random.default_rng(seed)
        self.stimuli = np.array([f"im{i:03d}" for i in range(n)])
        signal = np.sqrt(share) * rng.standard_normal((n, units))
        spare = np.sqrt(share) * rng.standard_normal((n, units))
        self.predicted = {
            "net/true": signal,
            "net/half": (signal + spare) / 2,
            "net/none": spare,
        }
        self.samples, self.fits = {}, {}
        for k in range(subjects):
            name = f"{k + 1:02d}"
            noise = np.sqrt(1 - share) * rng.standard_normal((repeats, n, units))
            single = signal + noise
            shown = np.tile(self.stimuli, repeats)
            self.samples[name] = single.reshape(-1, units), shown
            self.fits[name] = self.fit(single.mean(0), repeats)

    def fit(self, observed, repeats):
        n, units = observed.shape
        targets = list(self.predicted)
        return xr.Dataset(
            {
                "predicted": (("target", "sample", "unit"), np.stack([*self.predicted.values()])),
                "observed": (("sample", "unit"), observed),
            },
            coords={
                "target": targets,
                "unit": [f"v{i}" for i in range(units)],
                "roi": ("unit", np.array(["V1"] * (units // 2) + ["IT"] * (units - units // 2))),
                "fold": ("sample", np.arange(n) % 5),
                "stimulus": ("sample", self.stimuli),
                "group": ("sample", self.stimuli),
                "n_repeats": ("sample", np.full(n, repeats)),
            },
            attrs={"spaces": "[]"},
        )

    def judged(self, **scores):
        section = Evaluation(fit=RIDGE, scores=Scores(**{"permutations": 0} | scores))
        found = evaluate(section, self.fits, lambda name: self.samples[name], seed=0)
        return pd.DataFrame(found.rows), found


@pytest.mark.parametrize("kind", ["repeats", "split_half", "explainable_variance"])
@pytest.mark.parametrize("metric", ["pearson_r", "r2"])
def test_the_true_models_share_of_the_ceiling_is_one_within_its_interval(kind, metric):
    covered, shares = [], []
    for seed in range(60):
        rows, found = World(seed).judged(ceiling=kind)
        true = rows[(rows["target"] == "net/true") & (rows["metric"] == metric)]
        covered += (
            (true["lower"] <= true["ceiling"]) & (true["ceiling"] <= true["upper"])
        ).tolist()
        shares += true["normalised"].tolist()
        others = rows[(rows["target"] == "net/half") & (rows["metric"] == "pearson_r")]
        assert (others["upper"] < others["ceiling"]).all()
    assert found.how["ceiling"]
    # Ceilings have a bias of 1 or 2 % with 100 stimuli (docs/metrics.md).
    assert np.mean(shares) == pytest.approx(1, abs=0.03)
    # 120 intervals: the standard error of a coverage of 0.95 is 0.02.
    assert np.mean(covered) > 0.95 - 3 * 0.02


def test_the_mean_of_the_others_is_a_lower_bound_for_trials_too():
    rows, _ = World(subjects=4).judged(ceiling="subjects")
    true = rows[(rows["target"] == "net/true") & (rows["metric"] == "pearson_r")]
    assert len(true) == 8
    # r of an average of 3 with that of 9: 0.667 and 0.857 of their variance are signal.
    assert true["ceiling"].mean() == pytest.approx(np.sqrt(0.667 * 0.857), abs=0.03)
    assert true["normalised"].mean() > 1.02
    _, alone = World().judged(ceiling="subjects")
    assert any("no other subject" in note for note in alone.notes)


def test_the_best_model_is_the_ceiling_of_the_others():
    rows, _ = World().judged(ceiling="models")
    for (_, metric), here in rows.groupby(["unit", "metric"]):
        assert (here["ceiling"] == here["value"].max()).all(), metric
        assert here.set_index("target")["normalised"]["net/true"] == pytest.approx(1)
    half = rows[(rows["target"] == "net/half") & (rows["metric"] == "pearson_r")]
    assert half["normalised"].mean() == pytest.approx(np.sqrt(0.5), abs=0.06)


def test_the_best_of_equal_models_is_too_high_by_what_is_known():
    """The expected largest of 3 equal scores is 0.85 of their standard deviations up."""
    off = []
    for seed in range(80):
        world = World(seed, n=60, units=2)
        rng = np.random.default_rng(seed + 1000)
        signal = world.predicted["net/true"]
        world.predicted = {f"net/{k}": signal + rng.standard_normal(signal.shape) for k in "abc"}
        observed = world.fits["01"]["observed"].values
        world.fits = {"01": world.fit(observed, REPEATS)}
        rows, _ = world.judged(ceiling="models")
        r = rows[rows["metric"] == "pearson_r"]
        each = r.groupby("unit")["value"]
        off += ((r.groupby("unit")["ceiling"].first() - each.mean()) / each.std()).tolist()
    assert np.mean(off) == pytest.approx(0.95, abs=0.1)  # of the sample SD, which is small in three


@pytest.mark.parametrize("kind", [True, "split_half", "explainable_variance"])
def test_one_repeat_has_no_ceiling_of_any_kind(kind):
    rows, found = World(repeats=1).judged(ceiling=kind)
    assert rows["ceiling"].isna().all()
    assert rows["normalised"].isna().all()
    assert any("shown once" in note for note in found.notes)


def test_intervals_over_stimuli_agree_whichever_way_they_are_made():
    rows, found = World(n=200).judged(bootstrap=2000)
    other, _ = World(n=200).judged()
    assert "bootstrap" in found.how["lower"]
    assert rows["lower"].to_numpy() == pytest.approx(other["lower"].to_numpy(), abs=0.02)
    assert rows["upper"].to_numpy() == pytest.approx(other["upper"].to_numpy(), abs=0.02)


@pytest.mark.parametrize("bad", ["constant", "nan"])
def test_units_that_cannot_be_scored_are_left_out_and_counted(bad):
    world = World()
    fit = world.fits["01"]
    fit["observed"].values[:, 0] = 4.0 if bad == "constant" else np.nan
    world.samples["01"][0][:, 0] = 4.0 if bad == "constant" else np.nan
    rows, found = world.judged(permutations=50, correction="max")
    assert rows["value"].notna().all()
    assert rows["p_corrected"].notna().all()
    assert any("1 of 12 units are left out" in note for note in found.notes)
    fit["observed"].values[:, :6] = 4.0
    rows, found = world.judged(permutations=50, correction="max")
    assert rows.groupby("unit")["value"].count().to_dict() == {"IT": 6, "V1": 0}
    assert any("no unit of V1" in note for note in found.notes)


def cross_validated(X, Y, fold):
    """Return held-out predictions of a ridge with one penalty."""
    predicted = np.empty_like(Y)
    for one in np.unique(fold):
        train = fold != one
        gram = X[train].T @ X[train] + 10 * np.eye(X.shape[1])
        predicted[~train] = X[~train] @ np.linalg.solve(gram, X[train].T @ Y[train])
    return predicted


@pytest.mark.parametrize("know", [False, True])
def test_p_of_a_difference_is_kept_where_two_models_are_equally_good(know):
    """500 data sets and cross-validated fits; models that know nothing, or the same."""
    p = []
    for seed in range(500):
        world = World(seed, n=60, units=4)
        rng = np.random.default_rng(seed + 5000)
        cause = rng.standard_normal((60, 3))
        observed = world.fits["01"]["observed"].values
        if know:
            observed = observed + cause @ rng.standard_normal((3, 4)) / 2
        features = [rng.standard_normal((60, 5)) for _ in "ab"]
        if know:
            features = [np.hstack([cause + one[:, :3], one[:, 3:]]) for one in features]
        world.predicted = {
            f"net/{name}": cross_validated(X, observed, np.arange(60) % 5)
            for name, X in zip("ab", features, strict=True)
        }
        fit = world.fit(observed, REPEATS)
        scores = Scores(permutations=199, compare=[("net/a", "net/b")], correction="max")
        one = HeldOut("01", fit, scores, seed)
        rows = comparison_rows(one, one.places(), [])
        p.append((rows[0]["p"], min(row["p_corrected"] for row in rows)))
    for column in np.array(p).T:
        # 500 data sets: 0.05 plus three standard errors.
        assert (column <= 0.05).mean() < 0.05 + 3 * 0.0098
        assert know or kstest(column, "uniform").pvalue > 0.01


def test_p_of_encoding_is_uniform_for_fixed_predictions_and_corrected_over_regions():
    """500 data sets without an effect; predictions are given, so that nothing has to widen."""
    smallest = []
    for seed in range(500):
        world = World(seed, n=40, units=4)
        world.predicted = {"net/none": world.predicted["net/none"]}
        fit = world.fit(world.fits["01"]["observed"].values, REPEATS)
        one = HeldOut("01", fit, Scores(permutations=199), seed)
        (r, _) = judge_predictions(
            "01",
            "net/none",
            one.blocks(one.places(), "net/none"),
            one.fold,
            places=one.places(),
            items=one.items,
            ceilings=Ceilings(np.full(4, np.nan)),
            scores=one.scores,
        )
        narrow = r.null.mean(0) + (r.null - r.null.mean(0)) / np.sqrt(2)
        family = Family(199)
        family.add(r.value, narrow)
        smallest.append(family.corrected().min())
    assert kstest(smallest, "uniform").pvalue > 0.01
