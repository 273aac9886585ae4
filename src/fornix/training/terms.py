"""What a training is given and what comes of it: the words that models and the loop share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fornix.seeds import generator

if TYPE_CHECKING:
    from fornix.study.compute import Compute


@dataclass(frozen=True)
class Batch:
    """What a step is given: which rows, and when.

    Attributes
    ----------
    rows
        Rows of the data.
    epoch, step
        Epochs and steps that were done before.
    device
        Where the network is.
    seed, purpose
        Of the training.
    rank
        Which of the processes that share out a batch.
    """

    rows: NDArray[np.intp]
    epoch: int
    step: int
    device: torch.device
    seed: int = 0
    purpose: tuple[str, ...] = ()
    rank: int = 0

    def rng(self) -> np.random.Generator:
        """Return this step's own random numbers, for augmentations and masks."""
        others = (self.rank,) if self.rank else ()  # the first draws what one alone would
        return generator(self.seed, "step", *self.purpose, self.step, *others)


Step = Callable[[nn.Module, Batch], tuple[Tensor, Mapping[str, Tensor | float]]]
"""Network in training mode, batch -> loss (its mean over the batch) and what to log beside it."""


@dataclass(frozen=True)
class Hooks:
    """What else a training does; all of it is optional.

    Attributes
    ----------
    validate
        Network in evaluation mode -> numbers, after each epoch. The epoch with the best
        ``monitor`` is kept; without it, the last one.
    monitor, higher
        Which of these numbers, and whether more of it is better.
    groups
        Groups of parameters as torch's optimisers take them; by default all that need gradients.
    before_step
        Called with the optimiser and the number of steps done, after the rate is set: weight
        decay that grows.
    after_step
        Called with the network and the number of steps done: a teacher's moving average. What it
        changes must be a parameter or buffer of the network, so that checkpoints have it.
    snapshots, snapshot
        Called with the number of steps done and the network, after each of these numbers (0:
        before the first step). After a kill one may be taken again, of the same weights.
    """

    validate: Callable[[nn.Module], Mapping[str, float]] | None = None
    monitor: str = "r"
    higher: bool = True
    groups: Iterable[Mapping[str, Any]] | None = None
    before_step: Callable[[torch.optim.Optimizer, int], None] | None = None
    after_step: Callable[[nn.Module, int], None] | None = None
    snapshots: Collection[int] = ()
    snapshot: Callable[[int, nn.Module], None] | None = None


@dataclass(frozen=True)
class Run:
    """Which training it is, and where it runs.

    Attributes
    ----------
    purpose
        Words that tell it from others of the job (layer, fold); its random numbers and its
        checkpoint go by them.
    seed
        The study's.
    resources
        Threads and device.
    scratch
        Folder for the checkpoint; None keeps none.
    where
        Place for the message of an error.
    log_every
        Steps between rows of the log; None: epochs.
    checkpoint_s, epoch_checkpoint_s
        Longest time between two checkpoints, and shortest between those at the ends of epochs, s.
    """

    purpose: tuple[str, ...]
    seed: int
    resources: Compute
    scratch: Path | None = None
    where: str = "fit"
    log_every: int | None = None
    checkpoint_s: float = 60.0
    epoch_checkpoint_s: float = 2.0


@dataclass(frozen=True)
class Trained:
    """What came of a training; the network itself holds the kept weights.

    Attributes
    ----------
    log
        Table of :mod:`fornix.training.log`.
    steps, epochs
        How many were done.
    kept_epoch
        Whose weights were kept, from 0.
    """

    log: pd.DataFrame
    steps: int
    epochs: int
    kept_epoch: int
