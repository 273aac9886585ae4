"""Waiting for what other processes do, for tests."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest


def wait_for(what: Callable[[], object], seconds: float = 240) -> object:
    """Return the first true answer; fail where none has come by then."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.01)
    pytest.fail("what was waited for didn't come")
