"""Hidden states of a Hugging Face vision or text model, every layer in one forward pass.

Layers are named ``embeddings`` (what enters the first block), ``block1`` to ``blockN`` (what
each block gives on; stages of a convolutional network count as blocks), and ``pooler`` where
the model has one. They are what transformers calls ``hidden_states``: in decoders such as GPT-2
the last of them is already normalised, in ViT it isn't yet.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fornix.errors import FornixError
from fornix.features import hub
from fornix.features.checkpoints import load_model
from fornix.features.inputs import Prepare, TextInputs, prepare_images, prepare_texts
from fornix.features.layers import select_layers
from fornix.features.modality import only_modality, require
from fornix.features.pooling import check_pooling, pool
from fornix.progress import track
from fornix.study.compute import Compute
from fornix.study.features import HuggingFaceFeatures

fingerprint = hub.fingerprint


def extract(
    section: HuggingFaceFeatures,
    stimuli: pd.DataFrame,
    root: Path,
    resources: Compute,
    notes: list[str],
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Yield the pooled hidden states of all layers.

    Parameters
    ----------
    section
        The model, its pooling, and the layers to keep.
    stimuli
        The stimulus table: all pictures, or all texts.
    root
        Folder that its paths start from.
    resources
        Threads, and the device that the model runs on.
    notes
        Gets the commit of a model that isn't pinned, layers left out, texts cut short.

    Yields
    ------
    dict
        Layer -> float32 (batch, feature).

    Raises
    ------
    FornixError
        If the model isn't there, doesn't fit the stimuli, or lacks what pooling asks for.
    """
    where = f"features (kind: huggingface, model: {section.model})"
    modality: str = section.modality
    if modality == "auto":
        modality = only_modality(stimuli, ("image", "text"), where=where)
    require(stimuli, modality, what=section.model, where=where)
    folder = hub.locate(section)
    if folder is not None and section.revision is None and hub.local_folder(section) is None:
        notes.append(f"{section.model}: no revision is pinned; commit {folder.name} was used")
    device = torch_device(resources)
    with _settings(resources.threads):
        model, has_pooler = load_model(section, folder, modality, notes)
        prepare: Prepare
        if modality == "text":
            prepare = prepare_texts(section, folder, model)
        else:
            prepare = prepare_images(
                section, folder, model, root=root, threads=resources.threads, notes=notes
            )
        tokenizer = prepare.tokenizer if isinstance(prepare, TextInputs) else None
        check_pooling(section.pooling, modality, model, tokenizer, where=where)
        model.to(device)
        wanted: list[str] | None = None
        starts = range(0, len(stimuli), section.batch_size)
        for start in track(starts, f"{section.model}: batches of {section.batch_size} stimuli"):
            inputs, mask = prepare(stimuli.iloc[start : start + section.batch_size])
            states = hidden_states(model, inputs, device, has_pooler, where=where)
            if wanted is None:
                wanted = select_layers([*states], section.layers, where=where)
            on_device = None if mask is None else mask.to(device)
            yield {
                name: _as_array(pool(states[name], section.pooling, on_device)) for name in wanted
            }
        if isinstance(prepare, TextInputs) and prepare.truncated:
            notes.append(
                f"{prepare.truncated} of {len(stimuli)} texts were cut at {prepare.limit} tokens, "
                f"the most that {section.model} takes"
            )


def hidden_states(
    model: Any,
    inputs: dict[str, torch.Tensor],
    device: torch.device,
    has_pooler: bool,
    *,
    where: str,
) -> dict[str, torch.Tensor]:
    """Return every layer's hidden state, by name.

    Raises
    ------
    FornixError
        If the model refuses its input, or gives no hidden states.
    """
    accepted = inspect.signature(model.forward).parameters
    arguments = {key: value.to(device) for key, value in inputs.items() if key in accepted}
    try:
        with torch.inference_mode():
            found = model(**arguments, output_hidden_states=True)
    except ValueError as error:
        problem = f"the model refuses its input: {error}"
        mend = "let image_size, config and preprocessing agree"
        raise FornixError(problem, where=where, mend=mend) from None
    hidden = getattr(found, "hidden_states", None)
    if not hidden:
        problem = f"{type(model).__name__} gives no hidden states"
        mend = "take a transformer, ResNet or ConvNeXt"
        raise FornixError(problem, where=where, mend=mend)
    names = ["embeddings", *(f"block{i}" for i in range(1, len(hidden)))]
    states = dict(zip(names, hidden, strict=True))
    pooled = getattr(found, "pooler_output", None)
    if has_pooler and pooled is not None:
        states["pooler"] = pooled.flatten(1)
    return states


def torch_device(resources: Compute) -> torch.device:
    """Return where the model runs.

    Raises
    ------
    FornixError
        If a GPU is asked for and there is none.
    """
    there = torch.cuda.is_available()
    if resources.device == "cuda" and not there:
        problem = "device: cuda is asked for, but torch sees no GPU"
        mend = "take device: auto or cpu, or a build of torch for your GPU"
        raise FornixError(problem, where="compute.device", mend=mend)
    return torch.device("cuda" if there and resources.device != "cpu" else "cpu")


def _as_array(values: torch.Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = values.to("cpu", torch.float32).numpy()
    return found


@contextmanager
def _settings(threads: int) -> Iterator[None]:
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
