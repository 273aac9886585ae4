"""The optimiser, and its learning rate as a function of the step alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from fornix.study.training import Training


def make_optimizer(
    groups: Iterable[Mapping[str, Any]], settings: Training
) -> torch.optim.Optimizer:
    """Return the optimiser.

    Parameters
    ----------
    groups
        Groups of parameters as torch takes them; one may have an ``lr`` or ``weight_decay`` of
        its own.
    settings
        The study's.
    """
    rate, decay = settings.learning_rate, settings.weight_decay
    own = [{"lr": rate, **group} for group in groups]
    for group in own:
        group["highest"] = group["lr"]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(own, lr=rate, weight_decay=decay, momentum=0.9)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(own, lr=rate, weight_decay=decay)


def rate(settings: Training, step: int, total: int) -> float:
    """Return the learning rate of a step, as a share of the highest.

    Parameters
    ----------
    settings
        The study's.
    step
        From 0.
    total
        Steps of the whole training.
    """
    warmup = math.ceil(settings.warmup * total)
    if step < warmup:
        return (step + 1) / warmup
    if settings.schedule == "constant":
        return 1.0
    done = (step - warmup) / max(1, total - warmup)
    return settings.final_rate + (1 - settings.final_rate) * (1 + math.cos(math.pi * done)) / 2


def set_rate(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Set the learning rate of every group to a share of its highest."""
    for group in optimizer.param_groups:
        group["lr"] = group["highest"] * share
