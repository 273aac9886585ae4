"""A run that is killed at any moment loses nothing finished and ends in the same bytes."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("finished")]

KILLS = 3


def _run_and_kill(project, after_s: float) -> bool:
    """Start a run and kill it with all its jobs; return whether it had ended by itself."""
    call = [str(Path(sys.executable).parent / "snakemake"), "--cores", "2"]
    run = subprocess.Popen(
        [*call, "--configfile", "small.yaml"],
        cwd=project.root,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        run.wait(timeout=after_s)
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        return False
    return True


def test_kills_change_no_score(finished, tmp_path):
    expected = (finished.root / "results/small/scores.csv").read_bytes()
    project = type(finished)(tmp_path / "project")
    leave_out = shutil.ignore_patterns("cache", "results", ".snakemake", "logs", "__pycache__")
    shutil.copytree(finished.root, project.root, ignore=leave_out, symlinks=True)
    moments = random.Random(0)
    ended = False
    for _ in range(KILLS):
        ended = ended or _run_and_kill(project, moments.uniform(4, 15))
    assert not ended, "the run ended before it was killed: kill earlier"
    done = {path: path.read_bytes() for path in project.root.glob("cache/*/*/manifest.json")}
    project.snakemake()
    assert (project.root / "results/small/scores.csv").read_bytes() == expected
    assert done, "nothing was finished before the last kill: kill later"
    kept = [path for path, content in done.items() if path.read_bytes() == content]
    assert kept == list(done), "a finished artifact was made again"
    assert not list(project.root.glob("cache/*/.*.partial"))


def test_two_runs_at_once_are_refused(finished):
    lock = next((finished.root / "cache/studies").glob(".*.lock"))
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = finished.snakemake("--forcerun", "report", check=False)
    assert refused.returncode != 0
    assert "another run is working on the study" in refused.stderr
