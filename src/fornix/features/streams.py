"""Hidden states, by name: of one stream of tokens, or of several that models keep apart.

A model that carries pictures and texts side by side has a stream for each: layers are named
``text_block3``, ``image_block3``, and ``cross_text_block1`` and ``cross_image_block1`` where one
reads the other (``cross`` alone where the model gives its last state only).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

APART = {
    "language_hidden_states": "text",
    "vision_hidden_states": "image",
    "text_output": "text",
    "image_output": "image",
    "multimodal_output": "cross",
}
"""Where outputs keep the states of their streams (LXMERT, FLAVA)."""

OF_PICTURES = ("BlipForConditionalGenerationModelOutput", "BlipTextVisionModelOutput")
"""Outputs whose states are those of the picture alone."""


def hidden_states(found: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the names and states of a model's output; nothing if it has none."""
    hidden = getattr(found, "hidden_states", None) or getattr(found, "encoder_hidden_states", None)
    if hidden and isinstance(hidden[0], torch.Tensor):
        stream = "image_" if type(found).__name__ in OF_PICTURES else ""
        yield from _numbered(stream, hidden)
    elif hidden:
        text, image, cross = hidden
        yield from _stream("text", text)
        yield from _stream("image", [one.transpose(0, 1) for one in image])  # (token, item, ...)
        yield from _stream("cross", cross)
    else:
        for key, name in APART.items():
            states = getattr(found, key, None)
            last = getattr(states, "last_hidden_state", None)
            states = getattr(states, "hidden_states", states)
            if states is None and last is not None:  # of FLAVA's last part there is no more
                yield name, last
            yield from _stream(name, states if isinstance(states, tuple) else ())


def _stream(name: str, states: Sequence[Any]) -> Iterator[tuple[str, torch.Tensor]]:
    if states and isinstance(states[0], tuple):  # of both, each having read the other
        for part, own in zip(("text", "image"), zip(*states, strict=True), strict=True):
            for at, one in enumerate(own):
                yield f"{name}_{part}_block{at + 1}", one
    else:
        yield from _numbered(f"{name}_", states)


def _numbered(stream: str, states: Sequence[torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    for at, one in enumerate(states):
        yield f"{stream}block{at}" if at else f"{stream}embeddings", one
