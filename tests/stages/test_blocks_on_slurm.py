"""Blocks of units that are fitted by jobs of a real Slurm end in the same bytes."""

from __future__ import annotations

import time

import numpy as np
import pytest
from fitting import trials, write_features, write_responses

from fornix.stages import fit
from fornix.stages.tasks import unit_blocks
from fornix.store.artifact import Target, open_artifact
from fornix.study.compute import Compute
from fornix.study.fits.ridge import RidgeFit
from one_node_slurm import ENDED, cluster, missing

pytestmark = pytest.mark.long
pytest.importorskip("dask_jobqueue", reason="no dask-jobqueue (pip install '.[cluster]')")

N_STIMULI, N_UNITS = 24, 2500
SECTION = RidgeFit(
    kind="ridge", responses="r", features=["f"], cv={"n_splits": 3}, inner_splits=3
)  # fmt: skip


@pytest.fixture
def slurm(tmp_path_factory):
    """Return a running Slurm, or skip with the reason."""
    if reason := missing():
        pytest.skip(reason)
    with cluster(tmp_path_factory.mktemp("slurm")) as found:
        yield found


def test_jobs_of_slurm_end_in_the_bytes_of_one_process(slurm, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    names = [f"s{i:02}" for i in range(N_STIMULI)]
    features = {"layer": rng.normal(size=(N_STIMULI, 8))}
    values = features["layer"] @ rng.normal(size=(8, N_UNITS)) + rng.normal(size=(24, N_UNITS))
    inputs = {
        "responses": write_responses(tmp_path / "responses", values, trials(names, ["1"] * 24)),
        "features/f": write_features(tmp_path / "features", features, names),
    }
    found = []
    for where in ("local", "slurm"):
        if where == "slurm":
            monkeypatch.setattr(unit_blocks, "_room", lambda _: 1e9)
            monkeypatch.setattr(unit_blocks, "_needs", lambda *_: (0.0, 8e5))
        target = Target(tmp_path / where)
        fit.run(SECTION, inputs, target, Compute(cluster=where), subject="01")
        found.append(open_artifact(target.path))
    assert found[0].digest == found[1].digest
    deadline = time.monotonic() + 20
    while any(job["JobState"] not in ENDED | {"COMPLETING"} for job in slurm.jobs()):
        assert time.monotonic() < deadline, slurm.jobs()
        time.sleep(0.2)
    assert [job["JobName"] for job in slurm.jobs()] == ["dask-worker"]
    assert "cpu=1,mem=4G" in slurm.jobs()[0]["TRES"]  # dask-jobqueue rounds up
