"""What a kind of features gives the stage, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fornix.store.artifact import Artifact
from fornix.study.compute import Compute

Layers = dict[str, NDArray[np.float32]]
"""Layer -> float32 (row, ...), the same number of rows in each."""


@dataclass(frozen=True)
class Context:
    """What every extractor is given besides its section and its rows.

    Attributes
    ----------
    root
        The dataset's folder, from which the stimuli's paths start.
    resources
        Threads, workers, memory, and the device of a torch model.
    notes
        Gets what a reader of the report should know, in whole sentences.
    stimuli
        The whole stimulus table, of which the rows may be a part.
    sources
        Name of a section of ``features`` -> its artifact, for kinds that read another's.
    advance
        To be called with the number of rows done, for the progress line.
    """

    root: Path
    resources: Compute = field(default_factory=Compute)
    notes: list[str] = field(default_factory=list)
    stimuli: pd.DataFrame = field(default_factory=pd.DataFrame)
    sources: Mapping[str, Artifact] = field(default_factory=dict)
    advance: Callable[[int], None] = lambda _: None


class Extractor(Protocol):
    """Computes rows of features.

    Rows are lines of the kind's table (by default the stimulus table). Two columns of it mean
    something to the stage: ``stimulus``, the name; and ``digest``, of all that the row's numbers
    follow from besides section, weights and code: equal digests, equal rows. A column ``time``
    XX
    """

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Layers to keep, in the model's order -> shape of one row.

        ``(feature,)``, ``(token, feature)`` or ``(row, column, feature)``.
        """

    def __call__(self, blocks: Iterable[pd.DataFrame], layers: Sequence[str]) -> Iterator[Layers]:
        """Yield the named layers of each block, one array (row, ...) a layer.

        How a block's rows are batched must depend on that block alone, so that a job that is
        killed and goes on with a later block comes to the same bytes.
        """


@dataclass(frozen=True)
class Batched:
    """An extractor made of a function of a few rows.

    Attributes
    ----------
    shapes
        Layer -> shape of one row.
    compute
        Rows of the table -> layer -> float32 (row, ...); it may give more layers than asked for.
    batch
        Rows to give it at once.
    context
        Told about progress.
    """

    shapes: Mapping[str, tuple[int, ...]]
    compute: Callable[[pd.DataFrame], Layers]
    batch: int
    context: Context

    def __call__(self, blocks: Iterable[pd.DataFrame], layers: Sequence[str]) -> Iterator[Layers]:
        """Yield the named layers of each block."""
        for block in blocks:
            parts: list[Layers] = []
            for start in range(0, len(block), self.batch):
                rows = block.iloc[start : start + self.batch]
                found = self.compute(rows)
                parts.append({name: found[name] for name in layers})
                self.context.advance(len(rows))
            yield {name: np.concatenate([part[name] for part in parts]) for name in layers}
