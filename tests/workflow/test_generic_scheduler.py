"""A study on a scheduler that Snakemake knows only by its commands: a real Grid Engine."""

from __future__ import annotations

import re
import signal
from importlib.util import find_spec

import pytest

from one_node_gridengine import call, cluster, missing
from waiting import wait_for

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


def test_a_study_with_a_deleted_job_ends_in_the_same_bytes(finished, grid_engine, tmp_path):
    project = finished.begun(tmp_path / "project", "*/of_gabor-*", "reports")
    fits = {"of_gabor": finished.raw["fits"]["of_gabor"]}
    project.write({**finished.raw, "fits": fits})
    with project.running(*PROFILE):
        [deleted] = wait_for(lambda: jobs("r"))
        call("qdel", deleted)
    said = (project.root / "run.txt").read_text()
    # Both fits in one submission, which was deleted and came again; an evaluation; the report.
    numbers = re.findall("external jobid '(.+)'", said)
    assert len(numbers) == 4
    assert numbers[0] == deleted
    assert not jobs()
    for pattern in ("fits/of_gabor-*/sub-01", "fits/of_gabor-*/sub-02", "scores/of_gabor-*"):
        assert project.digest(pattern) == finished.digest(pattern)
    assert (project.root / "results/small/report.html").exists()
    assert not list(project.root.glob(".snakemake/generic/*.exit"))


def test_a_run_that_is_stopped_deletes_its_jobs(finished, grid_engine, tmp_path):
    project = finished.begun(tmp_path / "project", "*/of_gabor-*", "reports")
    with project.running(*PROFILE, succeeds=False) as run:
        wait_for(jobs)
        run.send_signal(signal.SIGINT)
    wait_for(lambda: not jobs(), 30)
