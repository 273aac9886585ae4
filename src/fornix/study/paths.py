"""Paths in a study file: variables and the project's root."""

from __future__ import annotations

import os
import re
from pathlib import Path

from fornix.errors import FornixError

DEFAULTS = {"FORNIX_REAL_DATA": "../shared/data"}
"""Variables with a value when the environment has none, relative to the project's root."""


def expand(path: str, *, where: str = "") -> Path:
    """Return a study's path with ``${VARIABLES}`` and ``~`` filled in.

    Relative paths start at the working directory, which is the project's root in a workflow.

    Raises
    ------
    FornixError
        If a variable is set neither in the environment nor by default.
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        found = os.environ.get(name) or DEFAULTS.get(name)
        if not found:
            problem = f"the path {path!r} uses the variable {name}, which isn't set"
            raise FornixError(problem, where=where, mend=f"export {name}=/where/the/data/lie")
        return found

    return Path(re.sub(r"\$\{(\w+)\}", value, path)).expanduser()
