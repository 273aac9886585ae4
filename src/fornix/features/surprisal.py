"""Surprisal: how unexpected each word of running text is to a causal language model.

The surprisal of a word is -log2 p(word | words before it), which by the chain rule is the sum
over its tokens (Hale 2001, NAACL; Levy 2008, Cognition). Its entropy is that of the model's
guess at the word's first token, before it is read. Both are in bits.

Every window begins with the model's start token (where there is none, with its end-of-text
token, which stands between documents), so that a passage's first word has a probability, too. A
model without either knows nothing of the first token: it is as likely as any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers
from numpy.typing import NDArray

from fornix.devices import settings, torch_device
from fornix.errors import FornixError
from fornix.features import hub
from fornix.features.checkpoints import build_config, load_model, quiet
from fornix.features.extractor import Context, Layers
from fornix.features.layers import select_layers
from fornix.features.modality import only_modality
from fornix.features.running_text import Passage, Window, fixed, sliding, tokenize
from fornix.features.text_inputs import load_tokenizer, longest_sequence, padded
from fornix.study.features.surprisal import SurprisalFeatures

fingerprint = hub.fingerprint

WORD_LAYERS = ("surprisal", "entropy")
TEXT_LAYERS = ("surprisal", "mean_surprisal", "entropy")
COPIES = 6
"""Arrays as large as the logits that a pass holds, roughly."""

SHARE = 0.25
"""Share of the memory that a pass may take."""

BITS = float(np.log2(np.e))
MEND = "take a causal model, such as gpt2, pythia, llama or qwen"


@contextmanager
def open_extractor(
    section: SurprisalFeatures, rows: pd.DataFrame, context: Context
) -> Iterator[SurprisalExtractor]:
    """Load the language model.

    Raises
    ------
    FornixError
        If the model isn't there, or reads what comes after a word.
    """
    where = hub.place(section)
    modality = only_modality(rows, ("word", "text"), where=where)
    device = torch_device(context.resources)
    with settings(context.resources.threads):
        model, tokenizer = _load(section, context.notes, where)
        model.to(device)
        extractor = SurprisalExtractor(model, tokenizer, section, modality, context, device, where)
        extractor.check_causal()
        yield extractor


def _load(section: SurprisalFeatures, notes: list[str], where: str) -> tuple[Any, Any]:
    folder = hub.locate(section)
    if folder is None:
        raise hub.no_tokenizer(section)
    hub.note_revision(section, folder, notes)
    config = build_config(section, folder)
    masked = transformers.models.auto.modeling_auto.MODEL_FOR_MASKED_LM_MAPPING
    if getattr(config, "is_encoder_decoder", False) or (
        type(config) in masked and not getattr(config, "is_decoder", False)
    ):
        problem = f"{section.model} ({type(config).__name__}) is no causal language model: it "
        problem += "reads the words after a word, too"
        raise FornixError(problem, where=where, mend=MEND)
    loaded = load_model(section, folder, "text", notes, head=True)
    return loaded.model, load_tokenizer(section, folder, loaded.model)


@dataclass
class SurprisalExtractor:
    """Reads running text, or texts that stand alone, and scores its tokens."""

    model: Any
    tokenizer: Any
    section: SurprisalFeatures
    modality: str
    context: Context
    device: torch.device
    where: str
    _passages: dict[str, Passage] = field(default_factory=dict, init=False)

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Layers, one number each."""
        names = WORD_LAYERS if self.modality == "word" else TEXT_LAYERS
        chosen = select_layers(names, self.section.layers, where=self.where)
        return dict.fromkeys(chosen, (1,))

    @cached_property
    def start(self) -> list[int]:
        """The token that every window begins with, if the model has one."""
        for token in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return [int(token)]
        text = f"{self.section.model} has no start token: the first token of a text is taken to "
        self.context.notes.append(f"{text}be as likely as any")
        return []

    @cached_property
    def room(self) -> int:
        """Tokens of a window, the start token apart."""
        limit = longest_sequence(self.model, self.tokenizer) or self.section.window
        return max(2, min(limit, self.section.window) - len(self.start))

    def __call__(self, blocks: Iterable[pd.DataFrame], layers: Sequence[str]) -> Iterator[Layers]:
        """Yield the named layers of each block."""
        for block in blocks:
            found = self._words(block) if self.modality == "word" else self._texts(block)
            yield {name: found[name].astype(np.float32)[:, None] for name in layers}

    def _words(self, block: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
        found = {name: np.zeros(len(block)) for name in WORD_LAYERS}
        positions = block["position"].to_numpy(int)
        for name, at in block.groupby("passage", sort=False).indices.items():
            passage = self._passage(str(name))
            words = np.unique(positions[at]).tolist()
            cut: Any = partial(sliding, room=self.room)
            if self.section.context is not None:
                cut = partial(fixed, context=self.section.context, room=self.room)
            bits, entropy = self._score(passage, list(cut(passage, words)))
            for row in at:
                own = passage.own(positions[row])
                if own:  # a word that the tokenizer knows nothing of is none to the model
                    found["surprisal"][row] = bits[own].sum()
                    found["entropy"][row] = entropy[own.start]
            self.context.advance(len(at))
        return found

    def _texts(self, block: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
        found = {name: np.zeros(len(block)) for name in TEXT_LAYERS}
        for row, text in enumerate(block["text"].astype(str)):
            passage = tokenize(self.tokenizer, [text])
            if not passage.tokens.size:
                problem = f"the text of stimulus {block['stimulus'].iloc[row]!r} has no token"
                mend = "leave empty texts out of the events"
                raise FornixError(problem, where=self.where, mend=mend)
            bits, entropy = self._score(passage, list(sliding(passage, [0], self.room)))
            found["surprisal"][row] = bits.sum()
            found["mean_surprisal"][row] = bits.mean()
            found["entropy"][row] = entropy.mean()
            self.context.advance(1)
        return found

    def _passage(self, name: str) -> Passage:
        if name not in self._passages:
            table = self.context.stimuli
            words = table[table["passage"].astype(str) == name].sort_values("position")["text"]
            self._passages[name] = tokenize(self.tokenizer, words.astype(str).tolist())
        return self._passages[name]

    def _score(
        self, passage: Passage, windows: Sequence[Window]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return each token's surprisal, and the entropy before it, bits; NaN outside windows."""
        bits = np.full(len(passage.tokens), np.nan)
        entropy = bits.copy()
        size = self._batch_size(windows)
        for at in range(0, len(windows), size):
            some = windows[at : at + size]
            texts = [self.start + passage.tokens[one.begin : one.stop].tolist() for one in some]
            logits = self._logits(texts)
            for one, guesses in zip(some, logits, strict=True):
                first = one.scored
                if not self.start and first == one.begin:  # nothing comes before it
                    bits[first] = entropy[first] = np.log2(guesses.shape[-1])
                    first += 1
                # The guess at a token is made at the token before it.
                before = len(self.start) - 1 - one.begin
                own = guesses[first + before : one.stop + before]
                scored = torch.from_numpy(passage.tokens[first : one.stop]).to(own.device)
                bits[first : one.stop], entropy[first : one.stop] = surprisal(own, scored)
        return bits, entropy

    def _batch_size(self, windows: Sequence[Window]) -> int:
        if self.section.batch_size != "auto":
            return self.section.batch_size
        longest = max((one.stop - one.begin for one in windows), default=1)
        memory = self.context.resources.memory_mb * 1e6
        if self.device.type == "cuda":
            memory = torch.cuda.mem_get_info(self.device)[0]
        vocabulary = self.model.get_input_embeddings().num_embeddings
        return max(1, int(memory * SHARE / (4 * COPIES * longest * vocabulary)))

    def _logits(self, texts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the model's guesses at the next token, (text, token, vocabulary)."""
        precision = getattr(torch, self.section.precision)
        ids, mask = padded(texts, 0)
        with (
            quiet(),
            torch.inference_mode(),
            torch.autocast(self.device.type, precision, enabled=precision != torch.float32),
        ):
            found = self.model(
                input_ids=ids.to(self.device), attention_mask=mask.to(self.device)
            )  # fmt: skip
        logits: torch.Tensor = found.logits
        return logits

    def check_causal(self) -> None:
        """Raise if what comes after a token changes what the model guesses before it.

        Raises
        ------
        FornixError
            If it does.
        """
        known = sorted(set(self.tokenizer.get_vocab().values()))[-3:]
        texts = [[known[0], known[0], last] for last in (known[0], known[-1])]
        one, other = self._logits(texts)[:, :2].float().log_softmax(-1)
        if (one - other).abs().max() > 1e-2 * one.std():
            problem = f"{self.section.model} is no causal language model: what comes after a word "
            problem += "changes what it expects there"
            raise FornixError(problem, where=self.where, mend=MEND)


def surprisal(
    logits: torch.Tensor, tokens: torch.Tensor
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return -log2 p of tokens, and the entropy of the guesses, bits, float64 (token,).

    Parameters
    ----------
    logits
        (token, vocabulary), the guess at each token.
    tokens
        int64 (token,), what came.

    Examples
    --------
    >>> bits, entropy = surprisal(torch.zeros(1, 8), torch.tensor([5]))
    >>> float(bits[0]), float(entropy[0])
    (3.0, 3.0)
    """
    logs = logits.float().log_softmax(-1)
    bits = -logs.gather(-1, tokens[:, None])[:, 0]
    entropy = torch.special.entr(logs.exp()).sum(-1)
    return BITS * bits.cpu().double().numpy(), BITS * entropy.cpu().double().numpy()
