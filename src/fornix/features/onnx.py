"""Layers of an ONNX graph, run by onnxruntime, all in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from fornix.devices import settings
from fornix.errors import FornixError
from fornix.features.available import available
from fornix.features.extractor import Context
from fornix.features.forward import TorchExtractor
from fornix.features.images import BACKGROUND, load_image
from fornix.features.modality import only_modality, require
from fornix.features.network import Batch, Call, Network, Prepare, Rows, each_row
from fornix.features.onnx_graph import (
    expose,
    files_of,
    free_batch,
    inputs_of,
    load_graph,
    standard,
    tensors,
    to_float32,
)
from fornix.features.onnx_weights import draw_weights
from fornix.gpus import lease
from fornix.store.digests import combine, file_digest
from fornix.study.features.onnx import OnnxFeatures
from fornix.study.paths import expand


def fingerprint(section: OnnxFeatures) -> str:
    """Return the digest of the graph's file, and of the weights that lie beside it."""
    available(section)
    path = _path(section)
    files = files_of(path, _where(section))
    parts = [(one.relative_to(path.parent).as_posix(), file_digest(one)) for one in files]
    if section.init == "random":
        parts.append(("init", str(section.seed)))
    return combine(parts)


@contextmanager
def open_extractor(
    section: OnnxFeatures, rows: pd.DataFrame, context: Context
) -> Iterator[TorchExtractor]:
    """Read the graph and find its layers.

    Raises
    ------
    FornixError
        If there is no such graph, or it takes something else than the stimuli.
    """
    with settings(context.resources.threads):
        network = build_network(section, rows, context)
        yield TorchExtractor(network, section, rows, context, torch.device("cpu"))


def build_network(
    section: OnnxFeatures, rows: pd.DataFrame, context: Context, *, maps: bool | None = None
) -> Network:
    """Read the graph; ``maps`` isn't used: a graph computes what it computes."""
    del maps
    where = _where(section)
    available(section)
    modality = only_modality(rows, ("image", "text"), where=where)
    graph = _Graph(partial(_read, section), context, where)
    everything = [name for name in graph.tensors if name not in graph.standard]
    return Network(
        model=torch.nn.Module(),
        prepare=_prepare(section, graph.inputs, modality, rows, context, where),
        outputs=graph,
        where=where,
        optional=tuple(everything),
        prefix=0 if modality == "image" else None,
    )


def _read(section: OnnxFeatures, freed: bool) -> Any:
    """Return the graph in single precision; ``freed``: with batches of any size."""
    where = _where(section)
    model = load_graph(_path(section), where)
    to_float32(model)
    if freed:
        free_batch(model)
    if section.init == "random":
        draw_weights(model, section.seed, where)
    return model


