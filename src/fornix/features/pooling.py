"""Hidden states to one vector a stimulus."""

from __future__ import annotations

from typing import Any, Literal

import torch

from fornix.errors import FornixError

Pooling = Literal["mean", "cls", "last", "max", "flatten"]
CLASS_TOKENS = ("cls_token", "class_embedding", "class_token")
"""How vision models name the parameter that becomes their class token."""


def check_pooling(
    pooling: Pooling, modality: str, model: Any, tokenizer: Any | None, *, where: str
) -> None:
    """Raise if a model has no token of the kind that pooling asks for.

    Raises
    ------
    FornixError
        For ``cls`` without a class token, ``last`` of pictures, ``flatten`` of texts.
    """
    mend = ""
    if pooling == "cls":
        names = (name.rpartition(".")[2] for name, _ in model.named_parameters())
        has = (
            any(name in CLASS_TOKENS for name in names)
            if tokenizer is None
            else tokenizer.cls_token_id is not None
        )
        mend = "" if has else "this model has no class token; take pooling: mean"
        mend += ", or last for a decoder" if mend and modality == "text" else ""
    elif pooling == "last" and modality == "image":
        mend = "the last token of a picture is one patch in its corner; take pooling: mean or cls"
    elif pooling == "flatten" and modality == "text":
        mend = "texts differ in length, so their tokens can't be laid side by side; take mean"
    if mend:
        problem = f"pooling: {pooling} isn't defined for {type(model).__name__}"
        raise FornixError(problem, where=f"{where}: pooling", mend=mend)


def pool(state: torch.Tensor, pooling: Pooling, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Return one vector a stimulus.

    Parameters
    ----------
    state
        (stimulus, token, feature); maps (stimulus, channel, row, column), whose places are
        pooled; or (stimulus, feature), left as it is.
    pooling
        ``mean`` and ``max`` over tokens (special ones such as the class token included) or
        places; ``cls`` the first and ``last`` the last token; ``flatten`` all side by side.
    mask
        (stimulus, token), 1 where a token counts, 0 for padding at the end; None: all count.

    Returns
    -------
    torch.Tensor
        (stimulus, feature).

    Examples
    --------
    >>> pool(torch.tensor([[[1.0], [3.0], [9.0]]]), "mean", torch.tensor([[1, 1, 0]]))
    tensor([[2.]])
    """
    if state.ndim == 2:
        return state
    if pooling == "flatten":
        return state.flatten(1)
    if state.ndim == 4:
        return state.mean((2, 3)) if pooling == "mean" else state.amax((2, 3))
    if mask is None:
        mask = torch.ones(state.shape[:2], dtype=torch.long, device=state.device)
    if pooling in ("cls", "last"):
        rows = torch.arange(len(state), device=state.device)
        return state[rows, mask.sum(1) - 1 if pooling == "last" else 0]
    counts = mask[..., None].bool()
    if pooling == "max":
        return state.masked_fill(~counts, -torch.inf).amax(1)
    return state.masked_fill(~counts, 0).sum(1) / counts.sum(1)
