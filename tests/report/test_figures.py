"""Figures show what is there: the right side, the right order, and no more than there is."""

from __future__ import annotations

import base64

import numpy as np
import pandas as pd
import pytest

from fornix.report.figures import canvas, contributions, decoding, encoding, maps, rsa


def svg(picture):
    return base64.b64decode(picture.source.partition(",")[2]).decode()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_left_is_left_whatever_the_affine(sign):
    # A voxel 3 mm to the right of another is drawn to its right, however the volume is stored.
    volume = np.full((3, 2, 1), np.nan)
    volume[2, 0, 0] = 7.0
    affine = np.diag([3.0 * sign, 3.0, 3.0, 1.0])
    turned, heights = maps._turned(volume, affine)
    assert np.argwhere(turned == 7.0).tolist() == [[2 if sign > 0 else 0, 0, 0]]
    assert heights.tolist() == [0.0]


def test_axes_that_are_stored_in_another_order_are_turned():
    volume = np.arange(24.0).reshape(2, 3, 4)
    affine = np.array([[0, 0, 2, 0], [2, 0, 0, 0], [0, 2, 0, -5], [0, 0, 0, 1]], dtype=float)
    turned, heights = maps._turned(volume, affine)
    assert turned.shape == (4, 2, 3)
    assert turned[3, 1, 2] == volume[1, 2, 3]
    assert heights.tolist() == [-5.0, -3.0, -1.0]


def test_every_voxel_is_taken_by_the_best_layer_of_its_region(material):
    table = maps.voxels(material, "encoding", {"V1": "gabor/level2"})
    data = material.artifact("scores/encoding").dataset("maps-01").load()
    inside = [str(roi) == "V1" for roi in data["roi"].values]
    want = data["pearson_r"].values[1][inside]
    assert table.loc[table["subject"] == "01", "value"].to_numpy() == pytest.approx(want)
    assert set(table["roi"]) == {"V1"}
    assert set(table["ceiling"]) == {0.8}


def test_there_are_no_slices_without_places(material):
    table = maps.voxels(material, "encoding", {"V1": "gabor/level1"})
    assert len(maps.slices(table, "")) == 1
    assert maps.slices(table.drop(columns=["i", "j", "k"]), "") == []


def test_encoding_over_time_is_a_time_course(material):
    table = material.scores
    late = table[table["fit"] == "encoding"].assign(time=0.2, value=0.9)
    here = table["fit"] == "encoding"
    material.scores = pd.concat([table[here].assign(time=0.1), late, table[~here]])
    (picture,) = encoding.draw(material, "encoding", "shuffled", with_maps=True)
    assert picture.title == "Time course of encoding"
    assert "0.90" in picture.alt


def test_similarity_over_time_is_marked_where_the_group_is_above_chance(material):
    table = material.scores
    here = (table["fit"] == "geometry") & (table["metric"] == "spearman_rho")
    early = table[here].assign(time=0.1, p=0.5)
    late = table[here].assign(time=0.2, value=0.9, p=0.001)
    material.scores = pd.concat([early, late, table[~here]])
    (picture,) = rsa.draw(material, "geometry", None)
    assert picture.title == "Time course of similarity"
    assert "0.90" in picture.alt
    assert "at 0.2 s" in picture.alt
    assert "Dots: p < 0.05, not corrected" in picture.caption
    material.scores = pd.concat([early, late.assign(p=0.5), table[~here]])
    assert "Dots" not in rsa.draw(material, "geometry", None)[0].caption


def test_the_highest_time_is_told(material):
    (picture,) = decoding.draw(material, "course", None)
    means = material.rows("course").groupby("time")["value"].mean()
    assert f"{means.max():.2f}, {means.idxmax():.2f} s" in picture.alt


