"""Several processes that train one network: each takes its share of every batch.

Lightning Fabric starts them, unless torchrun has, and gives each its device. They agree once a
step, by one sum over all of them: of the gradients, of the loss, and of whether somebody was told
to end. So a step may do with the network what it likes, and a share may be empty.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.multiprocessing.spawn import ProcessExitedException

from fornix import torchrun
from fornix.errors import FornixError
from fornix.training.checkpoint import STOPPED

T = TypeVar("T")


@dataclass(frozen=True)
class Agreed:
    """What all processes know after a step.

    Attributes
    ----------
    loss
        Of the whole batch.
    stop
        Whether one of them was told to end.
    """

    loss: float
    stop: bool


def fabric_of(device: torch.device, processes: int, precision: Any) -> Fabric:
    """Return what starts the processes of a training, or finds those that torchrun has started."""
    if processes > 1 and torchrun.started():
        nodes, each = torchrun.nodes()
        return Fabric(
            accelerator=device.type,
            strategy="ddp",
            devices=each,
            num_nodes=nodes,
            precision=precision,
            plugins=[TorchElasticEnvironment()],
        )
    return Fabric(
        accelerator=device.type,
        # The step is a closure: it can't be spawned.
        strategy="ddp_fork" if processes > 1 else "auto",
        devices=processes,
        precision=precision,
        # We start the processes, also where a scheduler's variables say that it could.
        plugins=[LightningEnvironment()],
    )


def share(rows: NDArray[np.intp], fabric: Fabric) -> NDArray[np.intp]:
    """Return this process' rows of a batch; there may be none."""
    if fabric.world_size == 1:
        return rows
    return np.array_split(rows, fabric.world_size)[fabric.global_rank]


def agree(
    fabric: Fabric, parameters: Sequence[nn.Parameter], loss: Tensor | None, *, stop: bool
) -> Agreed:
    """Sum gradients over the processes, in place.

    Parameters
    ----------
    fabric
        Of this process.
    parameters
        Those that learn. One that nobody has a gradient for is left without.
    loss
        This share's part of the batch's loss; None for an empty share.
    stop
        Whether this process was told to end.
    """
    if fabric.world_size == 1:
        return Agreed(float("nan") if loss is None else loss.item(), stop)
    grads = [one.grad for one in parameters]
    there = [grad is not None for grad in grads]
    parts = [
        (torch.zeros_like(one) if one.grad is None else one.grad).flatten() for one in parameters
    ]
    extra = [float(flag) for flag in there] + [float(stop), 0.0 if loss is None else loss.item()]
    flat = torch.cat([*parts, torch.tensor(extra, device=fabric.device)])
    summed: Any = fabric.all_reduce(flat, reduce_op="sum")
    flags = summed[len(summed) - len(extra) :].tolist()
    start = 0
    for one, known in zip(parameters, flags, strict=False):
        mine = summed[start : start + one.numel()]
        one.grad = mine.view_as(one).clone() if known else None
        start += one.numel()
    return Agreed(flags[-1], flags[-2] > 0)


def run_all(fabric: Fabric, network: nn.Module, work: Callable[[Fabric], T]) -> T:
    """Do the work in as many processes as the fabric has; return what the first one returns.

    The network gets the weights that it has there.

    Raises
    ------
    FornixError
        As the work does.
    """
    if fabric.world_size == 1:
        return work(fabric)
    if torchrun.started():
        fabric.launch()
        torch.set_num_threads(1)  # as those that are forked have it
        return work(fabric)

    # Fabric reads what a process returns when that has ended, and it doesn't end before a pipe, of
    # 64 KB, has taken what it returns: so somebody must read meanwhile.
    box = multiprocessing.get_context("fork").SimpleQueue()
    came: list[_Parcel | None] = []
    reader = threading.Thread(target=lambda: came.append(box.get()), daemon=True)

    def process(fabric: Fabric) -> None:
        torch.set_num_threads(1)  # a thread pool doesn't survive a fork
        found, error = None, None
        try:
            found = work(fabric)
        except FornixError as one:  # all have it at the same step
            error = (one.problem, one.where, one.mend)
        state = {key: value.detach().cpu().numpy() for key, value in network.state_dict().items()}
        if fabric.is_global_zero:
            box.put(_Parcel(found, state, error))

    reader.start()
    with _forwarding() as asked:
        try:
            fabric.launch(process)
        except ProcessExitedException:
            if not asked:
                raise
        finally:
            box.put(None)  # nothing may have come
        if asked:
            raise SystemExit(STOPPED)
    reader.join()
    (parcel,) = came
    assert parcel is not None  # noqa: S101 - all processes have ended well
    if parcel.error is not None:
        problem, where, mend = parcel.error
        raise FornixError(problem, where=where, mend=mend)
    weights = {key: torch.from_numpy(value) for key, value in parcel.weights.items()}
    network.load_state_dict(weights)
    found: T = parcel.found
    return found


@dataclass(frozen=True)
class _Parcel:
    """What the first process hands back."""

    found: Any
    weights: dict[str, NDArray[Any]]
    error: tuple[str, str, str] | None


@contextmanager
def _forwarding() -> Iterator[list[int]]:
    """Pass SIGTERM on to the processes; the list tells whether it came."""
    asked: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        del frame
        asked.append(number)
        for child in multiprocessing.active_children():
            child.terminate()

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.signal(signal.SIGTERM, forward)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)
