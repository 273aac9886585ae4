"""A folder for the checkpoints of long work, inside the draft of the artifact that it is for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fornix.errors import FornixError
from fornix.store.draft import Draft

SCRATCH = ".scratch"


@contextmanager
def scratch(draft: Draft, *, needed: bool = True) -> Iterator[Path | None]:
    """Give a folder that outlives a kill, and is gone when the work is done.

    The draft's recipe (settings, contents of the inputs, code) is that of the checkpoints: a
    process that finds another one starts anew. An error that the user must mend throws all away.

    Parameters
    ----------
    draft
        The artifact in the making.
    needed
        False gives None and keeps nothing over a kill.
    """
    if not needed:
        yield None
        return
    draft.save({})
    folder = draft.path / SCRATCH
    try:
        yield folder
    except FornixError:
        draft.forget()
        raise
    shutil.rmtree(folder, ignore_errors=True)
