"""Garbage is looked for when it may pay, and never at the end."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from contextlib import suppress

import pytest

from fornix import garbage

CIRCLE = """
from fornix import garbage

class Loop:
    def __init__(self):
        self.own = self
    def __del__(self):
        print("found")

garbage.look_seldom()
{before}
loop = Loop()
print("printed", end=" ")
"""


class Loop:
    """Garbage that only a walk through all objects finds."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture
def searches():
    """Return the searches so far: one entry each."""
    found = []

    def note(phase, info):
        found.append((phase, info["generation"]))

    gc.callbacks.append(note)
    yield found
    gc.callbacks.remove(note)
    gc.unfreeze()


def test_nothing_is_looked_for_in_the_block_and_garbage_made_later_is_found(searches):
    made = []
    with garbage.unsought():
        made += [[] for _ in range(10_000)]
        assert not searches
    assert gc.isenabled()
    assert gc.get_freeze_count() >= len(made)
    later = weakref.ref(Loop())
    more = [[] for _ in range(10_000)]
    assert searches
    assert later() is None
    del more


def test_an_error_in_the_block_leaves_the_search_on(searches):
    with suppress(ValueError), garbage.unsought():
        raise ValueError
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("before", "said"), [("", "printed found"), ("garbage.spare_the_end()", "printed")]
)
def test_the_end_is_spared_and_what_was_printed_is_whole(before, said):
    call = [sys.executable, "-c", CIRCLE.format(before=before)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == said
