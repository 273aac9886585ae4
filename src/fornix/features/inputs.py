"""What goes into a Hugging Face model: what the stimuli are, and who prepares them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from fornix.errors import FornixError
from fornix.features.extractor import Context
from fornix.features.modality import only_modality, require
from fornix.features.network import Prepare
from fornix.features.picture_inputs import prepare_pictures
from fornix.features.text_inputs import FILLED, Texts, Words, load_tokenizer, longest_sequence
from fornix.study.features.huggingface import HuggingFaceFeatures


@dataclass(frozen=True)
class Inputs:
    """What prepares a model's inputs, and what is known of them.

    Attributes
    ----------
    prepare
        Makes batches.
    tokenizer
        Of texts; else None.
    longest
        Tokens of the longest text, where texts are padded; else None.
    time_steps
        Of clips: steps in time that their tokens come in; else None.
    """

    prepare: Prepare
    tokenizer: Any = None
    longest: int | None = None
    time_steps: int | None = None


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


def prepare_inputs(  # noqa: PLR0917 - what was found out so far, handed on once
    section: HuggingFaceFeatures,
    folder: Any,
    model: Any,
    modality: str,
    rows: pd.DataFrame,
    context: Context,
) -> Inputs:
    """Return what prepares the inputs of a model for stimuli of one modality.

    Raises
    ------
    FornixError
        If the model comes without its preprocessing or tokenizer, or stimuli don't fit it.
    """
    notes, where = context.notes, f"features (kind: huggingface, model: {section.model})"
    if modality == "image":
        return Inputs(prepare_pictures(section, folder, model, context.root, notes))
    # Decoders of sounds and clips are only loaded where there are some.
    if modality == "audio":
        from fornix.features.sound_inputs import prepare_sounds

        return Inputs(prepare_sounds(section, folder, model, context.root))
    if modality == "video":
        from fornix.features.clip_inputs import prepare_clips

        clips = prepare_clips(section, folder, model, context.root, notes)
        return Inputs(clips, time_steps=clips.time_steps)
    if modality == "image+text":
        beside = _beside_texts(section, folder, model, context, where)
        return Inputs(beside, getattr(beside, "tokenizer", None))
    tokenizer = load_tokenizer(section, folder, model)
    limit = longest_sequence(model, tokenizer)
    filled = getattr(model.config, "model_type", "") in FILLED
    if modality == "word" and filled:
        problem = f"{section.model} reads texts padded to {limit} tokens, not words in context"
        raise FornixError(problem, where=where, mend="take a language model, or texts as stimuli")
    if modality == "word":
        everything = max(1, int(rows["position"].max()))
        longest = everything if section.context is None else section.context
        passages = {
            str(name): [str(word) for word in group.sort_values("position")["text"]]
            for name, group in context.stimuli.groupby("passage")
        }
        return Inputs(Words(tokenizer, limit, longest, passages), tokenizer)
    texts = Texts(tokenizer, limit, filled)
    cut, longest = texts.survey(rows, where)
    longest = limit if filled and limit is not None else longest
    if empty := [str(k) for k, v in zip(rows["stimulus"], rows["text"], strict=True)
                 if not str(v).strip()]:  # fmt: skip
        notes.append(
            f"{len(empty)} of {len(rows)} texts are empty, such as that of {empty[0]!r}: their "
            f"features are what {section.model} makes of its special tokens alone"
        )
    if cut:
        notes.append(
            f"{cut} of {len(rows)} texts were cut at {limit} tokens, the most that "
            f"{section.model} takes"
        )
    return Inputs(texts, tokenizer, longest=longest)


def _beside_texts(
    section: HuggingFaceFeatures, folder: Any, model: Any, context: Context, where: str
) -> Prepare:
    """Return what prepares pictures with texts: the pictures themselves, or regions of them."""
    from fornix.features.prompt_inputs import prepare_prompts
    from fornix.features.region_inputs import prepare_regions, reads_regions

    if reads_regions(model):
        source = context.sources.get(section.source or "")
        return prepare_regions(section, folder, model, source, where)
    return prepare_prompts(section, folder, context.root, where)
