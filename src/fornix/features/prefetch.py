"""Batches prepared while others run, in a thread or in processes, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pandas as pd
import torch

from fornix.features.network import Batch, Prepare, Rows

AHEAD = 2
"""Batches that are prepared while the network runs."""


@dataclass
class Piece:
    """One batch of a block."""

    items: list[Rows]
    tables: list[pd.DataFrame]
    total: int
    last: bool


@contextmanager
def prepared(
    prepare: Prepare, pieces: Iterator[Piece], workers: int
) -> Iterator[Iterator[tuple[Piece, Batch]]]:
    """Prepare batches while others run, in a thread or in processes, in order."""
    if workers:
        yield _by_processes(prepare, pieces, workers)
        return
    pool = ThreadPoolExecutor(1, "prepare")
    try:
        yield _by_thread(prepare, pieces, pool)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _by_thread(
    prepare: Prepare, pieces: Iterator[Piece], pool: ThreadPoolExecutor
) -> Iterator[tuple[Piece, Batch]]:
    waiting: deque[tuple[Piece, Future[Batch]]] = deque()
    for piece in pieces:
        waiting.append((piece, pool.submit(prepare, piece.tables)))
        if len(waiting) > AHEAD:
            first, future = waiting.popleft()
            yield first, future.result()
    for first, future in waiting:
        yield first, future.result()


def _by_processes(
    prepare: Prepare, pieces: Iterator[Piece], workers: int
) -> Iterator[tuple[Piece, Batch]]:
    # Spawned, not forked: threads that hold locks (torch's, zarr's) don't survive a fork.
    listed = list(pieces)
    loader = torch.utils.data.DataLoader(
        _Prepared(prepare, [piece.tables for piece in listed]),
        batch_size=None,
        num_workers=workers,
        multiprocessing_context="spawn",
        prefetch_factor=AHEAD,
    )
    yield from zip(listed, loader, strict=True)


@dataclass
class _Prepared(torch.utils.data.Dataset[Batch]):
    prepare: Prepare
    tables: list[list[pd.DataFrame]]

    def __len__(self) -> int:
        return len(self.tables)

    def __getitem__(self, at: int) -> Batch:
        return self.prepare(self.tables[at])
