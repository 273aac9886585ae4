"""The outputs of a network's modules, by their paths, from one forward pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

Read = Callable[[torch.Tensor], torch.Tensor]

PARTS = {
    "query": re.compile(r"(^|\.)(query|q_proj|q_lin|to_q|q|wq|query_proj)$"),
    "key": re.compile(r"(^|\.)(key|k_proj|k_lin|to_k|k|wk|key_proj)$"),
    "value": re.compile(r"(^|\.)(value|v_proj|v_lin|to_v|v|wv|value_proj)$"),
}
"""Linear maps that models give their queries, keys and values by, each on its own."""

FUSED = re.compile(r"(^|\.)\w*(attn|attention)\w*\.(c_attn|qkv|qkv_proj|in_proj|Wqkv)$")
"""Maps that give queries, keys and values side by side."""

INTERLEAVED = re.compile(r"(^|\.)query_key_value$")
"""Maps that give them head by head (GPT-NeoX, BLOOM)."""


@dataclass(frozen=True)
class Tap:
    """One output to take.

    Attributes
    ----------
    path
        Path of the module.
    shape
        Shape of one stimulus' output.
    kind
        Class of the module.
    n_parameters
        Parameters of the module, those of its parts included.
    part
        What to take of the output; None: all.
    """

    path: str
    shape: tuple[int, ...]
    kind: str
    n_parameters: int
    part: Read | None = None


def survey(model: torch.nn.Module, forward: Callable[[], Any], n: int) -> dict[str, Tap]:
    """Find what a forward pass gives on, in the order in which it does.

    Parameters
    ----------
    model
        The network.
    forward
        Runs it on ``n`` stimuli.
    n
        How many; outputs whose first dimension is another aren't a stimulus' (windows).

    Returns
    -------
    dict
        Path -> tap; and ``query1``, ``key1``, ``value1`` and so on for the heads of each block.
    """
    order: dict[str, Tap] = {}
    paths = {module: path for path, module in model.named_modules() if path}

    def note(module: torch.nn.Module, _: Any, output: Any) -> None:
        found = first_tensor(output)
        if found is None or not found.is_floating_point() or found.ndim < 2 or len(found) != n:
            return
        size = sum(one.numel() for one in module.parameters())
        shape = tuple(_tokens_last(module, found).shape[1:])
        order.setdefault(paths[module], Tap(paths[module], shape, type(module).__name__, size))

    handles = [module.register_forward_hook(note) for module in paths]
    try:
        forward()
    finally:
        for handle in handles:
            handle.remove()
    return order | _heads(model, order)


def _heads(model: torch.nn.Module, taps: Mapping[str, Tap]) -> dict[str, Tap]:
    """Name queries, keys and values by the order of the blocks."""
    found: dict[str, Tap] = {}
    counts = dict.fromkeys(PARTS, 0)

    def add(name: str, tap: Tap, part: Read | None, width: int) -> None:
        counts[name] += 1
        shape = (*tap.shape[:-1], width)
        found[f"{name}{counts[name]}"] = Tap(tap.path, shape, tap.kind, tap.n_parameters, part)

    for path, tap in taps.items():
        width = tap.shape[-1]
        for name, pattern in PARTS.items():
            if pattern.search(path):
                add(name, tap, None, width)
        if FUSED.search(path):
            heads, shared = _count_heads(model, path)
            unit, rest = divmod(width, heads + 2 * shared)
            sizes = (heads * unit, shared * unit, shared * unit)
            for at, name in enumerate(PARTS if not rest else ()):
                add(name, tap, partial(_split, at=at, sizes=sizes), sizes[at])
        elif INTERLEAVED.search(path):
            heads, shared = _count_heads(model, path)
            # With keys that heads share, models differ in how they are laid out (Falcon).
            if heads == shared and width % (3 * heads) == 0:
                for at, name in enumerate(PARTS):
                    add(name, tap, partial(_interleaved, at=at, heads=heads), width // 3)
    return found


def _count_heads(model: torch.nn.Module, path: str) -> tuple[int, int]:
    """Return how many heads of queries, and of keys and values, a block's attention has."""
    config: Any = getattr(model.get_submodule(path.rpartition(".")[0]), "config", None)
    heads = getattr(config, "num_attention_heads", None)
    if not isinstance(heads, int):
        return 1, 1
    shared = getattr(config, "num_key_value_heads", None) or heads
    return heads, 1 if getattr(config, "multi_query", False) else int(shared)


def _split(output: torch.Tensor, *, at: int, sizes: Sequence[int]) -> torch.Tensor:
    start = sum(sizes[:at])
    return output[..., start : start + sizes[at]]


def _interleaved(output: torch.Tensor, *, at: int, heads: int) -> torch.Tensor:
    by_head = output.reshape(*output.shape[:-1], heads, 3, -1)
    return by_head[..., at, :].flatten(-2)


@contextmanager
def capture(model: torch.nn.Module, taps: Mapping[str, Tap]) -> Iterator[dict[str, torch.Tensor]]:
    """Collect the named outputs of one forward pass; of a module that runs twice, the first."""
    found: dict[str, torch.Tensor] = {}
    by_path: dict[str, list[tuple[str, Tap]]] = {}
    for name, tap in taps.items():
        by_path.setdefault(tap.path, []).append((name, tap))

    def keep(wanted: Iterable[tuple[str, Tap]], module: Any, _: Any, output: Any) -> None:
        tensor = first_tensor(output)
        if tensor is None:
            return
        for name, tap in wanted:
            whole = _tokens_last(module, tensor)
            # What follows may work in place, as activation functions and residual sums do.
            found.setdefault(name, (whole if tap.part is None else tap.part(whole)).clone())

    handles = [
        model.get_submodule(path).register_forward_hook(partial(keep, wanted))
        for path, wanted in by_path.items()
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def first_tensor(output: Any) -> torch.Tensor | None:
    """Return the tensor that a module gives on, of whatever it returns."""
    if isinstance(output, torch.Tensor):
        return output
    values = output.values() if isinstance(output, Mapping) else output
    if isinstance(values, Iterable):
        return next((one for one in values if isinstance(one, torch.Tensor)), None)
    return None


def _tokens_last(module: torch.nn.Module, output: torch.Tensor) -> torch.Tensor:
    """Bring the output of a convolution over time to (stimulus, time, feature)."""
    return output.transpose(1, 2) if isinstance(module, torch.nn.Conv1d) else output
