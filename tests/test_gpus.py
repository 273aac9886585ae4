"""A GPU is lent to one job at a time, by locks that a dead process can't keep."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from fornix.errors import FornixError
from fornix.gpus import cards_of, lease, lent, take
from fornix.study.compute import Compute

JOB = """
import os, sys, time
from fornix.gpus import lease
from fornix.study.compute import Compute
lease(Compute(gpu_jobs=int(sys.argv[1])), int(sys.argv[2]))
print(os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
time.sleep(60)
"""


class Jobs:
    """Processes that take a lease and keep it until they are killed."""

    def __init__(self, folder: Path, cards: str) -> None:
        source = os.pathsep.join(one for one in sys.path if one)
        self.environment = {
            **{key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ},
            **{"PYTHONPATH": source, "FORNIX_GPUS": cards, "FORNIX_GPU_LOCKS": str(folder)},
        }
        self.stack = ExitStack()

    def start(self, share: int = 1, count: int = 1) -> subprocess.Popen[str]:
        call = [sys.executable, "-c", JOB, str(share), str(count)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        job = subprocess.Popen(call, env=self.environment, **pipes)
        self.stack.callback(self.kill, job)
        return job

    @staticmethod
    def kill(job: subprocess.Popen[str]) -> None:
        job.kill()
        job.wait()

    @staticmethod
    def card(job: subprocess.Popen[str]) -> str:
        return job.stdout.readline().strip()

    @staticmethod
    def waits(job: subprocess.Popen[str]) -> bool:
        return "waiting for a free GPU" in job.stderr.readline()


@pytest.fixture
def jobs(tmp_path):
    """Return the function that makes jobs on some cards."""
    with ExitStack() as stack:

        def make(cards: str) -> Jobs:
            made = Jobs(tmp_path / "locks", cards)
            stack.callback(made.stack.close)
            return made

        yield make


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """Leases of this process itself, forgotten afterwards."""
    import fornix.gpus

    monkeypatch.setattr(fornix.gpus, "_HELD", [])
    monkeypatch.setenv("FORNIX_GPU_LOCKS", str(tmp_path / "locks"))
    for name in ("SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES", "FORNIX_GPUS"):
        monkeypatch.delenv(name, raising=False)
    yield monkeypatch
    while fornix.gpus._HELD:
        fornix.gpus._HELD.pop().release()


def test_two_jobs_get_two_cards_and_a_third_waits_for_the_first_to_die(jobs):
    host = jobs("a,b")
    first, second = host.start(), host.start()
    cards = [host.card(first), host.card(second)]
    assert sorted(cards) == ["a", "b"]
    third = host.start()
    assert host.waits(third)
    host.kill(first)
    assert host.card(third) == cards[0]


def test_a_card_is_shared_only_among_jobs_that_agree_to_it(jobs):
    host = jobs("a")
    sharing = [host.start(share=2), host.start(share=2)]
    assert [host.card(job) for job in sharing] == ["a", "a"]
    third, alone = host.start(share=2), host.start()
    assert host.waits(third)
    assert host.waits(alone)
    host.kill(third)
    host.kill(sharing[0])
    ready, _, _ = select.select([alone.stdout], [], [], 1.0)
    assert not ready, "a job that wants a card for itself shares it"
    host.kill(sharing[1])
    assert host.card(alone) == "a"


def test_sharing_jobs_take_every_card_once_before_any_twice(jobs):
    host = jobs("a,b")
    first = [host.start(share=2), host.start(share=2)]
    assert sorted(host.card(job) for job in first) == ["a", "b"]


def test_a_job_of_two_cards_gets_them_at_once_or_waits(jobs):
    host = jobs("a,b")
    one = host.start()
    taken = host.card(one)
    both = host.start(count=2)
    assert host.waits(both)
    host.kill(one)
    assert host.card(both) == "a,b"
    assert taken in "a,b"


def test_a_process_keeps_its_card_and_can_have_more(alone):
    alone.setenv("FORNIX_GPUS", "a,b")
    assert lent() == 0
    lease(Compute())
    assert lent() == 1
    lease(Compute())
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "a"
    lease(Compute(), 2)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "a,b"
    assert lent() == 2


def test_what_needs_no_gpu_takes_none(alone):
    alone.setenv("FORNIX_GPUS", "a")
    lease(Compute(device="cpu"))
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    alone.setenv("FORNIX_GPUS", "none")
    lease(Compute())
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_under_slurm_a_job_sees_what_slurm_has_given_it(alone):
    alone.setenv("SLURM_JOB_ID", "7")
    alone.setenv("CUDA_VISIBLE_DEVICES", "3")
    lease(Compute())
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    assert lent() == 1


def test_under_slurm_a_job_that_was_given_no_gpu_sees_none(alone):
    alone.setenv("SLURM_JOB_ID", "7")
    lease(Compute())
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert lent() == 0


def test_more_cards_than_there_are_is_an_error(alone):
    alone.setenv("FORNIX_GPUS", "a,b")
    with pytest.raises(FornixError, match="3 GPUs are asked for, and there are 2: a, b"):
        lease(Compute(), 3)


def test_cards_are_those_of_the_driver_that_are_shown(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf '0, GPU-aa\\n1, GPU-bb\\n'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert cards_of({}) == ["GPU-aa", "GPU-bb"]
    assert cards_of({"CUDA_VISIBLE_DEVICES": "1"}) == ["GPU-bb"]
    assert cards_of({"CUDA_VISIBLE_DEVICES": "GPU-aa"}) == ["GPU-aa"]
    assert cards_of({"CUDA_VISIBLE_DEVICES": ""}) == []
    assert cards_of({"FORNIX_GPUS": "1, 0"}) == ["1", "0"]
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert cards_of({}) == []


def test_a_folder_that_cannot_hold_locks_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FornixError, match="locks of the GPUs can't be made") as caught:
        take(["a"], 1, 1, tmp_path / "file/locks")
    assert "FORNIX_GPU_LOCKS" in caught.value.mend


def test_networks_and_solvers_take_a_lease_before_they_look_for_a_gpu(alone):
    from fornix.devices import torch_device
    from fornix.solvers.backend import choose_backend

    alone.setenv("FORNIX_GPUS", "a,b")
    choose_backend(Compute(), flops=1)  # so small that the processor does it
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    choose_backend(Compute(), flops=1e18)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "a"
    torch_device(Compute(devices=2), 2)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "a,b"
