"""Profiles over layers, depths and times: lines are the means, bands the intervals of the table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import PolyCollection

from conftest import EVIL, artifact, score_rows
from fornix.evaluation.unique import JOINT
from fornix.report.figures import (
    depth,
    intervals,
    layers,
    partition,
    preferences,
    profiles,
    regions,
    times,
    training,
    triples,
)
from fornix.report.material import Material

R = "pearson_r"
NETS = {"short": 3, "long": 5}


@pytest.fixture
def caught(monkeypatch):
    """Return the canvases that a module draws, instead of pictures of them."""

    def watch(module):
        found = []
        monkeypatch.setattr(module, "picture", lambda figure, *_, **__: found.append(figure))
        return found

    return watch


def with_group(table, *, shift=0.0):
    """Return scores with the group's mean of each place, and an interval of 0.02 around it."""
    means = table.groupby(["target", "unit", "time"], sort=False, dropna=False)["value"].mean()
    group = table.drop_duplicates(["target", "unit", "time"]).assign(
        subject="group", value=means.to_numpy() + shift
    )
    group = group.assign(lower=group["value"] - 0.02, upper=group["value"] + 0.02)
    return pd.concat([table, group], ignore_index=True)


@pytest.fixture
def networks(inputs, study_of):
    """Return a study with two networks of three and five layers, and a table's columns."""
    section = {"kind": "huggingface", "dataset": "data", "model": "vit", "init": "random"}
    features = dict.fromkeys(NETS, section) | {
        "content": {"kind": "columns", "dataset": "data", "columns": ["kind"]}
    }
    ridge = {"kind": "ridge", "responses": "betas", "features": list(features)}
    study = study_of(features=features, fits={"encoding": ridge}, claims=[])
    targets = [f"{name}/layer{n}" for name, many in NETS.items() for n in range(many)]
    table = score_rows("encoding", [*targets, "content/kind"], ["V1", "V2"], R)
    table["time"] = np.nan
    kept = {key: one for key, one in inputs.items() if not key.startswith("features/")}
    material = Material(study, kept)
    material.scores = with_group(table)
    return material


def bands(axis):
    """Return the corners of each shaded interval."""
    found = [one for one in axis.collections if isinstance(one, PolyCollection)]
    return [one.get_paths()[0].vertices for one in found]


def test_networks_of_different_lengths_share_an_axis(networks, caught):
    drawn = caught(depth)
    rows = networks.rows("encoding", R)
    depth.draw(networks, rows, ["V1", "V2"])
    axis = drawn[0].axes[0]
    lines = {line.get_label(): line for line in axis.lines}
    assert set(lines) == {*NETS, "noise ceiling", "chance"}
    assert lines["short"].get_xdata() == pytest.approx([0, 0.5, 1])
    assert lines["long"].get_xdata() == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    here = rows[rows["unit"] == "V1"].groupby("target")["value"].mean()
    want = [here[f"long/layer{n}"] for n in range(5)]
    assert lines["long"].get_ydata() == pytest.approx(want)
    corners = next(one for one in bands(axis) if len(np.unique(one[:, 0])) == 5)
    assert corners[:, 1].max() == pytest.approx(max(want) + 0.02)
    assert corners[:, 1].min() == pytest.approx(min(want) - 0.02)
    assert axis.get_xlabel().startswith("relative depth")


def test_one_network_has_no_depth_to_compare(networks):
    rows = networks.rows("encoding", R)
    alone = rows[rows["target"].str.startswith(("short", "content"))]
    assert list(depth.networks(networks, rows)) == list(NETS)
    assert depth.draw(networks, alone, ["V1"]) == []


def test_readouts_of_a_layer_are_models_of_their_own(networks):
    rows = networks.rows("encoding", R)
    rows = rows[rows["target"].str.startswith("long")].copy()
    both = pd.concat([rows.assign(target=rows["target"] + end) for end in ("@cls", "@mean")])
    networks.scores = both
    assert list(depth.networks(networks, both)) == ["long@cls", "long@mean"]


def test_an_interval_is_of_the_mean_that_is_drawn(networks):
    rows = networks.rows("encoding", R)
    found = intervals.intervals(networks, rows)
    mean = rows[(rows["target"] == "long/layer1") & (rows["unit"] == "V2")]["value"].mean()
    sides = intervals.interval_of(found, "long/layer1", "V2")
    assert sides == pytest.approx((mean - 0.02, mean + 0.02))
    assert intervals.interval_of(found, "long/layer1", "V9") is None


def test_the_group_of_another_thing_is_no_interval(networks):
    # The score of everybody's averaged predictions isn't the mean of everybody's scores.
    rows = networks.rows("encoding", R)
    networks.scores = with_group(rows, shift=0.1)
    assert intervals.intervals(networks, rows) == {}


