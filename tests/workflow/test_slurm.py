"""A study on a real Slurm: one node in a folder of its own, with pretended cores and GPUs."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from one_node_slurm import ENDED, Slurm, cluster, environment_of, missing
from waiting import wait_for

pytestmark = pytest.mark.long

PROFILE = ("--profile", "workflow/profiles/slurm", "--slurm-status-command", "squeue")
QUICK = ("--slurm-init-seconds-before-status-checks", "4", "--latency-wait", "5")
VIT = {
    **{"kind": "dino", "dataset": "shapes", "image_size": 16, "patch_size": 8},
    **{"width": 8, "depth": 1, "heads": 1, "prototypes": 16, "head_width": 8, "bottleneck": 8},
    **{"crops": {"n_local": 0}, "training": {"steps": 1500, "batch_size": 8}},
}


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Return a running Slurm, or skip with the reason."""
    if reason := missing():
        pytest.skip(reason)
    if find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("no snakemake-executor-plugin-slurm (pip install '.[slurm]')")
    with cluster(tmp_path_factory.mktemp("slurm")) as found:
        yield found


def new_jobs(slurm: Slurm, before: int) -> list[dict[str, str]]:
    return [job for job in slurm.jobs() if int(job["JobId"]) > before]


def last_job(slurm: Slurm) -> int:
    return max([int(job["JobId"]) for job in slurm.jobs()], default=0)


def process(slurm: Slurm, stage: str) -> int | None:
    """Return the process of a stage's job, once there is one."""
    for pid in slurm.processes():
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"fornix" in words and stage.encode() in words:
                return pid
    return None


def test_a_study_ends_in_the_same_bytes_as_on_one_machine(finished, slurm, tmp_path):
    project = finished.begun(tmp_path / "project", "*/of_gabor-*", "reports")
    fits = {"of_gabor": finished.raw["fits"]["of_gabor"]}
    project.write({**finished.raw, "fits": fits})
    before = last_job(slurm)
    with project.running(*PROFILE, *QUICK):
        pass
    for pattern in ("fits/of_gabor-*/sub-01", "fits/of_gabor-*/sub-02", "scores/of_gabor-*"):
        assert project.digest(pattern) == finished.digest(pattern)
    assert (project.root / "results/small/report.html").exists()
    # Two fits, an evaluation and the report: the fits are submitted together.
    fit, evaluate, report = new_jobs(slurm, before)
    assert {job["JobState"] for job in (fit, evaluate, report)} == {"COMPLETED"}
    assert {job["Partition"] for job in (fit, evaluate, report)} == {"cpu"}
    # They run in turn, so they ask for what one of them needs, for the time of both.
    assert "cpu=1,mem=4000M" in fit["TRES"]
    assert fit["TimeLimit"] == "00:30:00"


