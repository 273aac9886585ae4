"""The layers of a model, as a table: what a study can ask for."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from fornix.errors import FornixError, did_you_mean
from fornix.features.extractor import Context
from fornix.study.compute import Compute
from fornix.study.features.base import ModelSection
from fornix.study.features.union import Features

SENTENCE = "The quick brown fox jumps over the lazy dog"
SECONDS = 2.0


@dataclass(frozen=True)
class Layer:
    """One line of the table.

    Attributes
    ----------
    name
        What a study calls it.
    shape
        Shape for one stimulus.
    kind
        Class of the module, or operation of the graph.
    n_parameters
        Its parameters; None: not known.
    """

    name: str
    shape: tuple[int, ...]
    kind: str = ""
    n_parameters: int | None = None


def list_layers(model: str, kind: str, settings: Mapping[str, Any]) -> str:
    """Return a model's layers as text.

    Parameters
    ----------
    model
        Name or path, as in a study.
    kind
        Kind of the section; ``auto`` takes ``onnx`` for files that end so, else ``huggingface``.
    settings
        Further settings of the section, such as ``init`` and ``modality``.

    Raises
    ------
    FornixError
        If there is no such kind or model.
    """
    if kind == "auto":
        kind = "onnx" if model.endswith(".onnx") else "huggingface"
    section = _section({"kind": kind, "dataset": "example", "model": model, **settings}, kind)
    module = importlib.import_module(f"fornix.features.{kind}")
    with tempfile.TemporaryDirectory() as folder:
        groups = _layers(module, section, Path(folder))
    return "\n".join(_lines(model, groups))


def _section(raw: Mapping[str, Any], kind: str) -> ModelSection:
    try:
        section = TypeAdapter(Features).validate_python(raw)
    except ValidationError as error:
        first = error.errors()[0]
        problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise FornixError(problem, where="features --list", mend="see fornix features -h") from None
    if isinstance(section, ModelSection):
        return section
    kinds = ("huggingface", "onnx", "open_clip", "timm", "torchvision")
    problem = f"kind {kind} has no model to list"
    raise FornixError(problem, where="--kind", mend=did_you_mean(kind, kinds))


def _layers(module: Any, section: Any, folder: Path) -> dict[str, list[Layer]]:
    if hasattr(module, "describe"):  # a graph on disk: nothing needs to run
        return {"layers": [Layer(*one) for one in module.describe(section)]}
    failures = []
    known = ("image", "text", "audio", "video")
    asked = getattr(section, "modality", "auto")
    for modality in known if asked == "auto" else (asked,):
        rows = example(modality, folder)
        context = Context(folder, Compute(device="cpu"), stimuli=rows)
        try:
            return _probed(module, section, rows, context)
        except FornixError as error:
            failures.append(error)
    # The one that isn't about the wrong kind of stimulus says more.
    told = [one for one in failures if "doesn't take" not in one.problem]
    raise (told or failures)[0]


def _probed(module: Any, section: Any, rows: Any, context: Context) -> dict[str, list[Layer]]:
    if hasattr(module, "build_network"):
        from fornix.devices import settings, torch_device
        from fornix.features.forward import probe

        device = torch_device(context.resources)
        with settings(context.resources.threads):
            found = probe(module.build_network(section, rows, context, maps=True), rows, device)
            found.optional.update(_logits(module, section, rows, context, device))
    else:
        with module.open_extractor(section, rows, context) as extractor:
            found = extractor.found
    return {
        "layers: all": [Layer(name, shape) for name, shape in found.standard.items()],
        "by name": [Layer(name, shape) for name, shape in found.optional.items()]
        + [Layer(k, v.shape, v.kind) for k, v in found.taps.items() if k != v.path],
        "modules": [Layer(k, v.shape, v.kind, v.n_parameters)
                    for k, v in found.taps.items() if k == v.path],
    }  # fmt: skip


def _logits(module: Any, section: Any, rows: Any, context: Context, device: Any) -> dict[str, Any]:
    """Return the logits' shape: they come from a model of their own, the one with a head."""
    from fornix.features.forward import probe

    headed = section.model_copy(update={"layers": ["logits"]})
    try:
        found = probe(module.build_network(headed, rows, context), rows, device)
    except FornixError:  # it has no head, or none that was trained
        return {}
    return {name: shape for name, shape in found.optional.items() if name == "logits"}


def example(modality: str, folder: Path) -> pd.DataFrame:
    """Return the stimulus table of one stimulus, whose file is written into a folder."""
    row: dict[str, Any] = {"stimulus": "example", "modality": modality, "digest": "example"}
    row |= {"path": None, "text": SENTENCE if modality in ("text", "image+text") else None}
    rng = np.random.default_rng(0)
    if modality in ("image", "image+text"):
        from PIL import Image

        row |= {"path": "example.png", "modality": "image"}
        pixels = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "example.png")
    elif modality == "audio":
        import soundfile

        row["path"] = "example.wav"
        samples = 0.1 * rng.standard_normal(int(SECONDS * 16_000))
        soundfile.write(folder / "example.wav", samples, 16_000)
    elif modality == "video":
        import av

        row["path"] = "example.avi"
        with av.open(str(folder / "example.avi"), "w") as container:
            stream: Any = container.add_stream("mjpeg", rate=16)
            stream.width = stream.height = 256
            stream.pix_fmt = "yuvj420p"
            for _ in range(int(SECONDS * 16)):
                pixels = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode())
    return pd.DataFrame([row])


def _lines(model: str, groups: Mapping[str, Sequence[Layer]]) -> Iterator[str]:
    every = [layer for group in groups.values() for layer in group]
    if not every:
        yield f"{model}: no layer was found"
        return
    width = max(len(layer.name) for layer in every)
    for title, group in groups.items():
        if not group:
            continue
        yield f"{title} ({len(group)})"
        numbered = title not in {"modules", "by name"}
        for at, layer in enumerate(group):
            position = f"{at:>4}  " if numbered else "      "
            shape = " x ".join(map(str, layer.shape)) or "1"
            size = 4 * int(np.prod(layer.shape)) / 1024
            line = f"{position}{layer.name:<{width}}  {shape:<18} {size:>9.1f} KiB"
            line += f"  {layer.kind:<20}" if layer.kind else ""
            line += f" {layer.n_parameters:>12,} parameters" if layer.n_parameters else ""
            yield line.rstrip()
        yield ""
    yield "Sizes are of one stimulus, tokens whole; readouts such as mean or cls keep one of them."
