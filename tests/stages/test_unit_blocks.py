"""Fits that memory doesn't hold are made block by block of units, and end in the same bytes."""

from __future__ import annotations

import sys

import dask.array as da
import numpy as np
import pytest
from fitting import trials, write_features, write_responses
from safetensors.numpy import load_file, save_file

from fornix.errors import FornixError
from fornix.stages import fit
from fornix.stages.tasks import unit_blocks, workers
from fornix.stages.tasks.unit_blocks import BLOCK, Request, plan_blocks
from fornix.stages.tasks.workers import share_of
from fornix.store.artifact import Target, open_artifact
from fornix.store.tensors import save_tensors
from fornix.study.compute import Compute
from fornix.study.fits.banded_ridge import BandedRidgeFit
from fornix.study.fits.elastic_net import ElasticNetFit
from fornix.study.fits.ridge import RidgeFit
from fornix.study.fits.stacked import StackedFit

N_STIMULI, N_RUNS, N_UNITS = 24, 2, 3500
N_ROWS = N_STIMULI * N_RUNS
AMPLE = 4000
BASE = {"responses": "r", "features": ["f"], "cv": {"n_splits": 3}, "inner_splits": 3}
SECTIONS = {
    "ridge": RidgeFit(kind="ridge", joint=True, **BASE),
    "shuffled": RidgeFit(kind="ridge", shuffle=True, **BASE),
    "repeats": RidgeFit(kind="ridge", average_repeats=False, **BASE),
    "banded": BandedRidgeFit(kind="banded_ridge", joint=True, n_candidates=4, n_steps=1, **BASE),
    "kernels": BandedRidgeFit(kind="banded_ridge", kernel="gaussian", n_candidates=3, **BASE),
    "stacked": StackedFit(kind="stacked", joint=True, **BASE),
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Responses of 3,500 units to two layers: one with more features than samples, one constant."""
    folder = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    names = [f"s{i:02}" for i in range(N_STIMULI)]
    layers = {"narrow": rng.normal(size=(N_STIMULI, 8)), "wide": rng.normal(size=(N_STIMULI, 60))}
    table = trials(names * N_RUNS, np.repeat([str(i) for i in range(N_RUNS)], N_STIMULI))
    truth = layers["narrow"] @ rng.normal(size=(8, N_UNITS))
    values = np.tile(truth, (N_RUNS, 1)) + rng.normal(size=(len(table), N_UNITS))
    values[:, 7] = 1.0
    regions = np.where(np.arange(N_UNITS) % 3, "early", "")
    return {
        "responses": write_responses(folder / "responses", values, table, rois=regions),
        "features/f": write_features(folder / "features", layers, names),
    }


def request_of(section, inputs, memory_mb):
    features = {"f": inputs["features/f"]}
    return Request(section, "01", 0, inputs["responses"], features, Compute(memory_mb=memory_mb))


def memory_for(section, inputs, n_blocks=2):
    """Return a memory in which a block of so many times 1,024 units has room, and no more, MB."""
    fixed, each = unit_blocks._needs(request_of(section, inputs, AMPLE), N_ROWS)
    found = int((fixed + each * BLOCK * (n_blocks + 0.5)) / 0.75e6)
    return found + 1


@pytest.mark.parametrize("name", SECTIONS)
def test_blocks_end_in_the_bytes_of_the_whole(name, inputs, tmp_path):
    section = SECTIONS[name]
    tight = memory_for(section, inputs, 1)
    blocks = plan_blocks(request_of(section, inputs, tight))
    assert len(blocks) > 1
    assert all(start % BLOCK == 0 for start, _ in blocks)
    assert plan_blocks(request_of(section, inputs, AMPLE)) == []
    found = []
    for memory in (AMPLE, tight):
        target = Target(tmp_path / str(memory))
        fit.run(section, inputs, target, Compute(memory_mb=memory), subject="01")
        found.append(open_artifact(target.path))
    whole, blocked = found
    assert blocked.manifest["parts"] == whole.manifest["parts"]
    assert blocked.digest == whole.digest
    assert not list(blocked.path.glob(".scratch"))
    blocked.verify()


def test_a_killed_fit_goes_on_at_the_block_that_it_was_at(inputs, tmp_path, monkeypatch):
    section = SECTIONS["ridge"]
    tight = Compute(memory_mb=memory_for(section, inputs, 1))
    blocks = plan_blocks(request_of(section, inputs, tight.memory_mb))
    fitted = []

    def fit_until(limit):
        def once(given, job):
            if len(fitted) == limit:
                raise KeyboardInterrupt
            fitted.append(job.responses.sizes["unit"])
            return whole(given, job)

        return once

    whole, target = unit_blocks.encoding.fit, Target(tmp_path / "fit")
    monkeypatch.setattr(unit_blocks.encoding, "fit", fit_until(1))
    with pytest.raises(KeyboardInterrupt):
        fit.run(section, inputs, target, tight, subject="01")
    monkeypatch.setattr(unit_blocks.encoding, "fit", fit_until(len(blocks)))
    fit.run(section, inputs, target, tight, subject="01")
    assert fitted == [stop - start for start, stop in blocks]


def test_what_has_room_or_treats_units_together_is_left_whole(inputs):
    little = SECTIONS["ridge"]
    memory = memory_for(little, inputs, N_UNITS / BLOCK)
    assert plan_blocks(request_of(little, inputs, memory)) == []
    together = ElasticNetFit(kind="elastic_net", **BASE)
    assert plan_blocks(request_of(together, inputs, 500)) == []


def test_memory_that_holds_no_block_is_told_with_what_would_do(inputs, tmp_path):
    section = SECTIONS["ridge"]
    with pytest.raises(FornixError, match="a block of 1024 units still") as told:
        fit.run(section, inputs, Target(tmp_path / "fit"), Compute(memory_mb=500), subject="01")
    enough = int(told.value.mend.split("memory_mb to ")[1].split()[0])
    assert plan_blocks(request_of(section, inputs, enough))[0] == (0, BLOCK)
    assert not list(tmp_path.glob(".fit.partial"))


@pytest.mark.parametrize("width", [1, 7, 16])
def test_weights_written_piece_by_piece_are_a_safetensors_file(width, tmp_path):
    rng = np.random.default_rng(0)
    shapes = {"b/é/coef": (5, 16), "b/é/intercept": (16,), "a/coef": (2, 3, 16)}
    whole = {k: rng.normal(size=shape).astype(np.float32) for k, shape in shapes.items()}
    lazy = {k: da.from_array(v, chunks=(*v.shape[:-1], width)) for k, v in whole.items()}
    save_file(whole, tmp_path / "whole.safetensors")
    save_tensors(lazy, tmp_path / "pieces.safetensors")
    read = load_file(tmp_path / "pieces.safetensors")
    assert all(np.array_equal(read[key], whole[key]) for key in whole)
    bytes_of = [(tmp_path / f"{one}.safetensors").read_bytes() for one in ("whole", "pieces")]
    assert bytes_of[0] == bytes_of[1]


@pytest.fixture
def cramped(inputs, monkeypatch):
    """Whoever fits has room for one block, and the whole has none."""
    fixed, each = unit_blocks._needs(request_of(SECTIONS["ridge"], inputs, AMPLE), N_ROWS)
    monkeypatch.setattr(unit_blocks, "_room", lambda _: fixed + 1.5 * each * BLOCK)


def test_processes_of_this_machine_end_in_the_same_bytes(inputs, tmp_path, monkeypatch, cramped):
    pytest.importorskip("distributed", reason="no dask cluster (pip install '.[cluster]')")
    found, addresses, clusters = [], [], workers._cluster

    def cluster(*given):
        one, tend = clusters(*given)
        addresses.append(one.scheduler_address)
        return one, tend

    monkeypatch.setattr(workers, "_cluster", cluster)
    for count in (1, 2):
        target = Target(tmp_path / str(count))
        resources = Compute(cluster_workers=count)
        fit.run(SECTIONS["ridge"], inputs, target, resources, subject="01")
        found.append(open_artifact(target.path))
    [address] = addresses
    assert address.startswith("tls://127.0.0.1:")
    monkeypatch.undo()
    target = Target(tmp_path / "whole")
    fit.run(SECTIONS["ridge"], inputs, target, Compute(), subject="01")
    assert {one.digest for one in found} == {open_artifact(target.path).digest}


def test_what_is_wrong_in_a_worker_is_told_as_if_it_were_here(inputs, tmp_path, cramped):
    pytest.importorskip("distributed", reason="no dask cluster (pip install '.[cluster]')")
    section = SECTIONS["stacked"].model_copy(update={"inner_splits": 2})
    with pytest.raises(FornixError, match="fewer than three folds") as told:
        fit.run(section, inputs, Target(tmp_path / "a"), Compute(cluster_workers=2), subject="01")
    assert told.value.where == "stacked regression"
    assert not list(tmp_path.glob(".a.partial"))


def test_workers_that_cannot_be_had_are_told(inputs, tmp_path, monkeypatch, cramped):
    with pytest.raises(FornixError, match="compute on the processor"):
        share_of(Compute(device="cuda", cluster_workers=2))
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    shared = Compute(cluster="slurm")
    with pytest.raises(FornixError, match="cluster isn't installed"):
        fit.run(SECTIONS["ridge"], inputs, Target(tmp_path / "a"), shared, subject="01")
