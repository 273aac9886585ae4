"""A run that is killed at any moment loses nothing finished and ends in the same bytes."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

KILLS = 3


def _manifests(project):
    """Return what is finished: a draft may have its manifest too, just before it is renamed."""
    found = [
        *project.root.glob("cache/*/*/manifest.json"),
        *project.root.glob("cache/*/*/*/manifest.json"),
    ]
    return [path for path in found if path.parent.suffix != ".partial"]


def _run_and_kill(project, delay_s: float) -> bool:
    """Start a run; some time after it has made progress, kill it with all its jobs.

    Returns whether it had ended by itself.
    """
    before = len(_manifests(project))
    call = [str(Path(sys.executable).parent / "snakemake"), "--cores", "2"]
    run = subprocess.Popen(
        [*call, "--configfile", "small.yaml"],
        cwd=project.root,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while run.poll() is None and time.monotonic() < deadline:
        if len(_manifests(project)) > before:
            time.sleep(delay_s)
            break
        time.sleep(0.05)
    ended = run.poll() is not None
    if not ended:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    return ended


def test_kills_change_no_score(finished, tmp_path):
    expected = (finished.root / "results/small/scores.csv").read_bytes()
    project = finished.copy(tmp_path / "project", "cache", "results", ".snakemake", "logs")
    delays = random.Random(0)
    ended = [_run_and_kill(project, delays.uniform(0, 1.5)) for _ in range(KILLS)]
    assert not any(ended), "the run ended before it was killed: kill earlier"
    done = {path: path.read_bytes() for path in _manifests(project)}
    assert done, "nothing was finished before the last kill"
    project.snakemake()
    assert (project.root / "results/small/scores.csv").read_bytes() == expected
    again = [path.name for path, content in done.items() if path.read_bytes() != content]
    assert not again, "a finished artifact was made again"
    assert not list(project.root.glob("cache/**/.*.partial"))


def test_a_job_killed_after_it_has_finished_keeps_its_artifact(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    manifest = next(project.root.glob("cache/reports/small-*/manifest.json"))
    made, rule = manifest.read_bytes(), project.root / "rules/report.smk"
    text = rule.read_text()
    rule.write_text(text.replace(">&2)", ">&2); kill -KILL $$"))
    killed = project.snakemake("--forcerun", "report", check=False)
    assert killed.returncode == 1, killed.stderr
    assert manifest.read_bytes() == made
    rule.write_text(text)
    assert "Nothing to be done" in project.snakemake().stderr


def test_two_runs_at_once_are_refused(finished):
    lock = next((finished.root / "cache/studies").glob(".*.lock"))
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = finished.snakemake("--forcerun", "report", check=False)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert "another run is working on the study" in refused.stderr
