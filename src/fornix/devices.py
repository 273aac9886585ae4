"""Where torch runs, what decides the order of its sums, and what its random numbers start from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from fornix.errors import FornixError
from fornix.gpus import lease
from fornix.seeds import generator
from fornix.study.compute import Compute


def torch_device(resources: Compute, count: int = 1) -> torch.device:
    """Return where the model runs, on GPUs that this process has to itself.

    Parameters
    ----------
    resources
        Which device is asked for.
    count
        GPUs that the process, with those it forks, is going to use.

    Raises
    ------
    FornixError
        If a GPU is asked for and there is none.
    """
    lease(resources, count)
    there = torch.cuda.is_available()
    if resources.device == "cuda" and not there:
        problem = "device: cuda is asked for, but torch sees no GPU"
        mend = "take device: auto or cpu, or a build of torch for your GPU"
        raise FornixError(problem, where="compute.device", mend=mend)
    return torch.device("cuda" if there and resources.device != "cpu" else "cpu")


@contextmanager
def settings(threads: int) -> Iterator[None]:
    """Fix what decides the order of torch's sums, and put it back afterwards."""
    # cuBLAS reads this when the GPU is first used, and is deterministic only with it.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    tf32 = torch.backends.cudnn.allow_tf32
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1], warn_only=warn_only)
        torch.backends.cudnn.allow_tf32 = tf32


@contextmanager
def seeded(seed: int, *purpose: str | int, device: torch.device | None = None) -> Iterator[None]:
    """Start torch's random numbers from a purpose (weights, dropout), and put them back afterwards.

    Parameters
    ----------
    seed, purpose
        As for :func:`fornix.seeds.generator`.
    device
        Where the numbers are drawn; those of the CPU are seeded in any case.
    """
    places = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=places):
        torch.manual_seed(int(generator(seed, *purpose).integers(2**63)))
        yield
