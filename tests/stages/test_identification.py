"""Identification through both stages: planted regions are found, exchanged ones aren't."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from fitting import fit_and_score, text, trials, write, write_responses
from scipy.spatial.distance import pdist, squareform

from fornix.errors import FornixError
from fornix.evaluation.identification import identify, transforms
from fornix.evaluation.transforms import geotopological, unit_interval_ranks
from fornix.report.figures.identification import classical_scaling, grid
from fornix.study.fits.identification import IdentificationFit, regime

N, REGIONS = 20, ["A", "B", "C", "D"]


def section(**changes):
    given = {"quantiles": [0.0, 0.5, 1.0], "bootstrap": {"n_draws": 100}} | changes
    return IdentificationFit(kind="identification", responses="bold", **given)


def people(folder, subjects=5, noise=1.0, regions=REGIONS):
    rng = np.random.default_rng(0)
    stimuli = [f"im{i:02d}.png" for i in range(N)]
    points = {name: rng.normal(size=(N, 6)) for name in regions}
    responses = {}
    for k in range(subjects):
        one = np.hstack([points[name] @ rng.normal(size=(6, 30)) / 2.4 for name in regions])
        values = np.tile(one, (3, 1)) + noise * rng.normal(size=(3 * N, 30 * len(regions)))
        table = trials(stimuli * 3, np.repeat(range(3), N))
        path = folder / f"r{k}"
        rois = np.repeat(regions, 30)
        responses[f"{k:02d}"] = write_responses(path, values, table, rois, f"{k:02d}")
    return responses


def group(scores, target="rank"):
    rows = scores[(scores["subject"] == "group") & (scores["target"] == target)]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.mark.parametrize("distance", ["correlation", "crossnobis"])
def test_planted_regions_are_identified(tmp_path, distance):
    one = section(brain_distance=distance)
    found, _ = fit_and_score(tmp_path, one, people(tmp_path))
    scores = found.table("scores")
    for target in ("rank", "geometry", "topology", "l0-u0.5", "l0.5-u0.5"):
        row = group(scores, target)
        assert row["value"] > 0.8
        assert row["chance"] == 0.25
        assert row["p"] == pytest.approx(1 / 201)
    intervals = found.table("bootstrap").set_index("target")
    assert (intervals["low"] <= intervals["value"]).all()
    assert set(intervals["over"]) == {"both"}
    pairs = found.table("differences").set_index(["target", "other"])
    assert pairs.loc[("rank", "topology"), "p"] > 0.001
    counts = np.array(found.json("details.json")["confusion"]["counts"])
    assert np.trace(counts) == round(group(scores)["value"] * 20)


def test_exchanged_regions_are_at_chance(tmp_path):
    one = section(shuffle=True, bootstrap={"over": "none"})
    found, _ = fit_and_score(tmp_path, one, people(tmp_path, subjects=8))
    assert group(found.table("scores"))["p"] > 0.02
    assert "bootstrap.parquet" not in found.manifest["parts"]


def sessions(folder, subjects=4):
    rng = np.random.default_rng(0)
    ids = text([f"im{i}" for i in range(N)])
    found = {}
    for k in range(subjects):
        own = pdist(rng.normal(size=(N, 4)))
        both = [squareform(own + 0.2 * rng.random(own.shape)) for _ in range(2)]
        coords = {"session": text([1, 2]), "stimulus": ids, "stimulus_2": ids}
        rdms = xr.Dataset({"rdm": (("session", "stimulus", "stimulus_2"), both)}, coords=coords)
        found[f"{k:02d}"] = write(folder / f"r{k}", "responses", rdms, "stimulus")
    return found


def test_people_are_identified_across_sessions(tmp_path):
    found, _ = fit_and_score(tmp_path, section(what="subjects"), sessions(tmp_path))
    scores = found.table("scores")
    assert group(scores)["value"] == 1
    assert sorted(set(scores["session"])) == ["1", "2", "all"]
    one = section(what="subjects", shuffle=True, bootstrap={"over": "none"})
    control, _ = fit_and_score(tmp_path / "control", one, sessions(tmp_path / "again"))
    assert group(control.table("scores"))["p"] > 0.02


@pytest.mark.parametrize(
    ("subjects", "regions", "message"),
    [(1, REGIONS, "one subject only"), (3, ["A"], "one region only")],
)
def test_what_cannot_be_told_apart_is_an_error(tmp_path, subjects, regions, message):
    with pytest.raises(FornixError, match=message):
        fit_and_score(tmp_path, section(), people(tmp_path, subjects, regions=regions))


def test_transforms_are_those_of_rsa():
    rdms = np.random.default_rng(0).random((2, 3, 45))
    cells = [(0.2, 0.7), (0.5, 0.5)]
    found = transforms(rdms, cells)
    flat = rdms.reshape(6, 45).T
    expected = [unit_interval_ranks(flat), *(geotopological(flat, *cell) for cell in cells)]
    for one, other in zip(found.reshape(3, 6, 45), expected, strict=True):
        centred = (other - other.mean(0)).T
        assert np.allclose(one, centred / np.linalg.norm(centred, axis=1)[:, None], atol=1e-5)


def test_identification_is_that_of_the_nearest_mean_step_by_step():
    rng = np.random.default_rng(0)
    matrices = transforms(rng.random((5, 4, 66)), [(0.0, 0.5)])
    copies = np.array([2, 1, 0, 1, 1])
    found = identify(matrices, copies)
    for t, one in enumerate(matrices.astype(float)):
        for g in range(5):
            weights = np.where(np.arange(5) == g, 0, copies)
            centroids = np.einsum("o,ocp->cp", weights, one)
            r = np.corrcoef(one[g], centroids)[:4, 4:]
            assert np.array_equal(found[t, g], r.argmax(1))


def test_regimes_are_the_papers():
    named = {(0, 1): "geometry", (0.1, 0.9): "geometry", (0.4, 0.6): "topology",
             (0.5, 0.5): "topology", (0, 0.3): "local", (0.5, 1): "global",
             (0.2, 0.8): "intermediate"}  # fmt: skip
    assert {cell: regime(*cell) for cell in named} == named
    assert "l0-u0" not in section().cells()
    assert "l1-u1" not in section().cells()
    with pytest.raises(ValueError, match="quantiles must rise"):
        section(quantiles=[0.5, 0.2])


def test_the_heat_map_has_a_cell_for_each_transform():
    one = section()
    found = grid(one, {name: k for k, name in enumerate(one.cells())})
    assert np.isfinite(found).sum() == len(one.cells())
    assert np.isnan(found[0, 1])  # an upper bound below the lower one


def test_scaling_keeps_distances():
    X = np.random.default_rng(0).normal(size=(6, 2))
    assert np.allclose(pdist(classical_scaling(squareform(pdist(X)))), pdist(X))
