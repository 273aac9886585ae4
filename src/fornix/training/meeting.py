"""The processes of one job that torchrun has started, on one machine or on several.

Each of them runs the whole stage, and they meet in its trainings. The first one makes the
artifact; the others work in folders of their own, which nobody keeps, and so wait for no lock of
the first one. Whether there is anything to do is the first one's to say.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fornix import torchrun
from fornix.errors import FornixError
from fornix.study.compute import Compute


@contextmanager
def joined(folder: Path, resources: Compute, *, trains: bool) -> Iterator[Path]:
    """Meet the other processes, and give the folder to make the artifact in.

    Parameters
    ----------
    folder
        The artifact's place; what a process gets that torchrun hasn't started.
    resources
        How many processes the study asks for, and of which device.
    trains
        Whether the job trains a network.

    Raises
    ------
    FornixError
        If the job trains no network, or the study says another number of processes.
    """
    if not torchrun.started():
        yield folder
        return
    _check(resources, trains=trains)
    import torch
    from torch import distributed

    if resources.device != "cpu" and torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group()
    try:
        if torchrun.first():
            yield folder
        else:
            with tempfile.TemporaryDirectory(prefix="fornix-") as own:
                yield Path(own) / folder.name
    finally:
        distributed.destroy_process_group()


def as_the_first(answer: bool) -> bool:
    """Return the first process' answer."""
    if not torchrun.started():
        return answer
    from torch import distributed

    answers = [answer]
    distributed.broadcast_object_list(answers, src=0)
    return answers[0]


def _check(resources: Compute, *, trains: bool) -> None:
    if not trains:
        problem = "torchrun has started this job, and it trains no network"
        raise FornixError(problem, where="torchrun", mend="run it without torchrun")
    count, each = torchrun.nodes()
    world = int(os.environ["WORLD_SIZE"])
    if count * each != world:
        problem = f"torchrun has started {world} processes, and {each} of them on this node"
        raise FornixError(problem, where="torchrun", mend="start as many on each node")
    if world != resources.devices:
        problem = f"torchrun has started {world} processes, and the study says {resources.devices}"
        mend = f"set compute.devices: {world}, or start {resources.devices} on all nodes together"
        raise FornixError(problem, where="compute.devices", mend=mend)
