"""Which rows each step of training sees: a function of the seed and the epoch alone.

A sampler has no state, so that its place in an epoch is all that a resumed training needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fornix.seeds import generator

Rows = NDArray[np.intp]


class Sampler(Protocol):
    """Batches of rows, as many in every epoch."""

    def __len__(self) -> int:
        """Return the number of batches an epoch."""

    def batches(self, epoch: int) -> Sequence[Rows]:
        """Return the rows of each batch of an epoch."""


@dataclass(frozen=True)
class Shuffled:
    """All rows once an epoch, in another order each time.

    Attributes
    ----------
    rows
        Rows to draw from.
    batch_size
        Rows a batch.
    seed, purpose
        As for :func:`fornix.seeds.generator`.
    drop_last
        Leave out the rows that don't fill a batch (contrastive losses need full ones); they
        come in other epochs.
    """

    rows: Rows
    batch_size: int
    seed: int = 0
    purpose: tuple[str, ...] = ()
    drop_last: bool = False

    def __len__(self) -> int:
        """Return the number of batches an epoch."""
        full, rest = divmod(len(self.rows), self.batch_size)
        # Fewer rows than a batch are a batch.
        return full + bool(rest and not (self.drop_last and full))

    def batches(self, epoch: int) -> list[Rows]:
        """Return the rows of each batch of an epoch."""
        rng = generator(self.seed, "batches", *self.purpose, epoch)
        order = np.asarray(self.rows)[rng.permutation(len(self.rows))]
        return [order[i * self.batch_size : (i + 1) * self.batch_size] for i in range(len(self))]


@dataclass(frozen=True)
class Grouped:
    """Batches that never mix groups (subjects with different units), in a random order.

    Attributes
    ----------
    groups
        Rows of each group.
    batch_size, seed, purpose
        As in :class:`Shuffled`.
    """

    groups: tuple[Rows, ...]
    batch_size: int
    seed: int = 0
    purpose: tuple[str, ...] = ()

    def _each(self) -> list[Shuffled]:
        return [
            Shuffled(rows, self.batch_size, self.seed, (*self.purpose, str(i)))
            for i, rows in enumerate(self.groups)
        ]

    def __len__(self) -> int:
        """Return the number of batches an epoch."""
        return sum(map(len, self._each()))

    def batches(self, epoch: int) -> list[Rows]:
        """Return the rows of each batch of an epoch."""
        found = [batch for one in self._each() for batch in one.batches(epoch)]
        rng = generator(self.seed, "batches", *self.purpose, "groups", epoch)
        return [found[i] for i in rng.permutation(len(found))]
