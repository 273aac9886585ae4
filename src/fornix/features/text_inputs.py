"""Texts, and words in their running text, as the tokens that a model wants."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers

from fornix.errors import FornixError
from fornix.features.checkpoints import quiet
from fornix.features.hub import no_tokenizer, place
from fornix.features.network import Batch, Call, Rows, each_row
from fornix.study.features.hub import HubSection

UNLIMITED = 1_000_000
"""Tokenizers without a limit have one of 1e30."""

FILLED = ("siglip_text_model", "siglip2_text_model")
"""Models that learnt from texts padded to their limit, and pool the last token whatever it is."""


@dataclass(frozen=True)
class Texts:
    """Prepares texts that stand alone; those that are too long are cut.

    Attributes
    ----------
    tokenizer
        The model's tokenizer.
    limit
        Longest sequence, tokens; None: any.
    filled
        Whether the model wants every text padded to the limit, as SigLIP's does.
    """

    tokenizer: Any
    limit: int | None
    filled: bool = False

    def plan(self, block: pd.DataFrame) -> list[list[Rows]]:
        """Return one input a text, the shortest first, so that little is padded."""
        order = np.argsort(block["text"].astype(str).str.len().to_numpy(), kind="stable")
        return [[np.asarray([at]) for at in order]]

    def __call__(self, inputs: Sequence[pd.DataFrame]) -> Batch:
        """Return tokens padded at their end, and the mask of those that are no padding."""
        texts = [str(one["text"].iloc[0]) for one in inputs]
        if self.filled:
            return self._filled(texts)
        tokens = self.tokens(texts)
        ids, mask = padded(tokens, self.tokenizer.pad_token_id or 0)
        return Batch({"": Call({"input_ids": ids, "attention_mask": mask}, mask)})

    def _filled(self, texts: Sequence[str]) -> Batch:
        """Return tokens padded to the limit, as the tokenizer does it."""
        with quiet():
            found = self.tokenizer(
                list(texts), padding="max_length", truncation=True, max_length=self.limit,
                return_attention_mask=True, return_tensors="pt",
            )  # fmt: skip
        mask = found["attention_mask"]
        names = {"input_ids", "attention_mask"}.intersection(self.tokenizer.model_input_names)
        return Batch({"": Call({name: found[name] for name in names}, mask)})

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of texts, cut at the limit."""
        with quiet():
            found: list[list[int]] = self.tokenizer(list(texts))["input_ids"]
            if self.limit is not None and any(len(one) > self.limit for one in found):
                cut = self.tokenizer(list(texts), truncation=True, max_length=self.limit)
                found = cut["input_ids"]
        return found

    def survey(self, rows: pd.DataFrame, where: str) -> tuple[int, int]:
        """Return how many texts are cut, and the length of the longest, tokens.

        Raises
        ------
        FornixError
            If a text has no token.
        """
        with quiet():
            lengths = [len(one) for one in self.tokenizer([str(t) for t in rows["text"]]).input_ids]
        if empty := [str(rows["stimulus"].iloc[i]) for i, n in enumerate(lengths) if not n]:
            problem = f"{len(empty)} texts have no token, such as stimulus {empty[0]!r}"
            mend = "leave empty texts out of the events"
            raise FornixError(problem, where=where, mend=mend)
        limit = self.limit or max(lengths)
        return sum(n > limit for n in lengths), min(limit, max(lengths))


@dataclass(frozen=True)
class Words:
    """Prepares words of running text, each with the words before it, and none after it.

    Attributes
    ----------
    tokenizer
        The model's tokenizer; it must tell which letters a token stands for.
    limit
        Longest sequence, tokens.
    context
        Words before a word that are read with it.
    passages
        Passage -> its words, in order.
    """

    tokenizer: Any
    limit: int | None
    context: int
    passages: Mapping[str, Sequence[str]]

    def plan(self, block: pd.DataFrame) -> list[list[Rows]]:
        """Return one input a word, in the order of the text."""
        return each_row(block)

    def __call__(self, inputs: Sequence[pd.DataFrame]) -> Batch:
        """Return tokens, and the mask of those that are the word's own."""
        ids: list[list[int]] = []
        own: list[list[int]] = []
        for one in inputs:
            found = self.word(str(one["passage"].iloc[0]), int(one["position"].iloc[0]))
            ids.append(found[0])
            own.append(found[1])
        tokens, attention = padded(ids, self.tokenizer.pad_token_id or 0)
        mask, _ = padded(own, 0)
        arguments = {"input_ids": tokens, "attention_mask": attention}
        return Batch({"": Call(arguments, mask, window=attention)})

    def word(self, passage: str, position: int) -> tuple[list[int], list[int]]:
        """Return a word's tokens in context, and 1 for each that is its own.

        Where the context is too long for the model, its first words are left out.
        """
        words = self.passages[passage]
        first = max(0, position - self.context)
        found, start = self._tokens(words, first, position)
        if self.limit is not None and len(found["input_ids"]) > self.limit:
            # A word is a token at least; of the rest, the fewest are left out that have to be.
            few = range(max(first, position - self.limit), position + 1)
            first = few[bisect_left(few, True, key=lambda at: self._fits(words, at, position))]
            found, start = self._tokens(words, first, position)
        own = [int(b > start and b > a) for a, b in found["offset_mapping"]]
        if not any(own):  # a word that the tokenizer knows nothing of
            own[-1] = 1
        limit = self.limit or len(own)
        return found["input_ids"][:limit], own[:limit]

    def _tokens(self, words: Sequence[str], first: int, position: int) -> tuple[Any, int]:
        """Return the tokens of some words, and where the last of them begins in their text."""
        before = " ".join(words[first:position])
        text = f"{before} {words[position]}" if before else words[position]
        with quiet():
            return self.tokenizer(text, return_offsets_mapping=True), len(before) + bool(before)

    def _fits(self, words: Sequence[str], first: int, position: int) -> bool:
        if self.limit is None or first == position:
            return True
        return len(self._tokens(words, first, position)[0]["input_ids"]) <= self.limit


def padded(tokens: Sequence[Sequence[int]], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return sequences padded at their end, and 1 for what isn't padding: int64 (item, token)."""
    longest = max(map(len, tokens))
    ids = torch.full((len(tokens), longest), padding)
    mask = torch.zeros((len(tokens), longest), dtype=torch.long)
    for row, one in enumerate(tokens):
        ids[row, : len(one)] = torch.tensor(one)
        mask[row, : len(one)] = 1
    return ids, mask


def load_tokenizer(section: HubSection, folder: Path | None, model: Any) -> Any:
    """Return a model's tokenizer.

    Raises
    ------
    FornixError
        If there is none, or it has tokens that the model doesn't know.
    """
    where = place(section)
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
    return tokenizer


def longest_sequence(model: Any, tokenizer: Any) -> int | None:
    """Return the tokens that a model can take at once, None if there is no limit."""
    limits = [tokenizer.model_max_length] if tokenizer.model_max_length < UNLIMITED else []
    for name, part in model.named_modules():
        if isinstance(part, torch.nn.Embedding) and "position" in name.rpartition(".")[2]:
            # RoBERTa counts its positions from the one after padding.
            first = 0 if part.padding_idx is None else part.padding_idx + 1
            limits.append(part.num_embeddings - first)
    stated = getattr(model.config, "max_position_embeddings", None)
    if not limits and isinstance(stated, int) and stated > 0:  # XLNet states -1: any length
        limits.append(stated)
    return min(limits) if limits else None
