"""One trunk for all subjects learns what no subject's samples are enough for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from worlds import correlation

from fornix.errors import FornixError
from fornix.models import shared_trunk
from fornix.models.interface import Context, EncodingData
from fornix.study.compute import Compute
from fornix.study.fits.shared_trunk import SharedTrunkFit

SUBJECTS = ("01", "02", "03", "04", "05", "06")
UNITS = {who: 8 + number for number, who in enumerate(SUBJECTS)}


def world(n=100, seed=0):
    """Everybody's units read the same few nonlinear features of stimuli of their own."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(10, 6)) / np.sqrt(10)
    found = {}
    for who in SUBJECTS:
        X = rng.normal(size=(n, 10)).astype(np.float32)
        Y = np.abs(X @ hidden) @ rng.normal(size=(6, UNITS[who]))
        Y = Y / Y.std(0) + 0.4 * rng.normal(size=Y.shape)
        fold = np.arange(n) % 4
        folds = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(2)]
        units = pd.DataFrame({"unit": range(UNITS[who]), "roi": "all"})
        found[who] = EncodingData(
            {"f/a": X}, Y.astype(np.float32), units, folds,
            lambda rows: np.arange(len(rows)) % 5, {"f/a": ["f/a"]},
        )  # fmt: skip
    return found


def section(**changes):
    training = {"epochs": 30, "batch_size": 16, "learning_rate": 5e-3, "weight_decay": 0.01}
    settings = {"training": training | changes.pop("training", {}), "width": 64} | changes
    return SharedTrunkFit(kind="shared_trunk", responses="r", features=["f"], **settings)


def scores(found, data):
    test = np.arange(100) % 4 == 0
    return {
        who: correlation(one.predicted["f/a"], data[who].responses, test).mean()
        for who, one in found.items()
    }


def test_together_is_better_than_alone_and_everybody_is_predicted():
    data = world()
    together = scores(shared_trunk.fit_cohort(section(), data, Context(Compute())), data)
    alone = {}
    for who in ("02",):
        one = data[who]
        alone |= scores(shared_trunk.fit_cohort(section(), {who: one}, Context(Compute())), data)
    assert set(together) == set(SUBJECTS)
    gain = np.array([together[who] - alone[who] for who in alone])
    assert gain.mean() > 0.1
    assert (gain > 0).all()


def test_a_killed_cohort_goes_on_to_the_same_bits(tmp_path):
    data = {who: one for who, one in world().items() if who < "03"}
    short = section(training={"epochs": 2})
    expected = shared_trunk.fit_cohort(short, data, Context(Compute()))
    again = Context(Compute(), scratch=tmp_path)
    shared_trunk.fit_cohort(short, data, again)
    resumed = shared_trunk.fit_cohort(short, data, again)  # all its trainings are finished
    for who, one in expected.items():
        told = resumed[who].predicted["f/a"]
        assert np.array_equal(told, one.predicted["f/a"], equal_nan=True)
        assert told.shape[1] == UNITS[who]


def test_held_out_samples_of_nobody_are_looked_at():
    data = {who: one for who, one in world().items() if who < "03"}
    short = section(training={"epochs": 2})
    one_fold = {who: replace(one, folds=one.folds[:1]) for who, one in data.items()}
    expected = shared_trunk.fit_cohort(short, one_fold, Context(Compute()))
    for one in one_fold.values():
        one.responses[one.folds[0][1]] = np.nan
    found = shared_trunk.fit_cohort(short, one_fold, Context(Compute()))
    for who, one in expected.items():
        assert np.array_equal(found[who].predicted["f/a"], one.predicted["f/a"], equal_nan=True)


def test_subjects_share_their_folds():
    data = world()
    data["02"] = replace(data["02"], folds=data["02"].folds[:1])
    with pytest.raises(FornixError, match="sub-02 has 1 folds, and others 2"):
        shared_trunk.fit_cohort(section(), data, Context(Compute()))