def test_a_training_goes_on_after_a_signal_and_after_a_dead_node(finished, slurm, tmp_path):
    raw = {**finished.raw, "claims": [], "fits": {"vit": VIT}}
    raw["fits"]["of_vit"] = {**finished.raw["fits"]["of_gabor"], "features": ["vit"]}
    model = {"kind": "huggingface", "dataset": "shapes", "model": "fit:vit"}
    raw["features"] = {"vit": model}
    alone = finished.begun(tmp_path / "alone", "fits", "scores", "reports")
    alone.write(raw)
    project = alone.begun(tmp_path / "project")
    alone.snakemake("--omit-from", "features")
    before = last_job(slurm)

    def job_that_runs(after: int) -> dict[str, str] | None:
        found = [job for job in new_jobs(slurm, after) if job["JobState"] == "RUNNING"]
        return found[0] if found else None

    def saved(since: float) -> bool:
        files = project.root.glob("cache/fits/.vit-*.partial/.scratch/*.pt")
        return any(path.stat().st_mtime > since for path in files)

    with project.running("--omit-from", "features", *PROFILE, *QUICK):
        first = wait_for(lambda: job_that_runs(before))
        given = environment_of(wait_for(lambda: process(slurm, "fit")))
        wait_for(lambda: saved(0))
        slurm.call("scancel", "--signal=TERM", first["JobId"])
        second = wait_for(lambda: job_that_runs(int(first["JobId"])))
        wait_for(lambda: process(slurm, "fit"))
        begun = time.time()
        wait_for(lambda: saved(begun))
        slurm.kill_node()
        slurm.start_node()
        time.sleep(2)  # the controller still cleans up after the job that was there
        slurm.call("scontrol", "update", f"JobId={second['JobId']}", "StartTime=now")
    # It came with a GPU of its own, from the partition that has some.
    assert given["SLURM_GPUS_ON_NODE"] == "1"
    assert given["CUDA_VISIBLE_DEVICES"] in ("0", "1")
    assert first["Partition"] == "gpu"
    # Snakemake submitted it again after the signal, Slurm started it again after the node died.
    states = {job["JobId"]: job["JobState"] for job in new_jobs(slurm, before)}
    assert states == {first["JobId"]: "FAILED", second["JobId"]: "COMPLETED"}
    assert second["TimeLimit"] == "08:00:00"  # twice that of the first attempt
    assert next(job for job in slurm.jobs() if job["JobId"] == second["JobId"])["Restarts"] == "1"
    log = next(project.root.glob("logs/fit/vit-*.log")).read_text()
    assert int(re.search(r"goes on from step (\d+) of 1500", log)[1]) > 0
    assert project.digest("fits/vit-*") == alone.digest("fits/vit-*")


@pytest.fixture(scope="module")
def large(finished, tmp_path_factory):
    """Return a project with features of several blocks, made on one machine."""
    project = finished.begun(tmp_path_factory.mktemp("large") / "alone", "fits", "scores")
    raw = {**finished.raw, "claims": [], "compute": {"memory_mb": 500}}
    raw["features"] = {"large": {"kind": "pixels", "dataset": "shapes", "size": 1024}}
    raw["fits"] = {"of_large": {**finished.raw["fits"]["of_gabor"], "features": ["large"]}}
    project.write(raw)
    project.snakemake("--until", "features")
    return type(project)(project.root, raw)


def test_a_job_out_of_memory_or_time_gets_more_of_both(large, slurm, tmp_path):
    project = large.begun(tmp_path / "project", "features/large-*")
    lock = next((project.root / "cache/features").glob(".large-*.lock"))
    before = last_job(slurm)

    def jobs() -> list[dict[str, str]]:
        return new_jobs(slurm, before)

    def said() -> str:
        return "".join(path.read_text() for path in project.root.glob("logs/features/large-*.log"))

    # No process that imports what it needs lives on the memory of the first attempt.
    little = ("--set-resources", "features:mem_mb=250*attempt")
    with project.running("--until", "features", *little, *PROFILE, *QUICK):
        wait_for(lambda: [job for job in jobs() if job["JobState"] == "FAILED"])
        with lock.open("a") as held:
            fcntl.flock(held, fcntl.LOCK_EX)  # the second attempt waits until its time is over
            wait_for(lambda: "waiting for another process" in said())
            slurm.call("scontrol", "update", f"JobId={jobs()[1]['JobId']}", "TimeLimit=0")
            wait_for(lambda: [job["JobState"] for job in jobs()][1:] == ["TIMEOUT"])
    assert [job["JobState"] for job in jobs()] == ["FAILED", "TIMEOUT", "COMPLETED"]
    memory = [re.search(r"mem=(\w+)", job["TRES"])[1] for job in jobs()]
    assert memory == ["250M", "500M", "750M"]
    assert [job["TimeLimit"] for job in jobs()] == ["00:30:00", "00:00:00", "01:30:00"]
    assert "exceeded memory limit" in Path(jobs()[0]["StdOut"]).read_text()
    assert project.digest("features/large-*") == large.digest("features/large-*")


