"""A network as the stream sees it: what prepares its inputs, and what runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

Rows = NDArray[np.intp]
"""Positions, in a block, of the rows that one input of the network gives."""


@dataclass
class Call:
    """The arguments of one forward pass, on the CPU.

    Attributes
    ----------
    arguments
        Keyword arguments of the network.
    mask
        (item, token), 1 where a token is read; None: all are.
    window
        Of words, (item, token): 1 where a token is read by the model, the word's own or before it.
    span
        Of sounds and clips: how long all tokens of a layer are together, s; else None.
    heard
        Of whole sounds: how much of that is sound, and not silence that was added, s.
    """

    arguments: dict[str, Any]
    mask: torch.Tensor | None = None
    window: torch.Tensor | None = None
    span: float | None = None
    heard: float | None = None


@dataclass
class Batch:
    """Some inputs of the network.

    Attributes
    ----------
    calls
        What goes before the layers' names (a prompt's name and a colon; mostly nothing) -> a
        forward pass.
    bins
        Of sounds and clips on a time grid: for each input the start and end of each of its rows,
        s from the input's start, float (row, 2). None: an input is a row.
    """

    calls: dict[str, Call]
    bins: list[NDArray[np.float64]] | None = None


class Prepare(Protocol):
    """Makes batches of the table's rows; can be sent to another process."""

    def plan(self, block: pd.DataFrame) -> list[list[Rows]]:
        """Return groups of inputs that may share a batch, in the order to run them."""

    def __call__(self, inputs: Sequence[pd.DataFrame]) -> Batch:
        """Return one batch; each input's rows of the table are one frame."""


@dataclass
class Network:
    """A model, and how to call it.

    Attributes
    ----------
    model
        The module whose parts can be tapped.
    prepare
        Makes its batches.
    outputs
        Runs it: (arguments, layers that are asked for) -> the layers that it names itself.
    where
        The section, for messages.
    prefix
        Of pictures: tokens before those of their places; else None.
    longest
        Tokens of the longest text, None where inputs have one shape.
    time_steps
        Of clips: steps in time that the tokens of a layer come in, None where each token is one.
    optional
        Layers that ``outputs`` gives only when asked for by name.
    """

    model: torch.nn.Module
    prepare: Prepare
    outputs: Callable[[dict[str, Any], set[str]], dict[str, torch.Tensor]]
    where: str
    prefix: int | None = None
    longest: int | None = None
    time_steps: int | None = None
    optional: Sequence[str] = ()


def each_row(block: pd.DataFrame) -> list[list[Rows]]:
    """Return the plan of a network that gives one row an input, in the table's order."""
    return [[np.asarray([at]) for at in range(len(block))]]