@dataclass
class _Graph:
    """Runs a graph for the layers that are asked for.

    Many exports fix the batch at one stimulus. Such a graph is freed, and the first batch of
    different stimuli is compared with its last stimulus alone; where they differ, or the graph
    refuses, it is taken as it was exported, and given one stimulus at a time.
    """

    read: Callable[[bool], Any]
    context: Context
    where: str
    alone: bool = False
    sessions: dict[frozenset[str], Any] = field(default_factory=dict)
    compared: set[frozenset[str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.model = self.read(True)
        self.standard = standard(self.model)
        self.tensors = {name: tensor.name for name, tensor in tensors(self.model).items()}
        self.inputs = inputs_of(self.model)

    def __call__(self, arguments: dict[str, Any], wanted: set[str]) -> dict[str, torch.Tensor]:
        names = [name for name in self.tensors if name in (wanted or set(self.standard))]
        values = {k: v.numpy() for k, v in arguments.items() if k in self.inputs}
        if not self.alone:
            found = self._together(names, values)
            if found is not None:
                return found
            self.alone, self.model = True, self.read(False)
            self.sessions.clear()
            self.context.notes.append("the graph takes one stimulus at a time, and is given one")
        try:
            parts = [
                self._run(names, {k: v[at : at + 1] for k, v in values.items()})
                for at in range(_count(values))
            ]
        except Exception as error:  # onnxruntime has no common class of its own
            raise self._refused(error) from None
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _together(
        self, names: Sequence[str], values: dict[str, Any]
    ) -> dict[str, torch.Tensor] | None:
        """Run a batch in one pass; None if the graph can't, or mixes its stimuli."""
        try:
            found = self._run(names, values)
            # Copies of one stimulus, as in a probe, can be mixed without a trace.
            differ = any((one[:-1] != one[-1:]).any() for one in values.values())
            if not differ or frozenset(names) in self.compared:
                return found
            alone = self._run(names, {key: one[-1:] for key, one in values.items()})
        except Exception:  # as below; what is wrong is said by the run alone
            return None
        self.compared.add(frozenset(names))
        same = [*alone] == [*found] and all(
            np.allclose(found[name][-1], alone[name][0], rtol=1e-3, atol=1e-4) for name in found
        )
        return found if same else None

    def _run(self, names: Sequence[str], values: dict[str, Any]) -> dict[str, torch.Tensor]:
        found = self._session(names).run(None, values)
        return {
            name: torch.from_numpy(np.array(one, dtype=np.float32))
            for name, one in zip(names, found, strict=True)
            if isinstance(one, np.ndarray)
            and one.ndim > 1
            and len(one) == _count(values)
            and one.dtype.kind == "f"
        }

    def _session(self, names: Sequence[str]) -> Any:
        key = frozenset(names)
        if key not in self.sessions:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self.context.resources.threads
            options.inter_op_num_threads = 1
            options.use_deterministic_compute = True
            options.log_severity_level = 4  # its errors are raised too
            graph = expose(self.model, [self.tensors[name] for name in names])
            self.sessions[key] = onnxruntime.InferenceSession(graph, options, self._providers())
        return self.sessions[key]

    def _providers(self) -> list[Any]:
        """Return where the graph runs, the first that can.

        Raises
        ------
        FornixError
            If a GPU is asked for and this onnxruntime knows none.
        """
        device, gpu = self.context.resources.device, "CUDAExecutionProvider"
        there = gpu in onnxruntime.get_available_providers()
        if there:
            lease(self.context.resources)
        if device == "cuda" and not there:
            problem = "device: cuda is asked for, but onnxruntime knows no GPU"
            mend = "take device: auto or cpu, or install onnxruntime-gpu"
            raise FornixError(problem, where="compute.device", mend=mend)
        # TF32 would round what the processor doesn't.
        on_gpu = [(gpu, {"use_tf32": "0"})] if there and device != "cpu" else []
        return [*on_gpu, "CPUExecutionProvider"]

    def _refused(self, error: Exception) -> FornixError:
        problem = f"onnxruntime refuses the graph: {' '.join(str(error).split())[:300]}"
        mend = "let size and preprocessing fit the graph's input, or export it anew"
        return FornixError(problem, where=self.where, mend=mend)


def _count(values: dict[str, Any]) -> int:
    return len(next(iter(values.values())))


@dataclass(frozen=True)
class _Pictures:
    """Prepares pictures as the section says."""

    section: OnnxFeatures
    argument: str
    size: int
    channels_last: bool
    root: Path

    def plan(self, block: pd.DataFrame) -> list[list[Rows]]:
        return each_row(block)

    def __call__(self, inputs: Sequence[pd.DataFrame]) -> Batch:
        found = np.stack([self.pixels(self.root / str(one["path"].iloc[0])) for one in inputs])
        found = found if self.channels_last else found.transpose(0, 3, 1, 2)
        return Batch({"": Call({self.argument: torch.from_numpy(np.ascontiguousarray(found))})})

    def pixels(self, path: Path) -> NDArray[np.float32]:
        """Return one picture as float32 (row, column, channel)."""
        grey = len(self.section.mean) == 1
        image = _square(load_image(path, "L" if grey else "RGB"), self.size, self.section.resize)
        values = np.asarray(image, dtype=np.float32).reshape(self.size, self.size, -1)
        values = values[..., ::-1] if self.section.channels == "bgr" else values
        mean, std = (np.asarray(one, np.float32) for one in (self.section.mean, self.section.std))
        scaled = values * np.float32(self.section.scale) - mean
        found: NDArray[np.float32] = (scaled / std).astype(np.float32)
        return found


def _square(image: Image.Image, size: int, how: str) -> Image.Image:
    if how == "squash":
        return image.resize((size, size), Image.Resampling.BILINEAR)
    limit = min(image.size) if how == "crop" else max(image.size)
    width, height = (max(1, round(side * size / limit)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    if how == "crop":
        return image.crop((left, top, left + size, top + size))
    grey: Any = BACKGROUND if image.mode == "L" else (BACKGROUND,) * 3
    padded = Image.new(image.mode, (size, size), grey)
    padded.paste(image, (-left, -top))
    return padded


def _prepare(  # noqa: PLR0917 - what was found out so far, handed on once
    section: OnnxFeatures,
    inputs: dict[str, list[int | None]],
    modality: str,
    rows: pd.DataFrame,
    context: Context,
    where: str,
) -> Prepare:
    if modality == "text":
        return _texts(section, inputs, where)
    pictured = {name: shape for name, shape in inputs.items() if len(shape) == 4}
    if len(inputs) != 1 or not pictured:
        shown = ", ".join(f"{name} {shape}" for name, shape in inputs.items())
        problem = f"the graph takes no batch of pictures, but {shown}"
        raise FornixError(problem, where=where, mend="name a graph with one input of 4 dimensions")
    require(rows, "image", what=section.model, where=where)
    ((name, shape),) = pictured.items()
    last = shape[3] in (1, 3) and shape[1] not in (1, 3)
    sides = (shape[1], shape[2]) if last else (shape[2], shape[3])
    size = section.size or sides[0] or 224
    channels = (shape[3] if last else shape[1]) or len(section.mean)
    if len(section.mean) != channels:
        problem = f"the graph takes {channels} channels, mean and std have {len(section.mean)}"
        raise FornixError(problem, where=f"{where}: mean", mend=f"give {channels} of each")
    return _Pictures(section, name, size, last, context.root)


def _texts(section: OnnxFeatures, inputs: dict[str, Any], where: str) -> Prepare:
    from transformers import AutoTokenizer

    from fornix.features.text_inputs import Texts

    if "input_ids" not in inputs:
        problem = f"the graph takes no tokens, but {', '.join(inputs)}"
        raise FornixError(problem, where=where, mend="name a graph of texts")
    folder = expand(section.tokenizer, where=where) if section.tokenizer else _path(section).parent
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        problem = f"there is no tokenizer in {folder}: {' '.join(str(error).split())[:150]}"
        raise FornixError(problem, where=where, mend="give tokenizer: its folder") from None
    longest = tokenizer.model_max_length
    return Texts(tokenizer, longest if longest < 1_000_000 else None)


def _path(section: OnnxFeatures) -> Path:
    return expand(section.model, where=_where(section))


def _where(section: OnnxFeatures) -> str:
    return f"features (kind: onnx, model: {section.model})"
