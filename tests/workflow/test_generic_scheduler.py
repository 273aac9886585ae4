"""A study on a scheduler that Snakemake knows only by its commands: a real Grid Engine."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from one_node_gridengine import call, cluster, missing

pytestmark = pytest.mark.long

PROFILE = ("--profile", "workflow/profiles/generic", "--latency-wait", "5")


@pytest.fixture(scope="module")
def grid_engine(tmp_path_factory):
    """A running Grid Engine, or skip with the reason."""
    if reason := missing():
        pytest.skip(reason)
    if find_spec("snakemake_executor_plugin_cluster_generic") is None:
        pytest.skip("no snakemake-executor-plugin-cluster-generic (pip install '.[generic]')")
    with cluster(tmp_path_factory.mktemp("gridengine") / "root"):
        yield


def jobs(*states: str) -> list[str]:
    """Return the numbers of the jobs that have not ended, or of those in some states."""
    lines = [line.split() for line in call("qstat").splitlines()[2:]]
    return [line[0] for line in lines if not states or line[4] in states]


def wait_for(what: Callable[[], object], run: subprocess.Popen[bytes]) -> object:
    """Return the first true answer; fail where Snakemake ends before."""
    while not (found := what()):
        assert run.poll() is None, "Snakemake ended early"
        time.sleep(0.1)
    return found


@contextmanager
def running(project):
    """Run Snakemake beside the test; what it says is in run.txt."""
    snakemake = str(Path(sys.executable).parent / "snakemake")
    with (project.root / "run.txt").open("w") as said:
        run = subprocess.Popen(
            [snakemake, "--configfile", "small.yaml", *PROFILE],
            cwd=project.root,
            env=project.environment,
            stdout=said,
            stderr=said,
        )
        try:
            yield run
        finally:
            run.kill()
            run.wait()


def test_a_study_with_a_deleted_job_ends_in_the_same_bytes(finished, grid_engine, tmp_path):
    project = finished.begun(tmp_path / "project", "*/of_gabor-*", "reports")
    fits = {"of_gabor": finished.raw["fits"]["of_gabor"]}
    project.write({**finished.raw, "fits": fits})
    with running(project) as run:
        [deleted] = wait_for(lambda: jobs("r"), run)
        call("qdel", deleted)
        run.wait(timeout=400)
    said = (project.root / "run.txt").read_text()
    assert run.returncode == 0, said
    # Both fits in one submission, which was deleted and came again; an evaluation; the report.
    numbers = re.findall("external jobid '(.+)'", said)
    assert len(numbers) == 4
    assert numbers[0] == deleted
    assert not jobs()
    for pattern in ("fits/of_gabor-*/sub-01", "fits/of_gabor-*/sub-02", "scores/of_gabor-*"):
        found, expected = (
            json.loads(next(one.root.glob(f"cache/{pattern}/manifest.json")).read_text())
            for one in (project, finished)
        )
        assert found["digest"] == expected["digest"]
    assert (project.root / "results/small/report.html").exists()
    assert not list(project.root.glob(".snakemake/generic/*.exit"))


def test_a_run_that_is_stopped_deletes_its_jobs(finished, grid_engine, tmp_path):
    project = finished.begun(tmp_path / "project", "*/of_gabor-*", "reports")
    with running(project) as run:
        wait_for(jobs, run)
        run.send_signal(signal.SIGINT)
        run.wait(timeout=60)
    deadline = time.monotonic() + 30
    while jobs():
        assert time.monotonic() < deadline
        time.sleep(0.1)
