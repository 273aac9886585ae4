"""Networks of timm, open_clip and torchvision: where their blocks are, and what these give on.

The libraries name and nest their modules in many ways. A block is found by structure: the parts
of the chain that the network is made of (``blocks``, ``stages``, ``features``, ...); of a plain
chain of convolutions, each convolution with all that follows it up to the next. ``embeddings``
is what enters the first block.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from fornix.errors import FornixError
from fornix.features.images import load_image
from fornix.features.network import Batch, Call, Rows, each_row

LOGITS = "logits"
PIXELS = "pixels"

CHAINS = ("blocks", "stages", "layers", "features", "resblocks", "trunk_output")
"""How networks name the chain of their blocks."""

ASIDE = re.compile(
    r"^(stem|patch_embed|pos_|aux|head|classifier|fc|global_pool|attn_?pool|norm)", re.I
)
"""Parts before, after and beside the chain."""

Run = Callable[[torch.Tensor], dict[str, torch.Tensor]]


def find_blocks(model: nn.Module, path: str = "") -> list[str]:
    """Return the paths of a network's blocks, in their order.

    Examples
    --------
    >>> plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.ReLU())
    >>> find_blocks(nn.ModuleDict({"features": plain}))
    ['features.1', 'features.3']
    """
    parts = {name: part for name, part in _composite(model) if not ASIDE.match(name)}
    for name in CHAINS:
        if name in parts:
            return list(_expand(parts[name], _links(parts[name]), f"{path}{name}."))
    nested = [name for name, part in parts.items() if any(True for _ in _composite(part))]
    if len(nested) == 1:
        return find_blocks(parts[nested[0]], f"{path}{nested[0]}.")
    return list(_expand(model, nested or list(parts), path))


def _composite(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the parts of a module that have parts themselves."""
    return ((k, part) for k, part in module.named_children() if any(True for _ in part.children()))


def _links(chain: nn.Module) -> list[str]:
    """Return which parts of a chain are its blocks: those that are nested deepest."""
    parts = dict(_composite(chain))
    nested = [name for name, part in parts.items() if any(True for _ in _composite(part))]
    if nested or parts:
        return nested or list(parts)
    names = [name for name, _ in chain.named_children()]
    starts = [i for i, part in enumerate(chain.children()) if isinstance(part, nn.Conv2d)]
    return [names[i - 1] for i in starts[1:]] + names[-1:]


def _expand(module: nn.Module, names: Sequence[str], path: str) -> Iterator[str]:
    """Yield paths; a list of modules, which isn't called itself, gives those in it."""
    for name in names:
        part = module.get_submodule(name)
        if isinstance(part, nn.ModuleList):
            yield from _expand(part, [str(i) for i in range(len(part))], f"{path}{name}.")
        else:
            yield f"{path}{name}"