def test_one_subject_has_an_interval_of_its_own(networks):
    rows = networks.rows("encoding", R)
    rows = rows[rows["subject"] == "01"].assign(lower=0.1, upper=0.2)
    assert intervals.interval_of(intervals.intervals(networks, rows), "short/layer0", "V1") == (
        0.1,
        0.2,
    )


def test_bars_and_profiles_carry_whiskers(networks, caught):
    rows = networks.rows("encoding", R)
    for module, draw in (
        (regions, lambda: regions.draw(networks, rows, None)),
        (profiles, lambda: profiles.draw(networks, rows, None, ["V1", "V2"])),
    ):
        drawn = caught(module)
        draw()
        lines = [line.get_xydata() for line in drawn[0].axes[0].lines]
        upright = [one[:, 1] for one in lines if len(one) == 2 and np.ptp(one[:, 0]) == 0]
        assert upright
        assert [np.ptp(one) for one in upright] == pytest.approx([0.04] * len(upright))


def test_a_course_has_its_band_and_its_ceiling(networks, caught):
    drawn = caught(times)
    moments = (-0.1, 0.0, 0.1, 0.2)
    table = score_rows("encoding", ["short/layer0"], ["V1"], R, times=moments)
    networks.scores = with_group(table)
    rows = networks.rows("encoding", R)
    times.draw(networks, rows, None, ["V1"])
    (axis,) = drawn[0].axes
    lines = {line.get_label(): line for line in axis.lines}
    mean = rows.groupby("time")["value"].mean()
    assert lines["short/layer0"].get_xdata() == pytest.approx(moments)
    assert lines["short/layer0"].get_ydata() == pytest.approx(mean)
    assert lines["noise ceiling"].get_ydata() == pytest.approx([0.8] * 4)
    (corners,) = bands(axis)
    assert corners[:, 1].max() == pytest.approx(mean.max() + 0.02)


def test_layers_and_times_are_a_map_without_being_asked(material, caught):
    drawn = caught(layers)
    table = score_rows("encoding", ["gabor/level1", "gabor/level2"], ["V1"], R, times=(0.0, 0.1))
    late = (table["target"] == "gabor/level2") & (table["time"] == 0.1)
    table.loc[late, "value"] = 0.9
    material.scores = table
    layers.draw(material, "encoding")
    axis, bar = drawn[0].axes
    image = axis.images[0].get_array()
    assert image.shape == (2, 2)
    assert axis.get_xlim() == pytest.approx((-0.05, 0.15))
    assert image[1, 1] == pytest.approx(0.9)
    assert [text.get_text() for text in axis.get_yticklabels()] == ["level1", "level2"]
    assert bar.get_ylabel() == "Pearson's r"


@pytest.fixture
def three():
    """Return what seven parts make of R² of every combination of three spaces."""
    parts = dict(zip(triples.PARTS, (0.2, 0.1, 0.05, 0.08, 0.03, 0.02, 0.01), strict=True))

    def r2(spaces):
        return sum(value for part, value in parts.items() if set(part) & set(spaces))

    return parts, {name: r2(name) for name in triples.PARTS}


def test_seven_parts_are_recovered(three):
    parts, r2 = three
    found = triples.seven(pd.DataFrame([r2])).iloc[0]
    assert found.to_dict() == pytest.approx(parts)
    assert found.sum() == pytest.approx(r2["abc"])


def test_three_spaces_are_circles_with_their_numbers(three, material, study_of, inputs, caught):
    parts, r2 = three
    spaces = {"x": ["gabor/level1"], "y": ["gabor/level2"], "z": ["gabor/level3"]}
    joined = {"kind": "ridge", "responses": "betas", "features": ["gabor"]}
    joined |= {"joint": True, "spaces": spaces}
    material = Material(study_of(fits={"encoding": joined}, claims=[]), inputs)
    names = {JOINT: "abc", f"{JOINT}-x": "bc", f"{JOINT}-y": "ac", f"{JOINT}-z": "ab"}
    names |= {"gabor/level1": "a", "gabor/level2": "b", "gabor/level3": "c"}
    table = score_rows("encoding", list(names), ["V1"], "r2")
    material.scores = table.assign(value=[r2[names[one]] for one in table["target"]])
    found = triples.parts_of(material, "encoding", list(spaces))
    assert found.loc["V1"].to_dict() == pytest.approx(parts)
    drawn = caught(triples)
    triples.draw(found, list(spaces))
    axis = drawn[0].axes[0]
    at = {text.get_text(): text.get_position() for text in axis.texts}
    circles = [patch for patch in axis.patches if hasattr(patch, "radius")]
    # Each number lies in the circles of its spaces, and in no other.
    for part, value in parts.items():
        place = np.array(at[f"{value:.3f}"])
        inside = [np.linalg.norm(place - one.center) < one.radius for one in circles]
        assert inside == [letter in part for letter in "abc"], part


