"""Stimuli as a Hugging Face model takes them: pixel values, or padded tokens and their mask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers

from fornix.errors import FornixError
from fornix.features.checkpoints import quiet
from fornix.features.hub import no_tokenizer
from fornix.features.images import load_image, map_images
from fornix.study.features import HuggingFaceFeatures

DEFAULT_SIZE = 224
UNLIMITED = 1_000_000
"""Tokenizers without a limit have one of 1e30."""

Inputs = tuple[dict[str, torch.Tensor], torch.Tensor | None]
Prepare = Callable[[pd.DataFrame], Inputs]
"""Rows of the stimulus table -> the model's arguments, and the mask of tokens that count."""


def prepare_images(
    section: HuggingFaceFeatures,
    folder: Path | None,
    model: Any,
    *,
    root: Path,
    threads: int,
    notes: list[str],
) -> Prepare:
    """Return the function that makes pixel values of pictures.

    The model's own preprocessing is used. A random init that has none, or that changes the size
    of its pictures, gets squares of that size, scaled from -1 (black) to 1 (white).

    Raises
    ------
    FornixError
        If a pretrained model comes without its preprocessing.
    """
    resized = section.init == "random" and "image_size" in section.config
    processor = None if folder is None or resized else _image_processor(section, folder)
    where = f"features (kind: huggingface, model: {section.model})"
    if processor is not None:

        def own(rows: pd.DataFrame) -> Inputs:
            images = [load_image(root / str(path)) for path in rows["path"]]
            with quiet():
                found = processor(images=images, return_tensors="pt")
            if not isinstance(found["pixel_values"], torch.Tensor):
                problem = "the model's preprocessing gives pictures of different sizes"
                mend = "bring the pictures to one size, or take a model that crops them"
                raise FornixError(problem, where=where, mend=mend)
            return dict(found), None

        return own
    channels = getattr(model.config, "num_channels", 3)
    size = getattr(model.config, "image_size", DEFAULT_SIZE)
    side = size if isinstance(size, int) else max(size)
    notes.append(f"{section.model}: pictures are squares of {side} pixels, scaled from -1 to 1")

    def load(path: Path) -> Any:
        image = load_image(path, "L" if channels == 1 else "RGB", side)
        values = np.asarray(image, dtype=np.float32).reshape(side, side, -1) / 127.5 - 1
        return values.transpose(2, 0, 1)

    def plain(rows: pd.DataFrame) -> Inputs:
        found = map_images(load, [root / str(path) for path in rows["path"]], threads)
        return {"pixel_values": torch.from_numpy(np.stack(found))}, None

    return plain


def _image_processor(section: HuggingFaceFeatures, folder: Path) -> Any:
    try:
        with quiet():
            return transformers.AutoImageProcessor.from_pretrained(
                folder, backend="pil", local_files_only=True, trust_remote_code=False
            )
    except (OSError, ValueError, ImportError, LookupError) as error:
        if section.init == "random":
            return None
        first = " ".join(str(error).split())[:200]
        problem = f"{section.model} comes without its preprocessing of pictures: {first}"
        mend = "add preprocessor_config.json, as its image processor's save_pretrained writes it"
        raise FornixError(problem, where=str(folder), mend=mend) from None


@dataclass
class TextInputs:
    """Makes tokens of texts, and counts those that were too long for the model.

    Attributes
    ----------
    tokenizer
        The model's tokenizer.
    limit
        Longest sequence, tokens; None: any.
    where
        The section, for messages.
    truncated
        Texts so far that were cut at ``limit``.
    """

    tokenizer: Any
    limit: int | None
    where: str
    truncated: int = 0

    def __call__(self, rows: pd.DataFrame) -> Inputs:
        """Return tokens padded at their end, and the mask of those that are no padding."""
        texts = [str(text) for text in rows["text"]]
        with quiet():
            tokens: list[list[int]] = self.tokenizer(texts)["input_ids"]
            if self.limit is not None:
                long = sum(len(one) > self.limit for one in tokens)
                self.truncated += long
                if long:
                    tokens = self.tokenizer(texts, truncation=True, max_length=self.limit)[
                        "input_ids"
                    ]
        if empty := [str(rows["stimulus"].iloc[i]) for i, one in enumerate(tokens) if not one]:
            problem = f"{len(empty)} texts have no token, such as stimulus {empty[0]!r}"
            mend = "leave empty texts out of the events"
            raise FornixError(problem, where=self.where, mend=mend)
        ids, mask = _padded(tokens, self.tokenizer.pad_token_id or 0)
        return {"input_ids": ids, "attention_mask": mask}, mask


def _padded(tokens: Sequence[Sequence[int]], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, tokens))
    ids = torch.full((len(tokens), longest), padding)
    mask = torch.zeros((len(tokens), longest), dtype=torch.long)
    for row, one in enumerate(tokens):
        ids[row, : len(one)] = torch.tensor(one)
        mask[row, : len(one)] = 1
    return ids, mask


def prepare_texts(section: HuggingFaceFeatures, folder: Path | None, model: Any) -> TextInputs:
    """Return the function that makes tokens of texts.

    Raises
    ------
    FornixError
        If there is no tokenizer, or it has tokens that the model doesn't know.
    """
    where = f"features (kind: huggingface, model: {section.model})"
    if folder is None:
        raise no_tokenizer(section)
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        # Without a vocabulary transformers makes a tokenizer that knows its special tokens only.
        words = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
        reason = "" if words else "it has no vocabulary"
    except (OSError, ValueError, ImportError, LookupError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
    if reason:
        problem = f"{section.model} comes without a tokenizer that can be read: {reason}"
        mend = "add tokenizer.json and tokenizer_config.json, as save_pretrained writes them"
        raise FornixError(problem, where=str(folder), mend=mend)
    rows = model.get_input_embeddings().num_embeddings
    highest = max(tokenizer.get_vocab().values(), default=-1)
    if not 0 <= highest < rows:
        problem = f"the tokenizer has {highest + 1} tokens, the model {rows}"
        mend = "add the model's own tokenizer files; with overrides, leave vocab_size as it was"
        raise FornixError(problem, where=where, mend=mend)
    return TextInputs(tokenizer, longest_sequence(model, tokenizer), where)


def longest_sequence(model: Any, tokenizer: Any) -> int | None:
    """Return the tokens that a model can take at once, None if there is no limit."""
    limits = [tokenizer.model_max_length] if tokenizer.model_max_length < UNLIMITED else []
    for name, part in model.named_modules():
        if isinstance(part, torch.nn.Embedding) and "position" in name.rpartition(".")[2]:
            # RoBERTa counts its positions from the one after padding.
            first = 0 if part.padding_idx is None else part.padding_idx + 1
            limits.append(part.num_embeddings - first)
    stated = getattr(model.config, "max_position_embeddings", None)
    if not limits and isinstance(stated, int):
        limits.append(stated)
    return min(limits) if limits else None