@dataclass
class Tower:
    """A network of one input, read at its blocks.

    Attributes
    ----------
    model
        The module whose parts can be tapped.
    run
        Input -> what the network gives at its end, by name.
    where
        The section, for messages.
    argument
        Name of the input.
    places_first
        Whether its maps are (item, row, column, channel), where their shape doesn't tell.
    compile
        Whether the blocks are compiled; each on its own, so that what enters and leaves it can
        be read.
    """

    model: nn.Module
    run: Run
    where: str
    argument: str = PIXELS
    places_first: bool = False
    compile: bool = False
    blocks: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.blocks = find_blocks(self.model)
        self.model.eval()
        module: Any
        for module in self.model.modules():
            # An activation in place would change what the layer before it has given.
            if hasattr(module, "inplace"):
                module.inplace = False

    def __call__(self, arguments: dict[str, Any], wanted: set[str]) -> dict[str, torch.Tensor]:
        """Run the network; return its layers, and the modules that are asked for by path.

        Raises
        ------
        FornixError
            If the model refuses its input.
        """
        value = arguments[self.argument]
        modules = dict(self.model.named_modules())
        paths = dict.fromkeys([*self.blocks, *(one for one in wanted if one in modules)])
        if self.compile and wanted - {LOGITS}:  # not as layers are looked for, all with hooks
            self._compile(wanted)
        entering: list[torch.Tensor] = []
        found: dict[str, torch.Tensor] = {}
        handles = [
            modules[path].register_forward_hook(partial(self._keep, found, path, len(value)))
            for path in paths
        ]
        if self.blocks:
            first = modules[self.blocks[0]]
            handles.append(
                first.register_forward_pre_hook(
                    partial(self._enter, entering, len(value)), with_kwargs=True
                )
            )
        try:
            ends = self.run(value)
        except (RuntimeError, AssertionError, ValueError, IndexError) as error:
            if isinstance(error, torch.cuda.OutOfMemoryError):
                raise
            first_line = str(error).strip().partition("\n")[0]
            problem = f"the model refuses its input: {first_line}"
            mend = "let the size of the pictures, config and weights agree"
            raise FornixError(problem, where=self.where, mend=mend) from error
        finally:
            for handle in handles:
                handle.remove()
        layers = {}
        if entering and entering[0].shape != value.shape:
            layers["embeddings"] = entering[0]
        called = [path for path in self.blocks if path in found]
        layers |= {f"block{i + 1}": found[path] for i, path in enumerate(called)}
        layers |= {k: v for k, v in ends.items() if k != LOGITS or LOGITS in wanted}
        return layers | {path: found[path] for path in paths if path in wanted and path in found}

    def _keep(
        self,
        found: dict[str, torch.Tensor],
        path: str,
        n: int,
        module: nn.Module,
        _: Any,
        output: Any,
    ) -> None:
        tensor = next(_tensors(output, n), None)
        if tensor is not None and path not in found:
            found[path] = self._channels_first(module, tensor)

    def _enter(
        self, entering: list[torch.Tensor], n: int, module: nn.Module, inputs: Any, named: Any
    ) -> None:
        tensor = next(_tensors([*inputs, *named.values()], n), None)
        if tensor is not None and not entering:
            entering.append(self._channels_first(module, tensor))

    def _channels_first(self, module: nn.Module, tensor: torch.Tensor) -> torch.Tensor:
        """Return a copy, since residual sums may be made in place; maps as readouts want them."""
        if tensor.ndim != 4:
            return tensor.clone()
        _, a, b, c = tensor.shape
        last = isinstance(module, nn.Linear) or type(module) is nn.LayerNorm or self.places_first
        if (a == b) != (b == c):  # places make a square
            last = a == b
        return tensor.permute(0, 3, 1, 2).clone() if last else tensor.clone()

    def _compile(self, wanted: set[str]) -> None:
        self.compile = False
        for path in self.blocks:
            # Compiled code doesn't see hooks that come later.
            if not any(one.startswith(f"{path}.") for one in wanted):
                block: Any = self.model.get_submodule(path)
                block.forward = torch.compile(block.forward)


def _tensors(output: Any, n: int) -> Iterator[torch.Tensor]:
    """Yield the tensors in a module's output that have a row a stimulus."""
    if isinstance(output, torch.Tensor):
        if output.ndim and len(output) == n:
            yield output
    elif isinstance(output, Mapping | list | tuple):
        for one in output.values() if isinstance(output, Mapping) else output:
            yield from _tensors(one, n)


@dataclass(frozen=True)
class Transformed:
    """Prepares pictures by a transform of one picture.

    Attributes
    ----------
    transform
        Picture -> float32 tensor (channel, row, column).
    root
        Folder that the paths start from.
    where
        The section, for messages.
    """

    transform: Any
    root: Path
    where: str

    def plan(self, block: pd.DataFrame) -> list[list[Rows]]:
        """Return one input a picture."""
        return each_row(block)

    def __call__(self, inputs: Sequence[pd.DataFrame]) -> Batch:
        """Return the pixel values of some pictures.

        Raises
        ------
        FornixError
            If the transform gives pictures of different sizes.
        """
        paths = [self.root / str(one["path"].iloc[0]) for one in inputs]
        found = [torch.as_tensor(self.transform(load_image(path))) for path in paths]
        if len({one.shape for one in found}) > 1:
            problem = "the model's preprocessing gives pictures of different sizes"
            mend = "bring the pictures to one size, or take a model that crops them"
            raise FornixError(problem, where=self.where, mend=mend)
        return Batch({"": Call({PIXELS: torch.stack(found)})})
