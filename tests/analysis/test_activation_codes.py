"""Binary codes: counted, and read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fornix.analysis import activation_codes as ac
from fornix.analysis.material import Material
from fornix.study.analyses import ActivationCodes


def section(**changes):
    return ActivationCodes(
        **{"kind": "activation_codes", "features": ["f"], "permutations": 100, **changes}
    )


def mixture(width, n=120, seed=0):
    """Random ReLU units of a mixture of four classes."""
    rng = np.random.default_rng(seed)
    kind = np.arange(n) % 4
    points = 2.5 * rng.normal(size=(4, 8))[kind] + rng.normal(size=(n, 8))
    layer = np.maximum(points @ rng.normal(size=(8, width)), 0)
    return layer, pd.DataFrame({"stimulus": range(n), "kind": kind.astype(str)})


def values(found):
    return {(row["target"], row["metric"]): row for row in found.rows}


def test_redundancy_counts_distinct_codes():
    codes = np.array([[0, 1, 1], [0, 1, 1], [1, 0, 0], [0, 0, 1]], dtype=bool)
    assert ac.redundancy(codes) == 0.25
    wide = np.zeros((5, 70), dtype=bool)
    wide[np.arange(5), 60 + np.arange(5)] = True
    assert ac.redundancy(wide) == 0


def test_units_are_on_above_zero_or_above_their_median():
    layer = np.array([[-1.0, 5], [0, 6], [2, 7]])
    assert ac.binarised(layer).tolist() == [[False, True], [False, True], [True, True]]
    assert ac.binarised(layer, "median")[:, 1].tolist() == [False, False, True]


def test_more_units_make_less_redundant_codes_with_or_without_labels():
    layers = {f"f/{width}": mixture(width)[0] for width in (3, 12, 60)}
    rows = values(ac.analyse(section(), Material(layers, mixture(3)[1])))
    found = [rows[f"f/{width}", "redundancy"]["value"] for width in (3, 12, 60)]
    assert found[0] > 0.9
    assert found[0] > found[1] > found[2]
    assert len(rows) == 3


def test_codes_tell_the_classes_and_shuffled_ones_do_not():
    layer, stimuli = mixture(40)
    shuffled = np.random.default_rng(2).permutation(layer)
    material = Material({"f/told": layer, "f/shuffled": shuffled}, stimuli)
    rows = values(ac.analyse(section(label="kind"), material))
    for metric in ("knn_accuracy", "logistic_accuracy", "kmeans_accuracy"):
        assert rows["f/told", metric]["value"] > 0.75, metric
        assert rows["f/told", metric]["p"] < 0.05
        null = rows["f/shuffled", metric]
        assert abs(null["value"] - null["chance"]) < 0.15
        assert null["p"] > 0.01
    assert rows["f/told", "redundancy"]["value"] == rows["f/shuffled", "redundancy"]["value"]


def test_neighbours_are_those_of_hamming_distance():
    from sklearn.neighbors import KNeighborsClassifier

    layer, stimuli = mixture(20)
    codes = ac.binarised(layer)
    ours = KNeighborsClassifier(1, algorithm="brute").fit(codes.astype(np.float32), stimuli["kind"])
    distances = ours.kneighbors(codes.astype(np.float32))[0] ** 2 / codes.shape[1]
    reference = KNeighborsClassifier(1, metric="hamming").fit(codes, stimuli["kind"])
    np.testing.assert_allclose(distances, reference.kneighbors(codes)[0], atol=1e-6)


def test_clusters_are_matched_whatever_their_names():
    codes = np.repeat(np.arange(3), 4)
    assert ac.matched_accuracy(codes, (codes + 1) % 3) == 1
    assert ac.matched_accuracy(codes, np.zeros(12, dtype=int)) == pytest.approx(1 / 3)


def test_units_that_never_change_are_noted():
    layer, stimuli = mixture(5)
    material = Material({"f/a": np.c_[layer, np.ones(120)]}, stimuli)
    ac.analyse(section(), material)
    assert material.notes == ["f/a: 1 of 6 units are on (or off) for all stimuli."]
