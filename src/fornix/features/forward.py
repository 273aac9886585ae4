"""Stream stimuli through a torch network: every layer that is asked for, in one forward pass.

Decoding runs ahead of the network, in a thread or in processes; what is read of a batch is copied
off the device while the next one is prepared. A block's batches depend on that block alone, so
that a job that is resumed comes to the same numbers as one that wasn't.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fornix.errors import FornixError
from fornix.features.extractor import Context, Layers
from fornix.features.layers import select_layers
from fornix.features.network import Batch, Call, Network
from fornix.features.prefetch import Piece, prepared
from fornix.features.readouts import layer_name, project, read
from fornix.features.taps import Tap, capture, survey
from fornix.study.features.base import ModelSection, Readout

PROBE = 2
"""Copies of a stimulus in the pass that finds the layers: few dimensions are 2 by chance."""

LARGEST = {"cpu": 32, "cuda": 256}
"""Batches beyond which a forward pass gains nothing."""

SHARE = 0.25
"""Share of the memory that a batch may take; weights and written blocks need theirs."""


@dataclass
class Found:
    """What a probing pass found: every layer that can be asked for.

    Attributes
    ----------
    standard
        Layers that ``all`` stands for -> shape of one stimulus.
    optional
        Layers of the network's own that are computed when asked for.
    taps
        Outputs of modules.
    item_bytes
        Memory that one input takes in a forward pass, roughly.
    """

    standard: dict[str, tuple[int, ...]]
    optional: dict[str, tuple[int, ...]]
    taps: dict[str, Tap]
    item_bytes: int

    def choose(self, wanted: Any, where: str) -> list[str]:
        """Return the layers that a section asks for, in the model's order."""
        if wanted == "all":
            return list(self.standard)
        numbers: list[str | int] = [one for one in wanted if isinstance(one, int)]
        patterns: list[str | int] = [one for one in wanted if not isinstance(one, int)]
        chosen = set(select_layers([*self.standard], numbers, where=where)) if numbers else set()
        names = list(dict.fromkeys([*self.standard, *self.optional, *self.taps]))
        chosen |= set(select_layers(names, patterns, where=where)) if patterns else set()
        return [name for name in names if name in chosen]


ALIKE = 1e-3
"""Share of a layer's largest value by which copies in one pass may differ."""


def probe(network: Network, rows: pd.DataFrame, device: torch.device) -> Found:
    """Run the network on copies of the first input to see what it gives.

    Raises
    ------
    FornixError
        If the copies differ: the network draws random numbers, or mixes what shares a batch.
    """
    first = network.prepare.plan(rows.iloc[:1])[0][0]
    batch = network.prepare([rows.iloc[first]] * PROBE)
    call = next(iter(batch.calls.values()))
    arguments = _on(call.arguments, device)
    own: dict[str, torch.Tensor] = {}

    def forward() -> None:
        own.update(network.outputs(arguments, set()))

    with torch.inference_mode(), _eager():
        taps = survey(network.model, forward, PROBE)
        extra = network.outputs(arguments, set(network.optional)) if network.optional else {}
    for name, state in own.items():
        _check_alike(name, state, network.where)
    standard = {name: tuple(state.shape[1:]) for name, state in own.items()}
    optional = {k: tuple(v.shape[1:]) for k, v in extra.items() if k not in standard}
    sizes = [4 * int(np.prod(tap.shape)) for tap in taps.values()]
    kept = sum(4 * int(np.prod(shape)) for shape in standard.values())
    return Found(standard, optional, taps, kept + 4 * max(sizes, default=0) + 1)


def _check_alike(layer: str, state: torch.Tensor, where: str) -> None:
    """Raise if copies of one input don't come to the same numbers (in any order of tokens)."""
    means = read(state.float(), "mean").nan_to_num()
    largest = means.abs().max()
    if (means[1:] - means[:1]).abs().max() > ALIKE * largest:
        problem = f"the model gives one stimulus other numbers each time (layer {layer})"
        mend = "it draws random numbers, or mixes the stimuli of a batch: take another model"
        raise FornixError(problem, where=where, mend=mend)