def test_confusions_are_of_all_subjects(material):
    picture = decoding.draw(material, "decoding", None)[1]
    assert "2 subjects together" in picture.caption
    score = [material.artifact(f"fit/decoding/{s}").dataset("predictions") for s in ("01", "02")]
    right = np.mean(
        [
            np.asarray(one["class"].values)[one["score"].values[0, 0].argmax(-1)]
            == one["label"].values
            for one in score
        ]
    )
    assert f"{right:.0%} were right" in picture.alt


def test_layers_of_a_network_are_drawn_by_depth(material, monkeypatch):
    monkeypatch.setattr(rsa, "MIN_LAYERS", 1)
    _, profile, _ = rsa.draw(material, "geometry", None)
    assert profile.title == "Layer profiles"
    best = material.rows("geometry", "spearman_rho").groupby("target")["value"].mean()
    found = profile.alt.removeprefix("Best layer: ").split("; ")
    assert [one.partition(",")[0].partition("/")[0] for one in found] == ["gabor"]
    name, _, value = found[0].partition(", ")
    assert float(value) == pytest.approx(best[name], abs=0.006)
    assert best[name] == best[best.index.str.startswith("gabor/")].max()


def test_the_best_model_comes_first(material):
    bars, matrices = rsa.draw(material, "geometry", None)
    means = material.rows("geometry").groupby("target")["value"].mean()
    text = svg(bars)
    first, second = means.sort_values(ascending=False).index
    assert means.idxmax() in bars.alt
    assert text.index(f">{first}<") < text.index(f">{second}<")
    assert "noise ceiling" in text.lower()
    assert "sorted by kind" in matrices.caption


def test_stimuli_are_sorted_by_kind_in_the_matrices(material):
    order, name = rsa._order(material, "geometry", ["a", "b", "c", "d"])
    assert name == "kind"
    assert order.tolist() == [0, 2, 1, 3]


def test_subjects_who_saw_other_stimuli_are_left_out_of_the_mean_matrix(material, monkeypatch):
    stimuli, brain, _ = rsa._shared(material, "geometry", "V1", ["gabor/level1"])
    read = type(material).artifact

    def other(self, key):
        artifact = read(self, key)
        if key != "fit/geometry/02":
            return artifact
        changed = artifact.dataset("rdms").load()
        names = [f"{name}!" for name in changed["stimulus_b"].values]
        changed = changed.assign_coords(stimulus_b=("pair", np.array(names, dtype=object)))
        return type("Other", (), {"dataset": lambda *_: changed})()

    monkeypatch.setattr(type(material), "artifact", other)
    again, alone, _ = rsa._shared(material, "geometry", "V1", ["gabor/level1"])
    assert again == stimuli
    assert alone.shape == brain.shape


def test_dollars_in_names_are_not_mathematics():
    figure, (axis,) = canvas.panels(1)
    axis.set_title("$x_1$ & <b>")
    assert "$x_1$ &amp; &lt;b&gt;" in svg(canvas.picture(figure, "t", "c"))


def test_long_names_keep_their_ends():
    assert canvas.shortened("short") == "short"
    found = canvas.shortened("vision_model.encoder.layers.11.mlp.fc2")
    assert len(found) <= 26
    assert found.startswith("vision_model")
    assert found.endswith("mlp.fc2")


def test_own_contributions_have_a_panel_a_space(material):
    table = material.scores
    one = table[(table["fit"] == "encoding") & (table["target"] == "gabor/level1")]
    own = [one.assign(metric="unique_r2", target=name) for name in ("shape", "tone")]
    joint = one.assign(target="joint-tone", value=0.99)
    material.scores = pd.concat([table, *own, joint])
    (picture,) = contributions.draw(material, "encoding")
    assert picture.title == "Own contributions"
    assert "shape: " in picture.alt
    assert "tone: " in picture.alt
    drawn = encoding.draw(material, "encoding", "shuffled", with_maps=False)
    assert "Own contributions" in [one.title for one in drawn]
    # What predicts best without a space is no layer.
    assert not any("joint" in one.alt for one in drawn)
    assert contributions.draw(material, "shuffled") == []
