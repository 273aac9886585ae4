"""Evaluations go by blocks of units: the same scores whatever the blocks, and little is read."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from xarray.backends.zarr import ZarrArrayWrapper

from fornix.evaluation import blocks, held_out
from fornix.evaluation.encoding import evaluate
from fornix.evaluation.unique import JOINT
from fornix.store.artifact import Recipe, Target, create, open_artifact
from fornix.study.fits.ridge import RidgeFit
from fornix.study.scores import Evaluation, Scores
from fornix.training.samples import plain_text

RIDGE = RidgeFit(kind="ridge", responses="bold", features=["net"])
N, UNITS, REPEATS, FEW = 60, 60, 2, 25


def coordinates(rng, targets, **more):
    regions = rng.choice(["V1", "hV4", "IT", ""], UNITS).astype(object)
    units = np.array([f"v{i}" for i in range(UNITS)], dtype=object)
    return {"target": targets, "unit": units, "roi": ("unit", regions), **more}


def cubes(rng, targets, observed, **parts):
    predicted = [observed * rng.random() + rng.normal(size=observed.shape) for _ in targets]
    found = {
        "predicted": (("target", "sample", "unit"), np.float32(predicted)),
        "observed": (("sample", "unit"), np.float32(observed)),
    }
    return found | {
        name: (("space", "sample", "unit"), np.float32(one)) for name, one in parts.items()
    }


def pictures(seed):
    """Return a fit of trials, of two spaces of features, and its single samples."""
    rng = np.random.default_rng(seed)
    stimuli = np.array([f"im{i:02}" for i in range(N)], dtype=object)
    single = rng.normal(size=(N, UNITS)) + rng.normal(size=(REPEATS, N, UNITS))
    single[:, :, 7] = 1.0
    targets = ["net/a", "net/b", JOINT, f"{JOINT}-a", f"{JOINT}-b"]
    sample = {"fold": np.arange(N) % 4, "stimulus": stimuli, "group": stimuli}
    sample["n_repeats"] = np.full(N, REPEATS)
    coords = coordinates(rng, targets, **{k: ("sample", v) for k, v in sample.items()})
    coords |= {"space": ["a", "b"], "time": ("unit", np.arange(UNITS) // 5 % 2 / 10)}
    observed = single.mean(0)
    data = cubes(rng, targets, observed, part=[observed / 3, rng.normal(size=observed.shape)])
    samples = single.reshape(-1, UNITS).astype(np.float32), np.tile(stimuli, REPEATS)
    return xr.Dataset(data, coords, {"spaces": json.dumps(["a", "b"])}), samples


def film(seed):
    """Return a fit of volumes, which all subjects share."""
    rng = np.random.default_rng(seed)
    common = np.random.default_rng(99).normal(size=(N, UNITS))
    targets = ["net/a", "net/b", "net/a@2", "net/a@4"]
    run = np.repeat(["1", "2"], N // 2).astype(object)
    group = np.repeat([f"g{i}" for i in range(6)], N // 6).astype(object)
    sample = {"fold": np.repeat(np.arange(6), N // 6), "group": group, "run": run, "recording": run}
    sample |= {"onset": np.tile(np.arange(N // 2) * 2.0, 2), "n_repeats": np.ones(N, int)}
    sample |= dict.fromkeys(("stimulus", "session"), np.full(N, "", dtype=object))
    coords = coordinates(
        np.random.default_rng(98), targets, **{k: ("sample", v) for k, v in sample.items()}
    )
    lags = {f"net/a@{delay}": ["net/a", float(delay)] for delay in (2, 4)}
    attrs = {"spaces": "[]", "samples": "volumes", "lags": json.dumps(lags)}
    data = cubes(rng, targets, common + rng.normal(size=common.shape))
    return xr.Dataset(data, coords, attrs), None


WORLDS = {
    "pictures": (
        pictures,
        {"windows": {"early": (0.0, 0.05), "all": (0.0, 0.2)}, "ceiling": "split_half"},
    ),
    "film": (film, {"ceiling": "subjects"}),
}


@pytest.fixture(scope="module", params=WORLDS)
def world(request, tmp_path_factory):
    """Return fits that are stored, single samples, and settings."""
    folder = tmp_path_factory.mktemp(request.param)
    make, settings = WORLDS[request.param]
    fits, samples = {}, {}
    for seed, name in enumerate(("01", "02")):
        fit, samples[name] = make(seed)
        with create(Target(folder / name), Recipe("fit", {}, {})) as draft:
            draft.write_dataset("predictions", fit, along="unit")
        fits[name] = folder / name
    return fits, samples, settings


def judged(world, **more):
    """Return the score table and the maps of stored fits."""
    paths, samples, settings = world
    fits = {
        name: plain_text(open_artifact(path).dataset("predictions")) for name, path in paths.items()
    }
    scores = Scores(permutations=20, compare=[("net/a", "net/b")], bootstrap=5, correction="max")
    scores = scores.model_copy(update=settings | more)
    found = evaluate(Evaluation(fit=RIDGE, scores=scores), fits, samples.__getitem__, seed=0)
    return pd.DataFrame(found.rows), found.maps


def test_scores_are_the_same_whatever_the_blocks(world, monkeypatch):
    rows, maps = judged(world)
    monkeypatch.setattr(blocks, "LEAST", FEW)
    monkeypatch.setattr(blocks, "MOST", FEW)
    monkeypatch.setattr(held_out, "AT_ONCE", 0)
    cut, cut_maps = judged(world)
    assert {"pearson_r", "r2", "difference_r"} < set(rows["metric"])
    assert {"unique_r", "split_r", "window_r"} < set(rows["metric"]) or "isc" in set(rows["metric"])
    assert rows["value"].notna().all()
    pd.testing.assert_frame_equal(rows, cut, rtol=1e-9, atol=1e-12)
    for name, one in maps.items():
        xr.testing.assert_allclose(one, cut_maps[name])


def test_a_large_fit_is_never_read_whole(world, monkeypatch):
    monkeypatch.setattr(blocks, "LEAST", FEW)
    monkeypatch.setattr(blocks, "MOST", FEW)
    monkeypatch.setattr(held_out, "AT_ONCE", 0)
    sizes, read = [], ZarrArrayWrapper.__getitem__

    def counted(array, key):
        found = read(array, key)
        sizes.append(np.size(found))
        return found

    monkeypatch.setattr(ZarrArrayWrapper, "__getitem__", counted)
    judged(world, ceiling=False)
    assert N * FEW in sizes
    assert max(sizes) <= 2 * N * FEW < N * UNITS  # two spaces of one block


def test_cuts_hold_every_unit_of_every_place_once_and_in_order(monkeypatch):
    monkeypatch.setattr(blocks, "LEAST", 4)
    monkeypatch.setattr(blocks, "MOST", 4)
    units = [np.array([5, 1, 9]), np.array([], dtype=int), np.arange(20, 29), np.array([1])]
    places = [(f"r{k}", np.nan, some) for k, some in enumerate(units)]
    found = {k: [] for k in range(len(places))}
    for cut in blocks.cuts(places, 10):
        assert len(cut.units) <= 4
        assert sum(columns.stop - columns.start for _, columns in cut.pieces) == len(cut.units)
        for place, columns in cut.pieces:
            found[place] += cut.units[columns].tolist()
    assert [found[k] for k in found] == [some.tolist() for some in units]
    assert list(blocks.cuts([], 10)) == []
    assert list(blocks.cuts(places[1:2], 10)) == []


def test_blocks_shrink_as_samples_grow():
    assert blocks.block_size(100) == blocks.MOST
    assert blocks.block_size(10_000) == 256
    assert blocks.block_size(10**7) == blocks.LEAST
