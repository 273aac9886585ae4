"""Token grids with planted answers, for models that read tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fornix.models.interface import EncodingData

SIDE, TOKENS = 4, 16
UNITS = 6
"""A region."""


@dataclass
class World:
    """Tokens, responses, and where each stimulus has its object."""

    tokens: np.ndarray
    responses: np.ndarray
    places: np.ndarray

    def data(self, *, flat=False, name="vit/tokens", inner=10):
        tokens = self.tokens.reshape(len(self.tokens), TOKENS, -1) if flat else self.tokens
        n = len(tokens)
        fold = np.arange(n) % 4
        folds = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(2)]
        units = pd.DataFrame({"unit": range(2 * UNITS), "roi": ["early", "face"] * UNITS})
        return EncodingData(
            {name: tokens}, self.responses, units, folds,
            lambda rows: np.arange(len(rows)) % inner, {name: [name]},
        )  # fmt: skip


def routed(n=400, noise=0.3, seed=0):
    """``early`` reads what is at one place; ``face`` reads the token that has the mark."""
    rng = np.random.default_rng(seed)
    content = rng.normal(size=(n, TOKENS, 3))
    places = rng.integers(TOKENS, size=n)
    marked = np.zeros((n, TOKENS, 1))
    marked[np.arange(n), places] = 2
    mixing = rng.normal(size=(4, 16))
    tokens = np.concatenate([content, marked], 2) @ mixing
    fixed, found = content[:, 5], content[np.arange(n), places]
    answers = np.empty((n, 2 * UNITS))
    for start, source in ((0, fixed), (1, found)):
        answers[:, start::2] = source @ rng.normal(size=(3, UNITS))
    answers /= answers.std(0)
    answers += noise * rng.normal(size=answers.shape)
    grid = tokens.reshape(n, SIDE, SIDE, -1).astype(np.float32)
    return World(grid, (5 + answers).astype(np.float32), places)


def correlation(predicted, observed, rows):
    pairs = zip(predicted[rows].T, observed[rows].T, strict=True)
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in pairs])
