"""Centred kernel alignment against its definition."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fornix.analysis import cka
from fornix.analysis.material import Material, centred
from fornix.errors import FornixError
from fornix.study.analyses import Cka


def layers(n=40, widths=(5, 12, 60), seed=0):
    rng = np.random.default_rng(seed)
    return {f"f/{i}": rng.normal(size=(n, p)) + 3 for i, p in enumerate(widths)}


def naive(x, y):
    """Kornblith et al. (2019): HSIC with the centring matrix, written out."""
    n = len(x)
    centre = np.eye(n) - 1 / n

    def hsic(k, m):
        return np.trace(k @ centre @ m @ centre) / (n - 1) ** 2

    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


def naive_debiased(x, y):
    """Song et al. (2012): kernels without their diagonals, not centred before."""
    n = len(x)

    def hsic(k, m):
        k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
        one = np.ones(n)
        middle = one @ k @ one * (one @ m @ one) / ((n - 1) * (n - 2))
        return (np.trace(k @ m) + middle - 2 / (n - 2) * one @ k @ m @ one) / (n * (n - 3))

    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


@pytest.mark.parametrize(("debiased", "reference"), [(False, naive), (True, naive_debiased)])
def test_it_is_its_definition(debiased, reference):
    found = layers()
    matrix = cka.cka(found, debiased=debiased)
    values = list(found.values())
    expected = [[reference(x, y) for y in values] for x in values]
    np.testing.assert_allclose(matrix, expected, atol=1e-10)


def test_features_and_kernels_give_the_same_products_however_tiled():
    found = layers(n=30)
    expected = cka._feature_products(found)
    np.testing.assert_allclose(cka._kernel_products(found, 30), expected)
    np.testing.assert_allclose(cka._kernel_products(found, 30, 8 * 3 * 7**2), expected)


@pytest.mark.parametrize("debiased", [False, True])
def test_rotation_scale_and_shift_change_nothing(debiased):
    x = np.random.default_rng(1).normal(size=(50, 9))
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(9, 9)))[0]
    matrix = cka.cka({"a": x, "b": 7 * x @ rotation - 4}, debiased=debiased)
    assert matrix[0, 1] == pytest.approx(1)


def test_unrelated_layers_have_none_when_debiased_and_much_when_not():
    pairs = [layers(n=50, widths=(200, 200), seed=seed) for seed in range(20)]
    debiased = np.mean([cka.cka(pair)[0, 1] for pair in pairs])
    plain = np.mean([cka.cka(pair, debiased=False)[0, 1] for pair in pairs])
    assert abs(debiased) < 0.02
    assert plain > 0.6


def test_rows_are_the_pairs_and_the_matrix_is_kept():
    material = Material(layers(), pd.DataFrame({"stimulus": range(40)}))
    found = cka.analyse(Cka(kind="cka", features=["f"]), material)
    pairs = [(row["target"], row["unit"]) for row in found.rows]
    assert pairs == [("f/0", "f/1"), ("f/0", "f/2"), ("f/1", "f/2")]
    assert found.arrays["cka"].shape == (3, 3)
    assert {row["metric"] for row in found.rows} == {"cka_debiased"}


def test_a_constant_layer_has_no_alignment_and_is_noted():
    material = Material(
        {"a": np.ones((9, 2)), "b": np.eye(9)}, pd.DataFrame({"stimulus": range(9)})
    )
    found = cka.analyse(Cka(kind="cka", features=["f"], debiased=False), material)
    assert np.isnan(found.rows[0]["value"])
    assert material.notes == ["a has no CKA: its stimuli don't differ beyond noise."]


def test_three_stimuli_are_too_few():
    with pytest.raises(FornixError, match="there are 3"):
        cka.analyse(
            Cka(kind="cka", features=["f"]),
            Material({"a": np.eye(3)}, pd.DataFrame({"stimulus": range(3)})),
        )


def test_centring_takes_the_mean_off():
    assert np.allclose(centred(np.array([[1.0], [3.0]])), [[-1], [1]])
