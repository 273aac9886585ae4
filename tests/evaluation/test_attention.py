from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from fornix.evaluation.attention import attention_rows
from fornix.study.scores import Scores


def fit(looked, wanted, stimuli=None):
    n = len(looked)
    stimuli = np.arange(n).astype(str) if stimuli is None else stimuli
    dims = ("target", "sample", "attending")
    return xr.Dataset(
        {"looked_at": (dims, looked[None, :, None]), "object_at": (dims, wanted[None, :, None])},
        coords={"target": ["vit/a"], "attending": ["FFA"], "stimulus": ("sample", stimuli)},
    )


def rows(dataset, n=200, seed=0):
    scores = Scores(permutations=n)
    return attention_rows("01", dataset, scores, np.random.default_rng(seed))


def test_hits_are_counted_where_a_place_is_known():
    wanted = np.array([0, 1, 2, 3, -1, -1])
    looked = np.array([0, 1, 2, 0, -1, 4])
    (row,) = rows(fit(looked, wanted))
    assert row["value"] == 0.75
    assert row["n"] == 4
    # Of four tokens looked at, two are 0, and one object in four is there; and so on.
    assert row["chance"] == pytest.approx(2 / 16 + 1 / 16 + 1 / 16)


def test_no_place_no_row():
    assert rows(fit(np.zeros(5, int), np.full(5, -1))) == []
    assert rows(xr.Dataset()) == []


def test_p_is_uniform_without_any_attention():
    """Models that prefer some places, objects that prefer some: the null has both."""
    rng = np.random.default_rng(1)
    share = np.array([0.4, 0.3, 0.1, 0.1, 0.05, 0.05])
    p = []
    for seed in range(500):
        looked, wanted = rng.choice(6, 40, p=share), rng.choice(6, 40, p=share)
        (row,) = rows(fit(looked, wanted), n=99, seed=seed)
        p.append(row["p"])
    # p of counts is coarse and a little large: never too small.
    assert stats.kstest(p, "uniform", alternative="greater").pvalue > 0.001
    assert np.mean(np.array(p) <= 0.05) < 0.08


def test_repeats_of_a_stimulus_are_permuted_together():
    stimuli = np.repeat(np.arange(10).astype(str), 30)
    place = np.repeat(np.arange(10) % 5, 30)
    (row,) = rows(fit(place, np.roll(place, 30), stimuli), n=500)
    assert row["p"] > 0.2
