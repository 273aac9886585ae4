"""Maps over subjects: what was planted is found, by every correction; a null map is flat."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from fornix.evaluation import over_maps
from fornix.evaluation.statistics.signs import sign_flip_test
from fornix.study.scores import Scores

VOXELS = np.argwhere(np.ones((6, 6, 5)))
CUBE = (VOXELS < 3).all(1)


def volume(values, chance=None, units=VOXELS, **attrs):
    """Return one subject's map of two targets: of what is given, and of noise in reverse."""
    names = np.array(["-".join(map(str, one)) for one in units], dtype=object)
    coords = {axis: ("unit", units[:, k]) for k, axis in enumerate("ijk")}
    coords |= {"unit": names, "target": np.array(["a", "b"], dtype=object)}
    coords["roi"] = ("unit", np.full(len(units), "brain", dtype=object))
    variables = {
        "spearman_rho": (("target", "unit"), values),
        "n_voxels": ("unit", np.ones(len(units))),
    }
    if chance is not None:
        variables["chance"] = (("target", "unit"), np.full(values.shape, chance))
    attrs = {"volume_shape": [6, 6, 5], "affine": np.eye(4).tolist(), "space": "MNI"} | attrs
    return xr.Dataset(variables, coords=coords, attrs=attrs)


def subjects(n=10, effect=1.5, offset=0.0, **attrs):
    rng = np.random.default_rng(0)
    found = {}
    for k in range(n):
        values = rng.standard_normal((2, len(VOXELS)))
        values[0, CUBE] += effect
        found[f"{k:02d}"] = volume(values + offset, offset or None, **attrs)
    return found


def judged(given, correction="none", **changes):
    notes: list[str] = []
    settings = {"permutations": 1000, "maps": True, "correction": correction} | changes
    return over_maps.group_map(given, Scores(**settings), notes, seed=0), notes


@pytest.mark.parametrize("correction", ["max", "fdr", "cluster"])
def test_a_cube_is_found_over_subjects_and_noise_is_not(correction):
    found, notes = judged(subjects(), correction)
    p = found["p_corrected"].values
    assert notes == []
    # Single voxels of ten subjects pass a correction for 360 tests less often than clusters do.
    assert (p[0, CUBE] < 0.05).mean() > (0.8 if correction == "cluster" else 0.3)
    outside = np.concatenate([p[0, ~CUBE], p[1]])
    # fdr lets 5 % of what it calls be false; a cluster can reach a voxel beyond the cube.
    assert (outside < 0.05).sum() <= {"max": 1, "fdr": 5, "cluster": 6}[correction]
    assert "corrected by" in found.attrs["how"]
    shuffled, _ = judged(subjects(effect=0.0), correction)
    assert (shuffled["p_corrected"].values > 0.01).all()


def test_t_and_p_are_those_of_sign_flips_whatever_the_chunks(monkeypatch):
    monkeypatch.setattr(over_maps, "CHUNK_BYTES", 30_000)
    maps = subjects(7)  # all 128 patterns of signs: no randomness
    found, _ = judged(maps, "max")
    value = np.stack([one["spearman_rho"].values for one in maps.values()])
    expected = sign_flip_test(value.reshape(7, -1), 1000, np.random.default_rng(0))
    assert found["t"].values.ravel() == pytest.approx(expected.t, rel=1e-5)
    assert found["p"].values.ravel() == pytest.approx(expected.p)
    assert found["p_corrected"].values.ravel() == pytest.approx(expected.p_max)
    assert found["spearman_rho"].values == pytest.approx(value.mean(0), abs=1e-6)


def test_chance_is_taken_off():
    plain, _ = judged(subjects(8))
    shifted, _ = judged(subjects(8, offset=0.7))
    assert shifted["p"].values == pytest.approx(plain["p"].values)
    assert shifted["spearman_rho"].values == pytest.approx(
        plain["spearman_rho"].values + 0.7, abs=1e-5
    )


def test_units_are_matched_by_name_and_gaps_have_no_p():
    maps = subjects(6)
    order = np.random.default_rng(1).permutation(len(VOXELS))[:-10]
    plain, _ = judged(maps)
    maps["03"] = maps["03"].isel(unit=order)
    found, _ = judged(maps)
    assert found.sizes["unit"] == len(VOXELS) - 10
    names = [str(one) for one in found["unit"].values]
    same = plain.isel(unit=[[str(u) for u in plain["unit"].values].index(n) for n in names])
    assert found["p"].values == pytest.approx(same["p"].values)
    maps["04"]["spearman_rho"].values[0, 5] = np.nan
    for correction in ("cluster", "max"):
        gap, _ = judged(maps, correction)
        at = [str(one) for one in gap["unit"].values].index(str(maps["04"]["unit"].values[5]))
        assert np.isnan(gap["p_corrected"].values[0, at])
        assert np.isfinite(gap["p_corrected"].values).sum() == gap["p"].size - 1


def test_the_table_has_a_row_a_unit():
    found, _ = judged(subjects(6), "cluster")
    table = over_maps.unit_table(found)
    assert len(table) == 2 * len(VOXELS)
    assert list(table.columns[:3]) == ["subject", "target", "unit"]
    row = table[(table["target"] == "b") & (table["unit"] == "1-2-3")].iloc[0]
    at = np.flatnonzero((VOXELS == [1, 2, 3]).all(1))[0]
    assert row["p_corrected"] == found["p_corrected"].values[1, at]
    assert (row["i"], row["j"], row["k"], row["n"]) == (1, 2, 3, 6)


def test_sensors_and_times_are_clusters_too():
    rng = np.random.default_rng(2)
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    radius = np.where(np.arange(12) % 2, 0.07, 0.05)
    places = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full(12, 0.05)], axis=1)
    times = np.arange(10) / 10
    late = times >= 0.6
    maps = {}
    for k in range(9):
        values = rng.standard_normal((12, 10))
        values[np.ix_(np.arange(12) < 5, late)] += 1.8
        coords = {
            "unit": np.array([f"S{c}@{t:.4f}" for c in range(12) for t in times], dtype=object),
            "channel": ("unit", np.repeat([f"S{c}" for c in range(12)], 10).astype(object)),
            "time": ("unit", np.tile(times, 12)),
            "target": np.array(["a"], dtype=object),
        }
        coords |= {
            f"channel_{a}": ("unit", np.repeat(places[:, i], 10)) for i, a in enumerate("xyz")
        }
        data = {"pearson_r": (("target", "unit"), values.reshape(1, -1))}
        maps[f"{k:02d}"] = xr.Dataset(data, coords=coords)
    found, notes = judged(maps, "cluster")
    p = found["p_corrected"].values.reshape(12, 10)
    assert (p[:5, late] < 0.02).all()
    assert (p[:, times < 0.4] > 0.05).all()
    assert notes == []
    assert {"channel", "time"} <= set(over_maps.unit_table(found).columns)


def test_what_cannot_be_compared_is_said():
    assert judged(subjects(5))[0] is None
    assert "too few" in judged(subjects(5))[1][0]
    maps = subjects(6)
    maps["02"].attrs["affine"] = (2 * np.eye(4)).tolist()
    assert "different grids" in judged(maps)[1][0]
    found, notes = judged(subjects(6, space=""))
    assert found is not None
    assert "no standard space" in notes[0]
    assert judged(subjects(6), maps=False) == (None, [])
    with pytest.raises(ValueError, match="flips of signs"):
        Scores(maps=True, permutations=0)
