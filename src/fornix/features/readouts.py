"""What is kept of a layer: one vector a stimulus, or the tokens as a grid."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.random_projection import SparseRandomProjection

from fornix.errors import FornixError
from fornix.study.features.base import Projection, Readout

CLASS_TOKENS = ("cls_token", "class_embedding", "class_token")
"""How vision models name the parameter that becomes their class token."""


def layer_name(layer: str, readout: Readout, readouts: Sequence[Readout], ndim: int) -> str:
    """Return the name under which a readout of a layer is stored.

    Examples
    --------
    >>> layer_name("block3", "cls", ["cls", "mean"], 3)
    'block3@cls'
    >>> layer_name("block3", "mean", ["mean"], 3)
    'block3'
    """
    return f"{layer}@{readout}" if len(readouts) > 1 and ndim > 2 else layer


def has_class_token(model: torch.nn.Module, tokenizer: Any | None = None) -> bool:
    """Tell whether the first token of a model is a class token."""
    if tokenizer is not None:
        return tokenizer.cls_token_id is not None
    names = (name.rpartition(".")[2] for name, _ in model.named_parameters())
    return any(name in CLASS_TOKENS for name in names)


def prefix_tokens(model: Any) -> int:
    """Return how many tokens of a vision model come before those of the picture's places."""
    registers = int(getattr(model.config, "num_register_tokens", 0) or 0)
    distilled = any(name.endswith("distillation_token") for name, _ in model.named_parameters())
    return has_class_token(model) + registers + distilled


def check_readouts(
    readouts: Sequence[Readout],
    modality: str,
    model: Any,
    tokenizer: Any | None,
    *,
    where: str,
    windowed: bool = False,
) -> None:
    """Raise if a model has no token of the kind that a readout asks for.

    ``windowed`` says that a row is part of what the model reads: a word, a step of time.

    Raises
    ------
    FornixError
        For ``cls`` without a class token, ``last`` of pictures, ``flatten`` of texts, ``window``
        of what is read whole, and readouts named twice.
    """
    for readout in readouts:
        mend = ""
        if readout == "cls" and not has_class_token(model, tokenizer):
            mend = "this model has no class token; take mean"
            mend += ", or last for a decoder" if modality == "text" else ""
        elif readout == "last" and modality == "image":
            mend = "the last token of a picture is one patch in its corner; take mean or cls"
        elif readout == "flatten" and modality == "text":
            mend = "texts differ in length, so their tokens can't be laid side by side; take mean"
        elif readout == "window" and not windowed:
            mend = "window is for words in running text, and for sounds and clips with a rate; "
            mend += "here a row is all that the model reads: take mean"
        elif readouts.count(readout) > 1:
            mend = "it is there twice; name it once"
        if mend:
            problem = f"the readout {readout} isn't defined for {type(model).__name__}"
            raise FornixError(problem, where=f"{where}: readouts", mend=mend)


def read(
    state: torch.Tensor,
    readout: Readout,
    mask: torch.Tensor | None = None,
    *,
    prefix: int | None = None,
    longest: int | None = None,
) -> torch.Tensor:
    """Read one layer of a batch.

    Parameters
    ----------
    state
        (stimulus, token, feature); maps (stimulus, channel, row, column), whose places are read;
        or (stimulus, feature), left as it is.
    readout
        ``mean`` and ``max`` over tokens (special ones such as the class token included) or
        places; ``window`` is ``mean`` with another mask; ``cls`` the first and ``last`` the last
        token that counts; ``flatten`` all side by side; ``tokens`` all as a grid.
    mask
        (stimulus, token), 1 where a token counts, 0 for padding; None: all count.
    prefix
        Tokens before those of a picture's places, which ``tokens`` leaves out where the rest
        makes a square; None: tokens aren't places.
    longest
        Tokens to which ``tokens`` pads with zeros, so that texts have one shape.

    Returns
    -------
    torch.Tensor
        (stimulus, feature), or for ``tokens`` (stimulus, token, feature) or (stimulus, row,
        column, feature).

    Examples
    --------
    >>> read(torch.tensor([[[1.0], [3.0], [9.0]]]), "mean", torch.tensor([[1, 1, 0]]))
    tensor([[2.]])
    """
    if state.ndim <= 2 or readout == "flatten":
        return state.reshape(len(state), -1)
    if state.ndim == 4:
        return _read_places(state, readout)
    if state.ndim > 4:
        state, mask = state.flatten(2).transpose(1, 2), None
    if mask is None:
        return _read_all(state, readout, prefix)
    return _read_some(state, readout, mask, longest)


def _read_places(maps: torch.Tensor, readout: Readout) -> torch.Tensor:
    if readout == "tokens":
        return maps.permute(0, 2, 3, 1)
    return maps.amax((2, 3)) if readout == "max" else maps.mean((2, 3))


def _read_some(
    state: torch.Tensor, readout: Readout, mask: torch.Tensor, longest: int | None
) -> torch.Tensor:
    """Read a layer some of whose tokens don't count."""
    counts = mask[..., None].bool()
    if readout in ("cls", "last"):
        rows = torch.arange(len(state), device=state.device)
        places = torch.arange(state.shape[1], device=state.device)
        last = torch.where(mask.bool(), places, -1).amax(1)
        return state[rows, last if readout == "last" else torch.zeros_like(last)]
    if readout == "tokens":
        return _grid(state.masked_fill(~counts, 0), None, longest)
    if readout == "max":
        return state.masked_fill(~counts, -torch.inf).amax(1)
    return state.masked_fill(~counts, 0).sum(1) / counts.sum(1)


def _read_all(state: torch.Tensor, readout: Readout, prefix: int | None) -> torch.Tensor:
    """Read a layer all of whose tokens count, as those of pictures do: without any copy."""
    if readout == "tokens":
        return _grid(state, prefix, None)
    if readout in ("cls", "last"):
        return state[:, 0 if readout == "cls" else -1]
    return state.amax(1) if readout == "max" else state.mean(1)


def _grid(state: torch.Tensor, prefix: int | None, longest: int | None) -> torch.Tensor:
    if longest is not None:
        return torch.nn.functional.pad(state, (0, 0, 0, longest - state.shape[1]))
    if prefix is None:
        return state
    side = round((state.shape[1] - prefix) ** 0.5)
    if side > 1 and side**2 == state.shape[1] - prefix:
        return state[:, prefix:].reshape(len(state), side, side, -1)
    return state


def project(values: NDArray[np.float32], projection: Projection | None) -> NDArray[np.float32]:
    """Return values (row, ..., feature) with fewer features, by a sparse random projection.

    Distances between rows are kept up to a few percent (Li, Hastie & Church 2006, KDD 287);
    the matrix is scikit-learn's, with density 1 / sqrt(feature).
    """
    if projection is None or values.shape[-1] <= projection.n_components:
        return values
    matrix = _matrix(values.shape[-1], projection.n_components, projection.seed)
    flat = values.reshape(-1, values.shape[-1])
    found = np.ascontiguousarray((matrix @ flat.T).T, dtype=np.float32)
    return found.reshape(*values.shape[:-1], projection.n_components)


@lru_cache(maxsize=8)
def _matrix(n_features: int, n_components: int, seed: int) -> Any:
    empty = np.zeros((1, n_features), dtype=np.float32)
    fitted = SparseRandomProjection(n_components, random_state=seed).fit(empty)
    return fitted.components_.astype(np.float32)
