"""Figures of encoding: areas to scale, sensors where they are, brains only in standard space."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.integrate import quad

from fornix.evaluation.table import COLUMNS
from fornix.report.figures import brain, partition, regions, scatter, sensors
from fornix.report.material import Material


def with_rows(material, table):
    changed = Material(material.study, material.inputs)
    changed.scores = table
    return changed


def partitioned(material, values):
    """Return the study with a partition of R²: (region, space) -> share, and what is joint."""
    rows = []
    for (region, space), value in values.items():
        metric, target = ("r2", "joint") if space == "joint" else ("unique_r2", space)
        one = {"fit": "encoding", "subject": "01", "target": target, "unit": region}
        rows.append(one | {"metric": metric, "value": value, "session": "all", "n": 1})
    return with_rows(material, pd.DataFrame(rows).reindex(columns=list(COLUMNS)))


@pytest.mark.parametrize("areas", [(0.2, 0.1, 0.1), (0.05, 0.3, 0.2), (1, 1, 1e-3), (0.3, 0, 0.1)])
def test_areas_are_to_scale(areas):
    r, s, distance = partition.radii_and_distance(*areas)
    first, second, shared = areas
    assert np.pi * r**2 == pytest.approx(first + shared)
    assert np.pi * s**2 == pytest.approx(second + shared)

    def height(x):
        inside = r**2 - x**2, s**2 - (x - distance) ** 2
        return 2 * np.sqrt(max(0.0, min(inside)))

    edges = [max(-r, distance - s), min(r, distance + s)]
    assert quad(height, *edges, limit=400)[0] == pytest.approx(shared, rel=1e-3)


def test_circles_without_overlap_touch():
    r, s, distance = partition.radii_and_distance(0.2, 0.1, -0.01)
    assert distance == pytest.approx(r + s)


def test_shares_add_up_to_the_joint_r2(material):
    values = {("V1", "a"): 0.2, ("V1", "b"): 0.1, ("V1", "joint"): 0.35}
    values |= {("V2", "a"): 0.0, ("V2", "b"): 0.3, ("V2", "joint"): 0.25}
    table = partition.shares(partitioned(material, values), "encoding")
    assert table.loc["V1", "shared"] == pytest.approx(0.05)
    assert table.sum(axis=1).to_list() == pytest.approx([0.35, 0.25])
    (picture,) = partition.draw(partitioned(material, values), "encoding")
    assert "shared 0.050" in picture.alt


def test_three_spaces_are_bars(material):
    values = {("V1", name): 0.1 for name in "abc"} | {("V1", "joint"): 0.5}
    (picture,) = partition.draw(partitioned(material, values), "encoding")
    assert "more than one explain" in picture.caption
    assert partition.draw(material, "encoding") == []


def test_regions_stand_under_their_ceilings(material, monkeypatch):
    drawn = []
    monkeypatch.setattr(regions, "picture", lambda figure, *_, **__: drawn.append(figure))
    rows = material.rows("encoding", "pearson_r")
    regions.draw(material, rows, "shuffled")
    (axis,) = drawn[0].axes
    means = rows.groupby(["unit", "target"])["value"].mean().groupby("unit").max()
    heights = [bar.get_height() for bar in axis.patches if bar.get_width() < 1]
    assert sorted(heights) == pytest.approx(sorted(means))
    lines = [line.get_ydata()[0] for line in axis.lines if line.get_label() == "noise ceiling"]
    assert lines == pytest.approx([0.8, 0.8])


def test_one_region_needs_no_bars(material):
    rows = material.rows("encoding", "pearson_r")
    assert regions.draw(material, rows[rows["unit"] == "V1"], None) == []


def test_a_scatter_shows_the_best_unit(material, monkeypatch):
    drawn = []
    monkeypatch.setattr(scatter, "picture", lambda figure, *_, **__: drawn.append(figure))
    scatter.draw(material, "encoding", {"V1": "gabor/level1"})
    scores_of = material.artifact("scores/encoding").dataset("maps-01").load()
    inside = scores_of["roi"].values == "V1"
    r = np.where(inside, scores_of["pearson_r"].sel(target="gabor/level1"), -1)
    fitted = material.artifact("fit/encoding/01").dataset("predictions").isel(unit=int(r.argmax()))
    points = drawn[0].axes[0].lines[0]
    assert points.get_xdata() == pytest.approx(fitted["predicted"].sel(target="gabor/level1"))
    assert points.get_ydata() == pytest.approx(fitted["observed"])


def voxels(space):
    i, j, k = np.indices((6, 7, 6)).reshape(3, -1)
    table = pd.DataFrame({"subject": "01", "roi": "all", "value": 0.1, "i": i, "j": j, "k": k})
    affine = np.diag([24.0, 24.0, 24.0, 1.0])
    affine[:3, 3] = [-60, -90, -50]
    table.attrs = {"shape": [6, 7, 6], "affine": affine.tolist(), "space": space}
    return table


@pytest.mark.filterwarnings("ignore")  # nilearn's own, of surfaces outside the volume
def test_the_whole_brain_is_drawn_in_standard_space_only():
    titles = [one.title for one in brain.draw(voxels("MNI152NLin2009cAsym"))]
    surfaces = ["Inflated surface", "Flat surface"]
    assert titles == ["Glass brain", "Slices on the template", *surfaces]
    assert brain.draw(voxels("")) == []
    assert brain.draw(voxels("T1w")) == []


@pytest.fixture
def on_the_head(material, judged):
    """Return the study with sensors around a head, the best of them at the back at 0.1 s."""
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    names = [f"S{n}" for n in range(12)]
    times = np.repeat([[0.0, 0.1]], 12, axis=0)
    r = 0.05 + 0.4 * (np.arange(12)[:, None] == 9) * (times == 0.1)
    # On two circles: sensors of one circle have no triangles to interpolate in.
    radius = np.where(np.arange(12) % 2, 0.07, 0.05)
    place = {"x": radius * np.cos(angle), "y": radius * np.sin(angle), "z": np.full(12, 0.05)}
    coords = {f"channel_{axis}": ("unit", np.repeat(one, 2)) for axis, one in place.items()}
    coords |= {"channel": ("unit", np.repeat(np.array(names, dtype=object), 2))}
    coords |= {"time": ("unit", times.ravel()), "target": np.array(["gabor/level1"], dtype=object)}
    maps = xr.Dataset({"pearson_r": (("target", "unit"), r.reshape(1, -1))}, coords=coords)
    found = judged((0.0, 0.1), maps)
    return Material(material.study, {**material.inputs, "scores/encoding": found})


def test_sensors_are_where_they_are(on_the_head):
    table = sensors.scores(on_the_head, "encoding", "gabor/level1")
    best = table.loc[table["value"].idxmax()]
    assert best["channel"] == "S9"
    assert best["time"] == 0.1
    assert best["channel_y"] == pytest.approx(-0.07)
    rows = on_the_head.rows("encoding", "pearson_r")
    (picture,) = sensors.draw(on_the_head, "encoding", rows)
    assert "S9 at 0.100 s" in picture.alt


def test_a_topography_is_highest_at_its_sensor(on_the_head):
    from matplotlib import pyplot as plt

    table = sensors.scores(on_the_head, "encoding", "gabor/level1")
    figure, axis = plt.subplots()
    image = sensors._topography(axis, table[table["time"] == 0.1], 0.5)
    values = np.ma.filled(np.ma.masked_invalid(image.get_array()), -1)
    row, column = np.unravel_index(values.argmax(), values.shape)
    left, right, bottom, top = image.get_extent()
    x = left + (right - left) * column / values.shape[1]
    y = bottom + (top - bottom) * row / values.shape[0]
    assert abs(x) < 0.02
    assert y < -0.04
    plt.close(figure)


def test_sensors_above_chance_are_marked(on_the_head, monkeypatch):
    rows = on_the_head.rows("encoding", "pearson_r")
    assert "Dots" not in sensors.draw(on_the_head, "encoding", rows)[0].caption
    scores = on_the_head.artifact("scores/encoding")
    group = scores.dataset("maps-01").load()
    p = np.where((group["channel"].values == "S9") & (group["time"].values == 0.1), 0.01, 0.5)
    group = group.assign(p_corrected=(("target", "unit"), p[None]))
    drawn = []
    monkeypatch.setattr(type(scores), "dataset", lambda *_: group)
    monkeypatch.setitem(scores.manifest["parts"], "maps-group.zarr", {})
    monkeypatch.setattr(sensors, "_topography", lambda *given: drawn.append(given[1:]))
    monkeypatch.setattr(sensors, "colour_bar", lambda *_, **__: None)
    (picture,) = sensors.draw(on_the_head, "encoding", rows)
    assert "Dots: p < 0.05 over subjects" in picture.caption
    marked = {(one["time"].iloc[0], *one["channel"][mask]) for one, _, mask in drawn}
    assert marked == {(0.0,), (0.1, "S9")}


def test_the_sphere_of_sensors_is_found():
    random = np.random.default_rng(0)
    points = random.standard_normal((32, 3))
    points[:, 2] = np.abs(points[:, 2])  # a cap: only the upper half
    centre = np.array([0.0, 0.01, 0.04])
    points = centre + 0.09 * points / np.linalg.norm(points, axis=1, keepdims=True)
    assert sensors.sphere(points) == pytest.approx((*centre, 0.09))
    flat = np.column_stack([points[:, :2], np.full(32, 0.05)])
    assert sensors.sphere(flat)[:3] == (0.0, 0.0, 0.0)


def test_sensors_without_places_are_not_drawn(material):
    rows = material.rows("encoding", "pearson_r").assign(time=0.1)
    assert sensors.draw(material, "encoding", rows) == []
