"""Dimensions of planted spectra."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from fornix.analysis import effective_dimension as ed
from fornix.analysis.material import Material, centred
from fornix.errors import FornixError
from fornix.study.analyses import EffectiveDimension

SECTION = EffectiveDimension(kind="effective_dimension", features=["f"])


def table(n):
    return pd.DataFrame({"stimulus": [f"s{i}" for i in range(n)]})


def gaussian(n, spectrum, seed=0):
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(len(spectrum),) * 2))[0]
    return rng.normal(size=(n, len(spectrum))) * np.sqrt(spectrum) @ rotation


def measured(layers, n, section=SECTION):
    found = ed.analyse(section, Material(layers, table(n)))
    return {(row["target"], row["metric"]): row["value"] for row in found.rows}, found


def test_equal_eigenvalues_have_as_many_dimensions_as_there_are():
    found, _ = measured({"f/a": gaussian(5000, np.r_[np.ones(10), np.zeros(20)])}, 5000)
    for metric in ("participation_ratio", "participation_ratio_unbiased", "entropy_dimension"):
        assert found["f/a", metric] == pytest.approx(10, rel=0.01)


def test_a_planted_power_law_is_found():
    spectrum = np.arange(1, 401.0) ** -1.0
    found, _ = measured({"f/a": gaussian(4000, spectrum)}, 4000)
    assert found["f/a", "powerlaw_exponent"] == pytest.approx(1, abs=0.05)
    flat, _ = measured({"f/a": gaussian(4000, np.ones(400))}, 4000)
    assert flat["f/a", "powerlaw_exponent"] < 0.3


def test_few_stimuli_bias_the_plain_ratio_only():
    truth = 200.0
    draws = [gaussian(40, np.ones(200), seed) for seed in range(20)]
    every = [measured({"f/a": draw}, 40) for draw in draws]
    plain = np.mean([found["f/a", "participation_ratio"] for found, _ in every])
    unbiased = np.mean([found["f/a", "participation_ratio_unbiased"] for found, _ in every])
    assert plain < 40
    assert unbiased == pytest.approx(truth, rel=0.15)


def test_the_unbiased_ratio_is_the_mean_over_distinct_stimuli():
    layer = centred(np.random.default_rng(1).normal(size=(6, 3)) + 5)
    half = ((layer[:, None] - layer[None]) ** 2).sum(2) / 2
    gram = layer @ layer.T
    four = list(permutations(range(6), 4))
    numerator = np.mean([half[i, j] * half[k, m] for i, j, k, m in four])
    # tr(C²) as the mean of a symmetric kernel over distinct stimuli.
    terms = [gram[i, j] ** 2 - 2 * gram[i, j] * gram[i, k] + gram[i, j] * gram[k, m]
             for i, j, k, m in four]  # fmt: skip
    expected = numerator / np.mean(terms)
    found = ed.unbiased_participation_ratio(ed.eigenvalues(layer), layer)
    assert found == pytest.approx(expected)


def test_eigenvalues_are_those_of_the_covariance_either_way():
    for shape in ((30, 8), (8, 30)):
        layer = centred(np.random.default_rng(2).normal(size=shape))
        expected = np.linalg.eigvalsh(np.cov(layer.T))[::-1][: min(shape[0] - 1, shape[1])]
        np.testing.assert_allclose(ed.eigenvalues(layer), expected, atol=1e-10)


def test_a_constant_layer_is_noted_and_few_stimuli_are_said():
    material = Material(
        {"f/same": np.ones((20, 3)), "f/wide": gaussian(20, np.ones(50))}, table(20)
    )
    found = ed.analyse(SECTION, material)
    assert {row["target"] for row in found.rows} == {"f/wide"}
    assert any("f/same is the same" in note for note in material.notes)
    assert any("f/wide: no more stimuli (20)" in note for note in material.notes)
    assert any("no power law" in note for note in material.notes)


def test_three_stimuli_are_too_few():
    with pytest.raises(FornixError, match="there are 3"):
        ed.analyse(SECTION, Material({"f/a": np.eye(3)}, table(3)))
