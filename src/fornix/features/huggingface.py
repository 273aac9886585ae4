"""Layers of a Hugging Face model, all in one forward pass.

Layers are named ``embeddings`` (what enters the first block), ``block1`` to ``blockN`` (what
each block gives on; stages of a convolutional network count as blocks), ``pooler`` where the
model has one, and ``joint`` where it brings pictures (or sounds) and texts into one space. The
first two are what transformers calls ``hidden_states``: in decoders such as GPT-2 the last of
them is already normalised, in ViT it isn't yet.

Asked for by name or pattern: ``attention1`` to ``attentionN``, for each token what it takes from
every token in each head; ``query1``, ``key1``, ``value1`` and so on; ``logits``; and the path of
any module.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pandas as pd
import torch

from fornix.devices import settings, torch_device
from fornix.errors import FornixError
from fornix.features import hub
from fornix.features.checkpoints import Loaded, load_model
from fornix.features.extractor import Context
from fornix.features.forward import TorchExtractor
from fornix.features.inputs import modality_of, prepare_inputs
from fornix.features.layers import matches
from fornix.features.network import Network
from fornix.features.readouts import check_readouts, prefix_tokens
from fornix.features.stimulus_rows import stimulus_rows
from fornix.features.streams import hidden_states
from fornix.study.features.huggingface import HuggingFaceFeatures

fingerprint = hub.fingerprint
MAPS = "attention"
LOGITS = "logits"
TIMED = ("audio", "video")
MASKED = "vit_mae"
"""Architecture that hides most patches, drawn at random, also when it isn't trained."""


def table(section: HuggingFaceFeatures, stimuli: pd.DataFrame, context: Context) -> pd.DataFrame:
    """Return one line a row: a stimulus, or a stretch of time of one."""
    return stimulus_rows(section, stimuli, context)


@contextmanager
def open_extractor(
    section: HuggingFaceFeatures, rows: pd.DataFrame, context: Context
) -> Iterator[TorchExtractor]:
    """Load the model and find its layers.

    Raises
    ------
    FornixError
        If the model isn't there, doesn't fit the stimuli, or lacks what a readout asks for.
    """
    device = torch_device(context.resources)
    with settings(context.resources.threads):
        network = build_network(section, rows, context)
        network.model.to(device)
        yield TorchExtractor(network, section, rows, context, device)


def build_network(
    section: HuggingFaceFeatures, rows: pd.DataFrame, context: Context, *, maps: bool | None = None
) -> Network:
    """Load the model with what its section asks for, and what prepares its inputs.

    Parameters
    ----------
    section, rows, context
        As given to :func:`open_extractor`.
    maps
        Whether attention maps are wanted; None: if the section names some.
    """
    where = f"features (kind: huggingface, model: {section.model})"
    modality = modality_of(section, rows, where)
    folder = hub.locate(section)
    notes = context.notes
    hub.note_revision(section, folder, notes)
    asked = [one for one in section.layers if isinstance(one, str)]
    if maps is None:
        maps = section.layers != "all" and any(_may_be(one, MAPS) for one in asked)
    head = section.layers != "all" and any(matches(LOGITS, [one]) for one in asked)
    reads = "text" if modality == "word" else modality
    loaded = load_model(section, folder, reads, notes, head=head, maps=maps)
    inputs = prepare_inputs(section, folder, loaded.base, modality, rows, context)
    windowed = modality == "word" or (section.rate is not None and modality in TIMED)
    check_readouts(
        section.readouts, reads, loaded.base, inputs.tokenizer, where=where, windowed=windowed
    )
    if section.compile:
        loaded.model.compile()
    return Network(
        model=loaded.base,
        prepare=inputs.prepare,
        outputs=partial(outputs, loaded, reads, where),
        where=where,
        prefix=prefix_tokens(loaded.base) if modality == "image" else None,
        longest=inputs.longest,
        time_steps=inputs.time_steps,
        optional=tuple(name for name, there in ((MAPS, maps), (LOGITS, head)) if there),
    )


def _may_be(pattern: str, name: str) -> bool:
    """Tell whether a pattern may stand for a numbered layer, such as ``attention3``."""
    return bool(re.match(rf"{name}[\d*?\[]", pattern, re.IGNORECASE))


def outputs(
    loaded: Loaded, modality: str, where: str, arguments: dict[str, Any], wanted: set[str]
) -> dict[str, torch.Tensor]:
    """Run the model and return the layers that it names itself.

    Raises
    ------
    FornixError
        If the model refuses its input, or gives no hidden states.
    """
    model = loaded.model
    extra = {"output_attentions": True} if any(name.startswith(MAPS) for name in wanted) else {}
    run: Any = model
    if loaded.joint is not None and LOGITS not in wanted:
        run = partial(_joint, loaded.joint, modality)
    accepted = inspect.signature(model.forward).parameters
    if getattr(loaded.base.config, "model_type", "") == MASKED:
        arguments |= {"noise": _nothing_hidden(loaded.base, arguments["pixel_values"])}
    if "kwargs" not in accepted:
        arguments = {key: value for key, value in arguments.items() if key in accepted}
    try:
        # ViLT puts its patches in a random order: always in the same one.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            found = run(**arguments, output_hidden_states=True, **extra)
    except ValueError as error:
        problem = f"the model refuses its input: {error}"
        mend = "let image_size, config and preprocessing agree"
        raise FornixError(problem, where=where, mend=mend) from None
    states = dict(hidden_states(found))
    if not states:
        problem = f"{type(model).__name__} gives no hidden states"
        raise FornixError(problem, where=where, mend="take a transformer, ResNet or ConvNeXt")
    pooled = getattr(found, "pooler_output", None)
    if loaded.joint is not None and pooled is not None:
        states["joint"] = pooled
    elif loaded.pooler and pooled is not None:
        states["pooler"] = pooled.flatten(1)
    maps = getattr(found, "attentions", None) if extra else None
    for at, one in enumerate(maps or ()):
        # (item, head, query, key) -> for each token, its share in every token, head by head
        states[f"{MAPS}{at + 1}"] = one.permute(0, 2, 1, 3).flatten(2)
    if LOGITS in wanted and getattr(found, LOGITS, None) is not None:
        states[LOGITS] = found.logits
    return states


def _nothing_hidden(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Let a masked autoencoder see every patch; return what keeps them in their order."""
    model.config.mask_ratio = 0.0
    patches = torch.arange(model.embeddings.patch_embeddings.num_patches, device=pixels.device)
    return patches.float().expand(len(pixels), -1)


def _joint(model: Any, modality: str, **arguments: Any) -> Any:
    return getattr(model, f"get_{modality}_features")(**arguments)
