"""Checkpoints of a training: written whole or not at all, and when a job is told to end."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

LEAST_S = 2.0
"""Epochs shorter than this share a checkpoint."""

STOPPED = 128 + signal.SIGTERM
"""Exit status of a job that was told to end and has saved its place."""


class Checkpoints:
    """One file that is replaced again and again.

    Parameters
    ----------
    path
        The file; None keeps nothing.
    identity
        Digest of what decides the training; a file of another one is left unread.
    every_s
        Longest time between two checkpoints, s.
    least_s
        Shortest time between those at the ends of epochs, s.
    write
        False only reads: of several processes, one writes.
    """

    def __init__(
        self,
        path: Path | None,
        identity: str,
        *,
        every_s: float = 60.0,
        least_s: float = LEAST_S,
        write: bool = True,
    ) -> None:
        self.path = path
        self.write = write
        self.identity = identity
        self.every_s = every_s
        self.least_s = least_s
        self.asked_to_stop = False  # set by the signal alone, at any moment
        self.stop = False  # what all processes have agreed on
        self._last = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Return what was last saved for this very training, or None."""
        if self.path is None or not self.path.exists():
            return None
        try:
            found = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever a damaged file makes torch raise
            print(f"{self.path}: unreadable, training starts anew: {error}", file=sys.stderr)
            return None
        same = isinstance(found, dict) and found.get("identity") == self.identity
        return found["state"] if same else None

    def due(self, *, epoch_ended: bool = False) -> bool:
        """Tell whether it is time for one."""
        since = time.monotonic() - self._last
        return self.stop or since >= (self.least_s if epoch_ended else self.every_s)

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the file; a kill leaves the old one or the new one."""
        if self.path is None or not self.write:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f".{self.path.name}.tmp")
        with draft.open("wb") as file:
            torch.save({"identity": self.identity, "state": dict(state)}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
        self._last = time.monotonic()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note SIGTERM instead of dying of it, so that the loop can save its place first."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals come to the main thread alone
            return

        def note(*_: object) -> None:
            self.asked_to_stop = True

        before = signal.signal(signal.SIGTERM, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def stop_if_asked(self) -> None:
        """End the process if it was told to; all of its work must have been saved."""
        if self.asked_to_stop:
            raise SystemExit(STOPPED)
