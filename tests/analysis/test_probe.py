"""Probes find what is planted, and nothing in shuffled labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fornix.analysis import probe
from fornix.analysis.labels import class_labels, folds, number_labels
from fornix.analysis.material import Material
from fornix.errors import FornixError
from fornix.study.analyses import Probe


def section(**changes):
    return Probe(
        **{"kind": "probe", "features": ["f"], "label": "kind", "permutations": 200, **changes}
    )


def planted(n=90, seed=0, **columns):
    rng = np.random.default_rng(seed)
    kind = np.arange(n) % 3
    layers = {"f/told": np.eye(3)[kind] * 2 + rng.normal(size=(n, 3)), "f/noise":
              rng.normal(size=(n, 20))}  # fmt: skip
    size = layers["f/noise"] @ rng.normal(size=20) + 0.1 * rng.normal(size=n)
    table = pd.DataFrame({"stimulus": [f"s{i}" for i in range(n)], "kind": np.array(list("abc"))[
        kind], "size": size, **columns})  # fmt: skip
    return Material(layers, table)


def by(found):
    return {(row["target"], row["metric"]): row for row in found.rows}


@pytest.mark.parametrize("estimator", ["logistic", "ridge"])
def test_the_layer_that_tells_the_classes_is_found(estimator):
    rows = by(probe.analyse(section(estimator=estimator), planted()))
    told, noise = rows["f/told", "accuracy"], rows["f/noise", "accuracy"]
    assert told["value"] > 0.75
    assert told["p"] < 0.01
    assert told["chance"] == pytest.approx(1 / 3)
    assert abs(noise["value"] - 1 / 3) < 0.15
    assert noise["p"] > 0.05


def test_shuffled_labels_are_at_chance():
    values = []
    for seed in range(8):
        material = planted(60, seed)
        shuffled = np.random.default_rng(seed).permutation(material.stimuli["kind"])
        material.stimuli["kind"] = shuffled
        found = by(probe.analyse(section(estimator="ridge", permutations=50), material))
        values.append(found["f/told", "accuracy"]["p"])
    assert np.mean(np.array(values) < 0.05) <= 0.25
    assert np.mean(values) > 0.25


def test_a_number_is_regressed():
    rows = by(probe.analyse(section(label="size"), planted()))
    assert rows["f/noise", "r2"]["value"] > 0.9
    assert rows["f/noise", "pearson_r"]["p"] < 0.01
    assert rows["f/told", "pearson_r"]["value"] < 0.3
    assert rows["f/told", "r2"]["value"] < 0.1


def test_groups_are_never_split():
    identity = np.repeat(np.arange(30), 3)
    material = planted(90, identity=identity)
    labels = class_labels(material, "kind", "identity")
    for train, test in folds(labels, 5, 0, where=""):
        assert not set(labels.groups[train]) & set(labels.groups[test])
    labels = number_labels(material, "size", "identity")
    for train, test in folds(labels, 5, 0, where=""):
        assert not set(labels.groups[train]) & set(labels.groups[test])


def test_a_layer_that_only_knows_the_group_tells_nothing_of_new_ones():
    identity = np.repeat(np.arange(30), 4)
    kind = np.array(list("ab"))[np.random.default_rng(3).permutation(30) % 2][identity]
    rng = np.random.default_rng(4)
    layer = rng.normal(size=(30, 60))[identity] + 0.1 * rng.normal(size=(120, 60))
    table = pd.DataFrame({"stimulus": [f"s{i}" for i in range(120)], "kind": kind,
                          "identity": identity})  # fmt: skip
    leaking = by(probe.analyse(section(), Material({"f/a": layer}, table)))
    honest = by(probe.analyse(section(groups="identity"), Material({"f/a": layer}, table)))
    assert leaking["f/a", "accuracy"]["value"] > 0.95
    assert honest["f/a", "accuracy"]["value"] < 0.75
    assert honest["f/a", "accuracy"]["p"] > 0.01


def test_missing_labels_and_rare_classes_are_left_out_and_said():
    material = planted(30)
    material.stimuli.loc[0, "kind"] = None
    material.stimuli.loc[1, "kind"] = "only once"
    labels = class_labels(material, "kind")
    assert len(labels.rows) == 28
    assert labels.classes == ["a", "b", "c"]
    assert any("1 stimuli have no kind" in note for note in material.notes)
    assert any("only once" in note for note in material.notes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"label": "knd"}, ["no column 'knd'", "did you mean 'kind'?"]),
        ({"label": "stimulus"}, ["fewer than two classes"]),
        ({"label": "kind", "task": "regression"}, ["aren't numbers"]),
        ({"groups": "grp"}, ["no column 'grp'"]),
    ],
)
def test_what_is_wrong_is_said(changes, words):
    with pytest.raises(FornixError) as caught:
        probe.analyse(section(**changes), planted(30))
    assert all(word in str(caught.value) for word in words)


def test_the_same_seed_gives_the_same_numbers():
    one, two = (probe.analyse(section(), planted(45)).rows for _ in range(2))
    pd.testing.assert_frame_equal(pd.DataFrame(one), pd.DataFrame(two))
