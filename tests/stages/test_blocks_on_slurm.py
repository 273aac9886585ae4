"""Blocks of units that are fitted by jobs of a real Slurm end in the same bytes."""

from __future__ import annotations

import threading
import time

import dask
import numpy as np
import pytest
from fitting import trials, write_features, write_responses

from fornix.errors import FornixError
from fornix.stages import fit
from fornix.stages.tasks import slurm_workers, unit_blocks
from fornix.store.artifact import Target, open_artifact
from fornix.study.compute import Compute
from fornix.study.fits.ridge import RidgeFit
from one_node_slurm import ENDED, cluster, missing
from waiting import wait_for

pytestmark = pytest.mark.long
pytest.importorskip("dask_jobqueue", reason="no dask-jobqueue (pip install '.[cluster]')")

N_STIMULI = 24
SECTION = RidgeFit(
    kind="ridge", responses="r", features=["f"], cv={"n_splits": 3}, inner_splits=3
)  # fmt: skip


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Return a running Slurm, or skip with the reason."""
    if reason := missing():
        pytest.skip(reason)
    with cluster(tmp_path_factory.mktemp("slurm")) as found:
        yield found


def inputs_of(folder, n_units):
    """Write responses of some units, and the features they follow."""
    rng = np.random.default_rng(0)
    names = [f"s{i:02}" for i in range(N_STIMULI)]
    features = {"layer": rng.normal(size=(N_STIMULI, 8))}
    values = features["layer"] @ rng.normal(size=(8, n_units))
    values += rng.normal(size=values.shape)
    return {
        "responses": write_responses(folder / "responses", values, trials(names, ["1"] * 24)),
        "features/f": write_features(folder / "features", features, names),
    }


def fitted(inputs, path, where):
    """Return the artifact of a fit that is made in this process or by jobs of Slurm."""
    fit.run(SECTION, inputs, Target(path), Compute(cluster=where), subject="01")
    return open_artifact(path)


@pytest.fixture
def cramped(monkeypatch):
    """There is room for one block of units."""
    monkeypatch.setattr(unit_blocks, "_room", lambda _: 1e9)
    monkeypatch.setattr(unit_blocks, "_needs", lambda *_: (0.0, 8e5))


@pytest.fixture
def watchful(monkeypatch):
    """A lost job is missed at once."""
    monkeypatch.setattr(slurm_workers, "LOOK_S", 1.0)
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "500ms"}):
        yield


def ended(slurm):
    """Return the jobs so far, once none of them is left."""
    wait_for(lambda: all(job["JobState"] in ENDED for job in slurm.jobs()), 20)
    return slurm.jobs()


def test_jobs_end_in_the_bytes_of_one_process(slurm, tmp_path, cramped):
    inputs = inputs_of(tmp_path, 2500)
    before = len(slurm.jobs())
    by_slurm = fitted(inputs, tmp_path / "slurm", "slurm")
    assert by_slurm.digest == fitted(inputs, tmp_path / "local", "local").digest
    (job,) = ended(slurm)[before:]
    assert job["JobName"] == "dask-worker"
    assert "cpu=1,mem=4G" in job["TRES"]  # dask-jobqueue rounds up


def test_jobs_that_end_before_the_work_does_are_submitted_again(slurm, tmp_path, cramped, watchful):
    """One before its process has begun, one in the middle."""
    inputs = inputs_of(tmp_path, 24_000)
    before = len(slurm.jobs())

    def cancel(number, when):
        while len(jobs := slurm.jobs()[before:]) <= number or jobs[number]["JobState"] != "RUNNING":
            time.sleep(0.05)
        while not when():
            time.sleep(0.05)
        slurm.call("scancel", "--signal=KILL", jobs[number]["JobId"])  # a TERM ends it in 5 s

    def kills():
        cancel(0, lambda: True)
        cancel(1, lambda: any(tmp_path.rglob("units-*")))

    killer = threading.Thread(target=kills, daemon=True)
    killer.start()
    by_slurm = fitted(inputs, tmp_path / "slurm", "slurm")
    killer.join()
    assert by_slurm.digest == fitted(inputs, tmp_path / "local", "local").digest
    states = [job["JobState"] for job in ended(slurm)[before:]]
    assert states[:2] == ["CANCELLED", "CANCELLED"]
    assert len(states) == 3


def test_jobs_that_never_begin_are_told(slurm, tmp_path, cramped, watchful):
    inputs = inputs_of(tmp_path, 2500)
    before = len(slurm.jobs())
    with (
        dask.config.set({"jobqueue.slurm.python": "/nowhere/python"}),
        pytest.raises(FornixError, match=r"before they had begun, 3 times (?s:.*)/nowhere/python"),
    ):
        fitted(inputs, tmp_path / "slurm", "slurm")
    assert len(ended(slurm)[before:]) == 3


def test_jobs_that_slurm_does_not_take_are_told(slurm, tmp_path, cramped):
    inputs = inputs_of(tmp_path, 2500)
    with (
        dask.config.set({"jobqueue.slurm.queue": "nowhere"}),
        pytest.raises(FornixError, match=r"took no job .*invalid partition"),
    ):
        fitted(inputs, tmp_path / "slurm", "slurm")