def test_features_go_on_after_the_last_block(large, slurm, tmp_path):
    project = large.begun(tmp_path / "project", "features/large-*")
    project.write({**large.raw, "compute": {"memory_mb": 4000}})
    before = last_job(slurm)

    def some_rows() -> bool:
        files = list(project.root.glob("cache/features/.large-*.partial/.progress.json"))
        return bool(files) and json.loads(files[0].read_text())["state"]["rows"] > 0

    with project.running("--until", "features", *PROFILE, *QUICK):
        wait_for(some_rows)
        os.kill(process(slurm, "features"), signal.SIGSTOP)  # no more until it is killed
        slurm.call("scancel", "--signal=KILL", new_jobs(slurm, before)[0]["JobId"])
    assert [job["JobState"] for job in new_jobs(slurm, before)] == ["CANCELLED", "COMPLETED"]
    path = next(project.root.glob("cache/features/large-*/manifest.json"))
    notes = json.loads(path.read_text())["notes"]
    assert 0 < notes["rows_resumed"] < notes["n_rows"]
    assert project.digest("features/large-*") == large.digest("features/large-*")


def test_a_training_on_several_nodes_by_the_template_of_torchrun(finished, slurm, tmp_path):
    """Two tasks stand for two nodes: an agent of torchrun and a process of the training each.

    It ends in the bytes of a quiet one although its time is over once and its node dies once.
    """
    raw = {**finished.raw, "claims": [], "compute": {"devices": 2, "device": "cpu"}}
    vit = {**VIT, "training": {"steps": 800, "batch_size": 8}}
    raw |= {"fits": {"vit": vit}, "features": {}}
    alone = finished.begun(tmp_path / "alone", "fits", "scores", "reports", "features")
    alone.write(raw)
    project = alone.begun(tmp_path / "project")
    alone.snakemake("--until", "fit")
    less = ("--nodes=1", "--ntasks-per-node=2", "--gpus-per-node=1", "--cpus-per-task=1")
    call = ("sbatch", "--parsable", *less, "--mem=4G", "--partition=gpu", "--output=fit.log")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    template = "workflow/profiles/slurm/torchrun.sbatch"
    number = subprocess.run(
        [*call, template, "small.yaml", "vit"],
        cwd=project.root,
        env={**project.environment, "PATH": path},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()

    def job() -> dict[str, str]:
        return next(job for job in slurm.jobs() if job["JobId"] == number)

    def again(restarts: str) -> bool:
        return (job()["JobState"], job()["Restarts"]) == ("PENDING", restarts)

    def start() -> None:
        time.sleep(2)  # Slurm refuses to start a job in the second in which it ended
        slurm.call("scontrol", "update", f"JobId={number}", "StartTime=now")

    def trains(since: float) -> bool:
        assert job()["JobState"] not in ENDED, (project.root / "fit.log").read_text()
        files = project.root.glob("cache/fits/.vit-*.partial/.scratch/*.pt")
        return any(path.stat().st_mtime > since for path in files)

    wait_for(lambda: trains(0))
    # What the template asks Slurm for, two minutes before the time is over.
    slurm.call("scancel", "--batch", "--signal=USR1", number)
    wait_for(lambda: again("1"))
    begun = time.time()
    start()
    wait_for(lambda: trains(begun))
    slurm.kill_node()
    slurm.start_node()
    wait_for(lambda: again("2"))
    start()
    wait_for(lambda: job()["JobState"] in ENDED)
    log = (project.root / "fit.log").read_text()
    assert job()["JobState"] == "COMPLETED", log
    first, second = (int(step) for step in re.findall(r"goes on from step (\d+) of 800", log))
    assert 0 < first < second
    assert project.digest("fits/vit-*") == alone.digest("fits/vit-*")
    assert "fit vit" not in project.plan()
