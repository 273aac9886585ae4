"""What every section of a study file shares: a closed schema and a digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=64)]
"""A name that a study gives to one of its parts; it becomes a part of paths."""

Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+]+$")]
"""A BIDS entity label (without its ``sub-`` or ``ses-`` prefix)."""

Glob = Annotated[str, StringConstraints(min_length=1)]
"""A shell-style pattern (``*``, ``?``), matched against whole values, case-insensitively."""


class Section(BaseModel):
    """A part of a study file: unknown keys are errors, values never change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def identity(self) -> dict[str, Any]:
        """Return the settings that decide this section's numbers, defaults filled in."""
        return self.model_dump(mode="json")


class Select(Section):
    """BIDS entities to keep; an entity that isn't named is not filtered."""

    subject: list[Label] | None = Field(None, description="subject labels, without 'sub-'")
    session: list[Label] | None = Field(None, description="session labels, without 'ses-'")
    task: list[Label] | None = Field(None, description="task labels")
    run: list[Label] | None = Field(None, description="run labels, as in the file names")
    acquisition: list[Label] | None = Field(None, description="acquisition labels")
    space: list[Label] | None = Field(None, description="space labels (derivatives)")
    description: list[Label] | None = Field(None, description="desc labels (derivatives)")


class EventSelect(Section):
    """Which rows of the events tables make samples."""

    column: str = Field("trial_type", description="column that names the condition")
    include: list[Glob] = Field(["*"], description="patterns of conditions to keep")
    exclude: list[Glob] = Field(
        ["n/a", "boundary*", "bad*", "edge*", "response*", "button*", "fixation*", "rest"],
        description="patterns of conditions to leave out; they win over include",
    )


def joined(words: Sequence[str]) -> str:
    """Return a list as people write it.

    Examples
    --------
    >>> joined(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def digest_of(value: Any, length: int = 12) -> str:
    """Return a short hex digest of JSON-like data, the same for any key order.

    Examples
    --------
    >>> digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=32).hexdigest()[:length]
