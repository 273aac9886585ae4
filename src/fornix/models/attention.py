"""Queries that look for what they need among a picture's tokens: one layer of cross-attention.

The transformer brain encoder of Adeli, Sun & Kriegeskorte 2025 (NeurIPS), after the decoder of
DETR (Carion et al. 2020, ECCV) without its self-attention.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

TEMPERATURE = 10_000.0
"""Of the sine position: ratio of the longest wavelength to the shortest."""


class RegionQueries(nn.Module):
    """From tokens to units: each region's query attends to tokens; a linear map reads the result.

    Parameters
    ----------
    grid
        Rows and columns of the tokens; a sequence has one row.
    features
        Features of a token. Where it isn't ``width``, a linear map comes first.
    regions
        Region of each unit, from 0.
    width, heads, hidden
        Of the attention, and of the layer behind it.
    dropout
        Share of weights and activations.
    """

    def __init__(
        self,
        grid: tuple[int, int],
        features: int,
        regions: NDArray[np.intp],
        *,
        width: int,
        heads: int,
        hidden: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.entry = nn.Linear(features, width) if features != width else nn.Identity()
        self.position: Tensor
        self.register_buffer("position", sine_position(*grid, width), persistent=False)
        self.queries = nn.Parameter(torch.empty(int(regions.max()) + 1, width))
        self.attention = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.after_attention, self.last = nn.LayerNorm(width), nn.LayerNorm(width)
        self.between = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width)
        )
        self.dropout = nn.Dropout(dropout)
        for weights in self.parameters():
            if weights.ndim > 1:
                nn.init.xavier_uniform_(weights)
        self.readout = RegionReadout(width, regions)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (sample, unit) from tokens (sample, token, feature)."""
        return self.attend(tokens, weights=False)[0]

    def attend(self, tokens: Tensor, *, weights: bool = True) -> tuple[Tensor, Tensor | None]:
        """Return predictions, and how much each region attends to each token.

        The second is (sample, region, token), the mean over heads, with a sum of 1.
        """
        values = self.entry(tokens)
        queries = self.queries.expand(len(tokens), -1, -1)
        # Where a token is tells which to take, and isn't part of what is taken.
        found, attention = self.attention(
            queries, values + self.position, values, need_weights=weights
        )
        found = self.dropout(found)
        found = found + self.dropout(self.between(self.after_attention(found)))
        return self.readout(self.last(found)), attention


class RegionReadout(nn.Module):
    """A linear map from a region's token to its units.

    The same as one map from any token to all units of which each unit keeps its own region's
    result, without computing the others.
    """

    def __init__(self, width: int, regions: NDArray[np.intp]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(len(regions), width))
        self.bias = nn.Parameter(torch.zeros(len(regions)))
        bound = 1 / math.sqrt(width)
        nn.init.uniform_(self.weight, -bound, bound)
        # Units region by region, and the place of each unit among these.
        order = np.argsort(regions, kind="stable")
        self.order: Tensor
        self.place: Tensor
        self.register_buffer("order", torch.from_numpy(order), persistent=False)
        self.register_buffer("place", torch.from_numpy(np.argsort(order)), persistent=False)
        self.counts = np.bincount(regions).tolist()

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (sample, unit) from (sample, region, width)."""
        weights = torch.split(self.weight[self.order], self.counts)
        parts = [tokens[:, region] @ mine.T for region, mine in enumerate(weights)]
        return torch.cat(parts, dim=1)[:, self.place] + self.bias


def sine_position(rows: int, columns: int, width: int) -> Tensor:
    """Return the position of each token, (token, width): half of it its row, half its column.

    Sines and cosines of wavelengths from one cycle over the grid on (Carion et al. 2020).

    Examples
    --------
    >>> sine_position(2, 3, 8).shape
    torch.Size([6, 8])
    """
    first = _waves(rows, width - width // 2)
    second = _waves(columns, width // 2)
    grid = (rows, columns)
    along = [first[:, None].expand(*grid, -1), second[None].expand(*grid, -1)]
    return torch.cat(along, dim=2).reshape(rows * columns, width).contiguous()


def _waves(n: int, width: int) -> Tensor:
    """Return (place, width): pairs of a sine and a cosine."""
    place = 2 * math.pi * torch.arange(1, n + 1, dtype=torch.float64) / n
    pair = torch.arange(width, dtype=torch.float64) // 2
    angle = place[:, None] / TEMPERATURE ** (2 * pair / max(width, 1))
    even = torch.arange(width) % 2 == 0
    return torch.where(even, angle.sin(), angle.cos()).float()


def regions_of(names: Sequence[str]) -> tuple[list[str], NDArray[np.intp]]:
    """Return the regions in the order of their first units, and each unit's region.

    Units outside all regions ("") are one region more.
    """
    regions = list(dict.fromkeys(map(str, names)))
    places = {name: i for i, name in enumerate(regions)}
    return regions, np.asarray([places[str(name)] for name in names], dtype=np.intp)
