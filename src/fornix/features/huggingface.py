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
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import torch

from fornix.errors import FornixError
from fornix.features import hub
from fornix.features.checkpoints import Loaded, load_model
from fornix.features.devices import settings, torch_device
from fornix.features.extractor import Context
from fornix.features.forward import Network, Prepare, TorchExtractor
from fornix.features.layers import matches
from fornix.features.modality import only_modality, require
from fornix.features.picture_inputs import prepare_pictures
from fornix.features.readouts import check_readouts, prefix_tokens
from fornix.features.stimulus_rows import stimulus_rows
from fornix.features.streams import hidden_states
from fornix.features.text_inputs import Texts, Words, load_tokenizer, longest_sequence
from fornix.study.features.huggingface import HuggingFaceFeatures

fingerprint = hub.fingerprint
MAPS = "attention"
LOGITS = "logits"


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
    network = Network(
        model=loaded.base,
        prepare=_Nothing(),
        outputs=partial(outputs, loaded, reads, where),
        where=where,
        optional=tuple(name for name, there in ((MAPS, maps), (LOGITS, head)) if there),
    )
    network.prepare = _prepare(section, folder, loaded, modality, rows, context, network)
    tokenizer = getattr(network.prepare, "tokenizer", None)
    check_readouts(section.readouts, reads, loaded.base, tokenizer, where=where)
    if modality == "image":
        network.prefix = prefix_tokens(loaded.base)
    if section.compile:
        loaded.model.compile()
    return network


def _may_be(pattern: str, name: str) -> bool:
    """Tell whether a pattern may stand for a numbered layer, such as ``attention3``."""
    return bool(re.match(rf"{name}[\d*?\[]", pattern, re.IGNORECASE))


@dataclass(frozen=True)
class _Nothing:
    """Stands in until the inputs are known, which depend on the network."""

    def plan(self, block: pd.DataFrame) -> Any:
        raise NotImplementedError

    def __call__(self, inputs: Any) -> Any:
        raise NotImplementedError


def modality_of(section: HuggingFaceFeatures, rows: pd.DataFrame, where: str) -> str:
    """Return what goes into the model."""
    if section.modality == "image+text" or (section.modality == "auto" and section.prompts):
        only_modality(rows, ("image", "video"), where=where)
        return "image+text"
    known = ("image", "text", "word", "audio", "video")
    found = only_modality(rows, known, where=where)
    if section.modality not in ("auto", found) and (section.modality, found) != ("text", "word"):
        require(rows, section.modality, what=section.model, where=where)
    return found


def _prepare(  # noqa: PLR0917 - what was found out so far, handed on once
    section: HuggingFaceFeatures,
    folder: Any,
    loaded: Loaded,
    modality: str,
    rows: pd.DataFrame,
    context: Context,
    network: Network,
) -> Prepare:
    notes, where = context.notes, network.where
    if modality == "image":
        return prepare_pictures(section, folder, loaded.base, context.root, notes)
    # Decoders of sounds and clips are only loaded where there are some.
    if modality == "audio":
        from fornix.features.sound_inputs import prepare_sounds

        return prepare_sounds(section, folder, loaded.base, context.root)
    if modality == "video":
        from fornix.features.clip_inputs import prepare_clips

        clips = prepare_clips(section, folder, loaded.base, context.root, notes)
        network.time_steps = clips.time_steps
        return clips
    if modality == "image+text":
        return _beside_texts(section, folder, loaded, context, where)
    tokenizer = load_tokenizer(section, folder, loaded.base)
    limit = longest_sequence(loaded.base, tokenizer)
    if modality == "word":
        everything = max(1, int(rows["position"].max()))
        longest = everything if section.context is None else section.context
        passages = {
            str(name): [str(word) for word in group.sort_values("position")["text"]]
            for name, group in context.stimuli.groupby("passage")
        }
        return Words(tokenizer, limit, longest, passages)
    texts = Texts(tokenizer, limit)
    cut, network.longest = texts.survey(rows, where)
    if cut:
        notes.append(
            f"{cut} of {len(rows)} texts were cut at {limit} tokens, the most that "
            f"{section.model} takes"
        )
    return texts


def _beside_texts(
    section: HuggingFaceFeatures, folder: Any, loaded: Loaded, context: Context, where: str
) -> Prepare:
    """Return what prepares pictures with texts: the pictures themselves, or regions of them."""
    from fornix.features.prompt_inputs import prepare_prompts
    from fornix.features.region_inputs import prepare_regions, reads_regions

    if reads_regions(loaded.base):
        source = context.sources.get(section.source or "")
        return prepare_regions(section, folder, loaded.base, source, where)
    return prepare_prompts(section, folder, context.root, where)


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


def _joint(model: Any, modality: str, **arguments: Any) -> Any:
    return getattr(model, f"get_{modality}_features")(**arguments)
