"""Corrections for many tests: by the largest score, and of the false discovery rate."""

from __future__ import annotations

import numpy as np
import pytest

from fornix.evaluation.statistics.families import Family, false_discovery, studentised


def test_the_largest_of_all_members_decides():
    rng = np.random.default_rng(0)
    scale = np.array([1.0, 100, 0.01])
    null = rng.standard_normal((999, 3)) * scale
    family = Family(999)
    family.add(np.array([5.0, 0]) * scale[:2], null[:, :2])
    family.add(5 * scale[2], null[:, 2])
    found = family.corrected()
    assert found[[0, 2]] == pytest.approx(1 / 1000, abs=1e-3)
    assert found[1] > 0.5
    # As if all had come at once: nothing depends on the parts.
    whole = Family(999)
    whole.add(np.array([5.0, 0, 5]) * scale, null)
    assert np.allclose(whole.corrected(), found)


def test_corrected_p_is_that_of_the_formula():
    rng = np.random.default_rng(1)
    null, observed = rng.standard_normal((200, 6)), rng.standard_normal(6) + 1
    family = Family(200)
    family.add(observed, null)
    t, draws = studentised(observed, null)
    expected = [(1 + (draws.max(1) >= one).sum()) / 201 for one in t]
    assert family.corrected() == pytest.approx(expected)


def test_tests_without_a_null_take_no_part():
    family = Family(50)
    family.add(np.array([1.0, np.nan]), np.empty((0, 2)))
    assert np.isnan(family.corrected()).all()
    rng = np.random.default_rng(2)
    null = rng.standard_normal((50, 2))
    null[:, 1] = np.nan
    family.add(np.array([10.0, np.nan]), null)
    assert family.corrected()[2] == pytest.approx(1 / 51)
    assert np.isnan(family.corrected()[[0, 1, 3]]).all()


def test_false_discovery_is_benjamini_and_hochbergs_step_up():
    p = np.array([0.01, 0.02, np.nan, 0.03, 0.5])
    assert false_discovery(p) == pytest.approx([0.04, 0.04, np.nan, 0.04, 0.5], nan_ok=True)
    assert np.isnan(false_discovery(np.array([np.nan]))).all()