@dataclass
class TorchExtractor:
    """Reads the layers of a torch network."""

    network: Network
    section: ModelSection
    rows: pd.DataFrame
    context: Context
    device: torch.device
    _batch_size: int = field(default=0, init=False)

    @cached_property
    def found(self) -> Found:
        """All layers of the network."""
        return probe(self.network, self.rows, self.device)

    @cached_property
    def chosen(self) -> list[str]:
        """Layers of the network that are asked for."""
        return self.found.choose(self.section.layers, self.network.where)

    @cached_property
    def tapped(self) -> dict[str, Tap]:
        """Outputs of modules that are asked for, of those that the network doesn't name itself."""
        found = self.found
        return {k: v for k, v in found.taps.items() if k in self.chosen and k not in found.standard}

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Stored layers -> shape of one row."""
        one = self.network.prepare.plan(self.rows.iloc[:1])[0][0]
        batch = self.network.prepare([self.rows.iloc[one]])
        found = self.found
        sizes = {name: tap.shape for name, tap in found.taps.items()}
        sizes |= found.optional | found.standard
        # Readouts of zeros have the shapes of readouts, and cost no second pass.
        states = {name: torch.zeros(1, *sizes[name], device=self.device) for name in self.chosen}
        return {k: values.shape[1:] for k, values in self._run(batch, None, states).items()}

    @property
    def batch_size(self) -> int:
        """Inputs a forward pass."""
        if not self._batch_size:
            self._batch_size = self._sized()
        return self._batch_size

    def __call__(self, blocks: Iterable[pd.DataFrame], layers: Sequence[str]) -> Iterator[Layers]:
        """Yield the named layers of each block."""
        wanted = set(layers)
        if self.section.compile and self.tapped:
            self.context.notes.append("outputs of modules are asked for: nothing is compiled")
        held: Layers | None = None
        with prepared(self.network.prepare, self._batches(blocks), self._workers()) as batches:
            for piece, batch in batches:
                found = self._run_smaller(piece, batch, wanted)
                if held is None:
                    held = {k: np.empty((piece.total, *v.shape[1:]), np.float32)
                            for k, v in found.items()}  # fmt: skip
                at = np.concatenate(piece.items)
                for name in layers:
                    held[name][at] = found[name]
                self.context.advance(len(at))
                if piece.last:
                    yield {name: held[name] for name in layers}
                    held = None

    def _batches(self, blocks: Iterable[pd.DataFrame]) -> Iterator[Piece]:
        for block in blocks:
            groups = self.network.prepare.plan(block)
            size = self.batch_size
            pieces = [
                group[at : at + size] for group in groups for at in range(0, len(group), size)
            ]
            for at, items in enumerate(pieces):
                last = at == len(pieces) - 1
                yield Piece(items, [block.iloc[one] for one in items], len(block), last)

    def _workers(self) -> int:
        wanted = self.context.resources.workers
        if wanted == "auto":
            return self.context.resources.threads if self.device.type == "cuda" else 0
        return wanted

    def _sized(self) -> int:
        if self.section.batch_size != "auto":
            return self.section.batch_size
        memory = self.context.resources.memory_mb * 1e6
        if self.device.type == "cuda":
            # All of it, not what is free now: a job that is resumed has the same batches.
            memory = torch.cuda.mem_get_info(self.device)[1]
        fits = int(memory * SHARE / self.found.item_bytes)
        return min(LARGEST[self.device.type], 1 << max(0, fits.bit_length() - 1))

    def _run_smaller(self, piece: Piece, batch: Batch, wanted: set[str]) -> Layers:
        """Run a batch; halve it for as long as the GPU's memory is too small for it."""
        try:
            return self._run(batch, wanted)
        except torch.cuda.OutOfMemoryError:
            if len(piece.items) == 1:
                problem = "the GPU's memory is too small for one stimulus"
                mend = "take precision: bfloat16, fewer layers, or device: cpu"
                raise FornixError(problem, where=self.network.where, mend=mend) from None
        torch.cuda.empty_cache()
        self._batch_size = max(1, self.batch_size // 2)
        half = len(piece.items) // 2
        parts = []
        for part in (slice(0, half), slice(half, None)):
            smaller = replace(piece, items=piece.items[part], tables=piece.tables[part])
            parts.append(self._run_smaller(smaller, self.network.prepare(smaller.tables), wanted))
        return {name: np.concatenate([one[name] for one in parts]) for name in parts[0]}

    def _run(
        self,
        batch: Batch,
        wanted: set[str] | None,
        given: dict[str, torch.Tensor] | None = None,
    ) -> Layers:
        """Return what is asked for of a batch, by the names that it is stored under."""
        found: Layers = {}
        readouts = self.section.readouts
        for before, call in batch.calls.items():
            states = self._states(call) if given is None else given
            masks = {one: self._mask(call, one) for one in readouts}
            for layer in self.chosen:
                for readout in readouts:
                    name = before + layer_name(layer, readout, readouts, states[layer].ndim)
                    if name in found or (wanted is not None and name not in wanted):
                        continue
                    state = states[layer].float()
                    if batch.bins is not None and state.ndim > 3:
                        raise _no_time(layer, self.network.where)
                    values = self._read(state, readout, call, masks[readout], batch.bins)
                    found[name] = project(values, self.section.projection)
        return found

    def _mask(self, call: Call, readout: Readout) -> torch.Tensor | None:
        mask = call.window if readout == "window" else call.mask
        return None if mask is None else mask.to(self.device)

    def _read(
        self,
        state: torch.Tensor,
        readout: Readout,
        call: Call,
        mask: torch.Tensor | None,
        bins: list[NDArray[np.float64]] | None,
    ) -> NDArray[np.float32]:
        if call.span and call.heard and readout in ("mean", "max", "last") and state.ndim == 3:
            state = state[:, : max(1, round(call.heard / call.span * state.shape[1]))]
        # A mask of tokens fits the layers that have these tokens, and no others.
        fits = mask is not None and state.ndim == 3 and state.shape[1] == mask.shape[1]
        if bins is None or call.span is None:
            values = read(
                state,
                readout,
                mask if fits else None,
                prefix=self.network.prefix,
                longest=self.network.longest if fits else None,
            )
        else:
            values = self._on_grid(state, readout, call.span, bins)
        found: NDArray[np.float32] = values.to("cpu", torch.float32).numpy()
        return found

    def _on_grid(
        self,
        state: torch.Tensor,
        readout: Readout,
        span: float,
        bins: list[NDArray[np.float64]],
    ) -> torch.Tensor:
        """Read the tokens that fall into each row's stretch of time."""
        if self.network.time_steps is not None and state.ndim == 3:
            steps = self.network.time_steps
            places = state.shape[1] // steps
            state = state[:, -steps * places :].reshape(len(state), steps, places, -1)
            state = state.amax(2) if readout == "max" else state.mean(2)
        if state.ndim == 2:
            return torch.cat([one.expand(len(own), -1)
                              for one, own in zip(state, bins, strict=True)])  # fmt: skip
        middles = (np.arange(state.shape[1]) + 0.5) * span / state.shape[1]
        parts = []
        for one, own in zip(state, bins, strict=True):
            for start, stop in own:
                begin = 0.0 if readout == "window" else start
                inside = np.flatnonzero((middles >= begin) & (middles < stop))
                if not inside.size:
                    inside = np.abs(middles - (start + stop) / 2).argmin(keepdims=True)
                some = one[torch.from_numpy(inside).to(one.device)]
                parts.append(read(some[None], readout))
        return torch.cat(parts)

    def _states(self, call: Call) -> dict[str, torch.Tensor]:
        network, precision = self.network, getattr(torch, self.section.precision)
        taps = self.tapped
        arguments = _on(call.arguments, self.device)
        with (
            torch.inference_mode(),
            _eager() if taps else nullcontext(),
            torch.autocast(self.device.type, precision, enabled=precision != torch.float32),
            capture(network.model, taps) as tapped,
        ):
            own = network.outputs(arguments, set(self.chosen))
        return own | {name: value for name, value in tapped.items() if name not in own}


def _no_time(layer: str, where: str) -> FornixError:
    problem = f"layer {layer} has maps of places, which can't be read on a grid of time"
    mend = "leave it out, or give window: one row long (1 / rate)"
    return FornixError(problem, where=f"{where}: layers", mend=mend)


def _eager() -> Any:
    """Run a compiled model as it is written: compiled code calls no hooks."""
    return torch.compiler.set_stance("force_eager")


def _on(arguments: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    return {
        key: value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value
        for key, value in arguments.items()
    }
