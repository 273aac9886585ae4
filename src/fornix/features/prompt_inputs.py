"""Pictures (or frames of clips) together with texts: prompts, captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers
from PIL import Image

from fornix.errors import FornixError
from fornix.features.checkpoints import quiet
from fornix.features.clips import clip_info, load_frames
from fornix.features.images import load_image
from fornix.features.network import Batch, Call, Rows
from fornix.study.features.hub import HubSection
from fornix.study.features.huggingface import HuggingFaceFeatures

FRAMES = 8
"""Frames of a clip that a model of pictures and texts is shown."""


@dataclass(frozen=True)
class Prompted:
    """Prepares each picture with one or more texts.

    Attributes
    ----------
    processor
        The model's own: tokenizer and preprocessing of pictures.
    root
        Folder that the stimuli's paths start from.
    prompts
        Name -> text that goes with every picture; empty: each has a text of its own.
    """

    processor: Any
    root: Path
    prompts: Mapping[str, str]

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of its texts."""
        return self.processor.tokenizer

    def plan(self, block: pd.DataFrame) -> list[list[Rows]]:
        """Return one input a picture; what would have to be padded shares no batch."""
        shapes = [self._shape(row) for _, row in block.iterrows()]
        return [
            [np.asarray([at]) for at, own in enumerate(shapes) if own == one]
            for one in sorted(set(shapes))
        ]

    def _shape(self, row: pd.Series) -> tuple[int, ...]:
        """Return the tokens of an input's text, and the size of a picture that isn't resized."""
        tokens = 0 if self.prompts else len(self.tokenizer(str(row["text"])).input_ids)
        if row["modality"] == "video" or not getattr(self.processor.image_processor, "do_pad", 0):
            return (tokens,)
        return tokens, *load_image(self.root / str(row["path"])).size

    def __call__(self, inputs: Sequence[pd.DataFrame]) -> Batch:
        """Return the arguments of a forward pass for each prompt."""
        images = [self.images(one.iloc[0]) for one in inputs]
        if not self.prompts:
            return Batch({"": self._call(images, [str(one["text"].iloc[0]) for one in inputs])})
        calls = {
            f"{name}:": self._call(images, [text] * len(images))
            for name, text in self.prompts.items()
        }
        return Batch(calls)

    def images(self, row: pd.Series) -> list[Image.Image]:
        """Return what is shown of a stimulus: the picture, or frames spread over the clip."""
        path = self.root / str(row["path"])
        if row["modality"] != "video":
            return [load_image(path)]
        times = (np.arange(FRAMES) + 0.5) / FRAMES * clip_info(path).duration
        return [Image.fromarray(frame) for frame in load_frames(path, times)]

    def _call(self, images: Sequence[list[Image.Image]], texts: Sequence[str]) -> Call:
        worded = [self.text(text, len(some)) for text, some in zip(texts, images, strict=True)]
        nested = [some if len(some) > 1 or self._nests() else some[0] for some in images]
        given = {"text": worded} if any(worded) else {}  # a captioner may go on from nothing
        with quiet():
            found = self.processor(images=nested, **given, return_tensors="pt", padding=True)
        mask = found.get("attention_mask")
        return Call(dict(found), mask if isinstance(mask, torch.Tensor) else None)

    def text(self, text: str, n_images: int) -> str:
        """Return a text with the places of its pictures, as the model was trained to read it."""
        if getattr(self.processor, "chat_template", None):
            content = [{"type": "image"}] * n_images
            content += [{"type": "text", "text": text}] if text else []
            turns = [{"role": "user", "content": content}]
            worded: str = self.processor.apply_chat_template(turns, add_generation_prompt=True)
            return worded
        token = getattr(self.processor, "image_token", None)
        return f"{str(token) * n_images}{text}" if token else text

    def _nests(self) -> bool:
        """Tell whether the processor wants a list of pictures for each text."""
        return type(self.processor).__name__.startswith(("Idefics", "SmolVLM"))


def prepare_prompts(
    section: HuggingFaceFeatures, folder: Path | None, root: Path, where: str
) -> Prompted:
    """Return what makes inputs of pictures with texts.

    Raises
    ------
    FornixError
        If the model has no processor, or there is no text.
    """
    if not section.prompts and section.text is None and section.source is None:
        problem = "a model of pictures and texts needs a text with every picture"
        mend = "give prompts, or text: a column of the stimulus table"
        raise FornixError(problem, where=where, mend=mend)
    if not section.prompts and (grids := {"flatten", "tokens"}.intersection(section.readouts)):
        problem = f"the readout {grids.pop()} isn't defined for texts of different lengths"
        raise FornixError(problem, where=f"{where}: readouts", mend="take last, mean, max or cls")
    processor = load_processor(section, folder, where)
    ordered = {"last", "flatten", "tokens"}.intersection(section.readouts)
    if ordered and type(processor).__name__ == "ViltProcessor":
        problem = f"the readout {ordered.pop()} isn't defined for ViLT, whose patches come in a "
        problem += "random order"
        raise FornixError(problem, where=f"{where}: readouts", mend="take cls, mean or max")
    return Prompted(processor, root, section.prompts)


def load_processor(
    section: HubSection, folder: Path | None, where: str, side: str = "right"
) -> Any:
    """Return the processor of a model of pictures and texts; ``side`` is where it pads texts.

    Raises
    ------
    FornixError
        If it has none.
    """
    if folder is None:
        mend = "name a hub model or a local folder: its processor is taken"
        problem = "an architecture alone has no processor"
        raise FornixError(problem, where=where, mend=mend)
    try:
        with quiet():
            found = transformers.AutoProcessor.from_pretrained(
                folder, backend="pil", local_files_only=True, trust_remote_code=False
            )
        if not hasattr(found, "image_processor") or not hasattr(found, "tokenizer"):
            msg = f"it has a {type(found).__name__} alone"
            raise ValueError(msg)
        found.tokenizer.padding_side = side
        if found.tokenizer.pad_token is None:
            found.tokenizer.pad_token = found.tokenizer.eos_token
        return found
    except (OSError, ValueError, ImportError, LookupError, TypeError) as error:
        first = " ".join(str(error).split())[:200]
        problem = f"{section.model} comes without a processor that can be read: {first}"
        mend = "add processor_config.json and the tokenizer's files, as save_pretrained does"
        if isinstance(error, ImportError) and "torchvision" in str(error).lower():
            mend = "install torchvision, of the same build as torch; transformers needs it here"
        raise FornixError(problem, where=str(folder), mend=mend) from None
