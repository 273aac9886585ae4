"""A fit whose processes torchrun starts ends in the bytes of one that starts its own."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

TORCHRUN = (str(Path(sys.executable).parent / "torchrun"), "--standalone", "--nproc-per-node=2")
NETWORK = {"kind": "shared_trunk", "responses": "betas", "features": ["pixels"]}
NETWORK |= {"inner_splits": 2, "resamples": 1, "cv": {"n_splits": 2}, "training": {"epochs": 3}}


@pytest.fixture(scope="module")
def project(tmp_path_factory, finished):
    root = tmp_path_factory.mktemp("torchrun") / "project"
    found = finished.begun(root, "fits", "scores", "reports")
    compute = {"devices": 2, "device": "cpu"}
    found.write({**found.raw, "claims": [], "compute": compute, "fits": {"of_pixels": NETWORK}})
    found.snakemake("--until", "fit")
    return found


def test_torchrun_ends_in_the_same_bytes_and_leaves_nothing_to_do(project):
    (folder,) = (one.parent for one in project.root.glob("cache/fits/of_pixels-*/manifest.json"))
    alone = json.loads((folder / "manifest.json").read_text())
    shutil.rmtree(folder)
    project.call(*TORCHRUN, "-m", "fornix", "fit", "small.yaml", "of_pixels")
    together = json.loads((folder / "manifest.json").read_text())
    assert together["digest"] == alone["digest"]
    assert together["identity"] == alone["identity"]
    made = (folder / "manifest.json").stat().st_mtime_ns
    # It is there: the first process adopts it, and the second one learns so.
    project.call(*TORCHRUN, "-m", "fornix", "fit", "small.yaml", "of_pixels")
    assert (folder / "manifest.json").stat().st_mtime_ns == made
    assert "fit of_pixels" not in project.plan()


def test_another_number_of_processes_is_refused(project):
    call = [*TORCHRUN[:-1], "--nproc-per-node=1", "-m", "fornix", "fit", "small.yaml", "of_pixels"]
    done = project.call(*call, check=False)
    assert done.returncode
    assert "torchrun has started 1 processes, and the study says 2" in done.stderr
    assert "compute.devices" in done.stderr
