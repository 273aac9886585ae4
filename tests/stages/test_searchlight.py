"""Searchlights: the region that knows is found, by every distance, and a control finds none."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from fitting import fit_and_score, text, trials, write, write_features
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from fornix.errors import FornixError
from fornix.study.fits.searchlight import SearchlightFit

N = 16
SHAPE = (9, 8, 5)
VOXELS = np.argwhere(np.ones(SHAPE))
CENTRE = np.array([2, 2, 2])
INSIDE = (np.abs(VOXELS - CENTRE) <= 1).all(1)
"""A cube of 27 voxels that answers to layer a."""
NEAR = (np.abs(VOXELS - CENTRE) <= 2).all(1)
FAR = (np.abs(VOXELS - CENTRE) > 4).any(1)
"""Voxels whose spheres have no voxel of the cube."""


def section(**changes):
    given = {"radius": 6.1, "distance": "euclidean", "brain_distance": "euclidean"} | changes
    return SearchlightFit(kind="searchlight", responses="bold", features=["content"], **given)


def write_volume(path, values, table, subject):
    coords = {name: ("sample", text(column)) for name, column in table.items()}
    coords |= {"unit": text(["-".join(map(str, one)) for one in VOXELS])}
    coords |= {axis: ("unit", VOXELS[:, k]) for k, axis in enumerate("ijk")}
    coords |= {axis: ("unit", 3.0 * VOXELS[:, k]) for k, axis in enumerate("xyz")}
    coords["roi"] = ("unit", text(np.where(VOXELS[:, 0] < 5, "front", "back")))
    attrs = {"subject": subject, "volume_shape": list(SHAPE), "space": "MNI152NLin2009cAsym"}
    attrs["affine"] = np.diag([3.0, 3.0, 3.0, 1.0]).tolist()
    data = {"responses": (("sample", "unit"), values.astype(np.float32))}
    return write(path, "responses", xr.Dataset(data, coords=coords, attrs=attrs), "unit")


def planted(folder, subjects=("01",), n_runs=3):
    rng = np.random.default_rng(0)
    layers = {name: rng.normal(size=(N, 5)) for name in ("a", "b")}
    stimuli = [f"im{i:02d}.png" for i in range(N)]
    responses, raw = {}, {}
    for subject in subjects:
        clean = np.zeros((N, len(VOXELS)))
        clean[:, INSIDE] = layers["a"] @ rng.normal(size=(5, 27)) / 5**0.5
        values = np.tile(clean, (n_runs, 1))
        values = values + rng.normal(size=values.shape)
        table = trials(stimuli * n_runs, np.repeat(range(n_runs), N))
        responses[subject] = write_volume(folder / "r" / subject, values, table, subject)
        raw[subject] = values.astype(np.float32).reshape(n_runs, N, -1).mean(0)
    return responses, {"content": write_features(folder / "f", layers, stimuli)}, layers, raw


@pytest.mark.parametrize("comparison", ["spearman", "whitened_cosine"])
@pytest.mark.parametrize("distance", ["euclidean", "correlation", "crossnobis"])
def test_the_cube_is_found_and_nothing_far_from_it(tmp_path, distance, comparison):
    responses, features, *_ = planted(tmp_path)
    one = section(brain_distance=distance, comparison=comparison)
    found, _ = fit_and_score(tmp_path, one, responses, features, correction="max")
    maps = found.dataset("maps-01").load()
    value = maps[one.metric].values[0]
    # A sphere around a neighbour of the cube has most of its voxels, too.
    assert NEAR[np.argsort(value)[-10:]].all()
    p = maps["p_corrected"].values
    assert (p[0, INSIDE] < 0.05).mean() > 0.9
    assert (p[0, FAR] > 0.01).all()
    assert (p[1] > 0.01).all()  # layer b drives nothing
    scores = found.table("scores").set_index(["target", "unit"])
    assert scores.loc[("content/a", "front"), "p"] == pytest.approx(1 / 201)
    assert scores.loc[("content/a", "back"), "p"] > 0.01


def test_scores_are_those_of_scipy_sphere_by_sphere(tmp_path):
    responses, features, layers, raw = planted(tmp_path)
    found, _ = fit_and_score(tmp_path, section(), responses, features, permutations=20)
    maps = found.dataset("maps-01").load()
    model = pdist(layers["a"].astype(np.float32))
    places = 3.0 * VOXELS
    values, size = maps["spearman_rho"].values[0], maps["n_voxels"].values
    for k in range(0, len(VOXELS), 7):
        members = np.linalg.norm(places - places[k], axis=1) <= 6.1
        assert size[k] == members.sum()
        assert values[k] == pytest.approx(
            spearmanr(pdist(raw["01"][:, members]), model)[0], abs=1e-6
        )
    rows = found.table("scores").set_index(["target", "unit"])
    back = maps["roi"].values.astype(object) == "back"
    assert rows.loc[("content/a", "back"), "value"] == pytest.approx(values[back].mean(), abs=1e-5)


@pytest.mark.parametrize("correction", ["cluster", "fdr"])
def test_clusters_and_false_discoveries_of_a_map(tmp_path, correction):
    responses, features, *_ = planted(tmp_path)
    found, _ = fit_and_score(tmp_path, section(), responses, features, correction=correction)
    p = found.dataset("maps-01").load()["p_corrected"].values
    assert (p[0, INSIDE] < 0.05).all()
    if correction == "cluster":
        assert len(set(p[0, INSIDE])) == 1
        assert (p[0, FAR] > 0.01).all()
        assert (p[1] > 0.01).all()
    else:
        # Of those that are called, 5 % are false on average.
        called = p[0] < 0.05
        assert (called & FAR).sum() <= 0.2 * called.sum()


def test_the_shuffled_control_finds_nothing(tmp_path):
    responses, features, *_ = planted(tmp_path)
    one = section(shuffle=True)
    found, _ = fit_and_score(tmp_path, one, responses, features, correction="max")
    maps = found.dataset("maps-01").load()
    assert (maps["p_corrected"].values > 0.01).all()
    assert (found.table("scores")["p"] > 0.005).all()


def test_small_spheres_have_no_score(tmp_path):
    responses, features, *_ = planted(tmp_path)
    one = section(n_voxels=26)
    found, _ = fit_and_score(tmp_path, one, responses, features, permutations=20)
    maps = found.dataset("maps-01").load()
    small = maps["n_voxels"].values < 26
    assert 0 < small.sum() < len(small)
    assert (np.isnan(maps["spearman_rho"].values[0]) == small).all()
    assert f"{small.sum()} of {len(small)} spheres" in " ".join(found.json("details.json")["notes"])


def test_without_permutations_there_are_scores_alone(tmp_path):
    responses, features, *_ = planted(tmp_path)
    one = section(comparison="cosine")
    found, _ = fit_and_score(tmp_path, one, responses, features, permutations=0)
    maps = found.dataset("maps-01").load()
    assert "p" not in maps
    assert np.isfinite(maps["cosine"].values).all()
    assert found.table("scores")["p"].isna().all()


def test_units_without_a_place_are_refused(tmp_path):
    from fitting import write_responses

    table = trials([f"im{i:02d}.png" for i in range(N)], ["1"] * N)
    path = write_responses(tmp_path / "r", np.zeros((N, 4)), table)
    _, features, *_ = planted(tmp_path / "p")
    with pytest.raises(FornixError, match="voxels with a place in mm"):
        fit_and_score(tmp_path, section(), {"01": path}, features)


def test_the_group_has_a_map_and_a_row_a_voxel(tmp_path):
    responses, features, *_ = planted(tmp_path, [f"{k:02d}" for k in range(1, 7)])
    found, _ = fit_and_score(
        tmp_path, section(), responses, features, correction="cluster", maps=True, permutations=63
    )
    table = found.table("units")
    assert len(table) == 2 * len(VOXELS)
    assert set(table["subject"]) == {"group"}
    p = table.set_index(["target", "unit"])["p_corrected"]
    maps = found.dataset("maps-group").load()
    names = ["-".join(map(str, one)) for one in VOXELS]
    assert (p["content/a"][names].to_numpy()[INSIDE] < 0.05).all()
    assert (p["content/b"] > 0.01).all()
    assert maps["p_corrected"].values.ravel() == pytest.approx(table["p_corrected"].to_numpy())
    each = [found.dataset(f"maps-{name}").load()["spearman_rho"].values for name in responses]
    assert maps["spearman_rho"].values == pytest.approx(np.mean(each, axis=0), abs=1e-6)