@pytest.mark.parametrize(
    ("unique", "shared", "title"),
    [((0.2, 0.1), 0.1, "areas are to scale"), ((-0.5, 0.0), 0.5, "is below the line")],
)
def test_parts_that_are_negative_are_bars(material, unique, shared, title):
    alone = score_rows("encoding", ["x", "y"], ["V1"], "unique_r2")
    whole = score_rows("encoding", [JOINT], ["V1"], "r2").assign(value=sum(unique) + shared)
    alone["value"] = alone["target"].map(dict(zip("xy", unique, strict=True)))
    material.scores = pd.concat([alone, whole], ignore_index=True)
    (picture,) = partition.draw(material, "encoding")
    assert title in picture.caption


def test_a_space_that_was_not_fitted_alone_has_no_circles(material):
    table = score_rows("encoding", [JOINT, "joint-x", "joint-y", "joint-z"], ["V1"], "r2")
    material.scores = table
    assert triples.parts_of(material, "encoding", ["x", "y", "z"]).empty


def test_the_mean_of_trainings_is_drawn(tmp_path, study_of, caught):
    log = pd.DataFrame(
        [
            {"step": e, "epoch": e, "split": "train", "name": "loss", "value": v + e,
             "target": "gabor/level1", "fold": fold, "network": 0}
            for fold, v in (("fold0", 1.0), ("fold1", 3.0)) for e in range(2)
        ]
    )  # fmt: skip
    made = artifact(tmp_path, "one", "fit", training=log)
    drawn = caught(training)
    training.draw(Material(study_of(), {"fit/encoding/01": made}), "encoding")
    lines = drawn[0].axes[0].lines
    mean = next(line for line in lines if line.get_label() == "mean")
    assert mean.get_xdata() == pytest.approx([1, 2])
    assert mean.get_ydata() == pytest.approx([2, 3])
    assert drawn[0].axes[0].get_ylabel() == "loss"


@pytest.fixture
def preferring(tmp_path, study_of, inputs):
    """Return a study whose fit has weights of three categories; the last prefers voxel 5."""
    from safetensors.numpy import save_file

    from fornix.store import Recipe, Target, create

    labels = ["cat", "dog", EVIL]
    weights = np.zeros((3, 8), dtype=np.float32)
    weights[2, 5] = 3.0
    weights += 10.0  # what all categories share is taken off
    features = xr.Dataset(
        {"kind": (("stimulus", "feature:kind"), np.eye(3))},
        attrs={"layers": '["kind"]', "layer_labels": f'{{"kind": ["cat", "dog", "{EVIL}"]}}'},
    )
    here = {"features/gabor": artifact(tmp_path, "features", "features", features=features)}
    places = {"i": np.arange(8) % 4, "j": np.arange(8) // 4, "k": np.zeros(8, dtype=int)}
    data = xr.Dataset(
        {"observed": (("sample", "unit"), np.ones((5, 8)))},
        coords={axis: ("unit", values) for axis, values in places.items()},
        attrs={"volume_shape": [4, 2, 1], "affine": np.eye(4).tolist(), "units": "% change"},
    )
    with create(Target(tmp_path / "fit"), Recipe("fit", {}, {})) as draft:
        draft.write_dataset("predictions", data, along="unit")
        save_file({"gabor/kind/coef": weights}, draft.file(preferences.WEIGHTS))
    return Material(study_of(), {**here, "fit/encoding/01": tmp_path / "fit"}), labels


def test_a_category_map_is_of_what_voxels_prefer(preferring, caught):
    material, labels = preferring
    drawn = caught(preferences)
    preferences.draw(material, "encoding")
    *axes, bar = drawn[0].axes
    maps = {
        axis.get_title(loc="center"): axis.images[0].get_array() for axis in axes if axis.images
    }
    assert [title.partition(", z")[0] for title in maps] == [one[:26] for one in labels]
    cat, _, evil = (np.ma.filled(one, 0) for one in maps.values())  # (y, x)
    peak = np.unravel_index(np.argmax(evil), evil.shape)
    assert evil[peak] == pytest.approx(2.0)  # 3 less the mean of the three, 1
    assert np.argwhere(evil > 1).tolist() == [list(peak)]
    assert cat.min() == pytest.approx(-1.0)
    assert bar.get_ylabel() == "% change"
