"""The one error a user is meant to read."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import partial
from typing import Any


class FornixError(Exception):
    """Something the user can mend: bad input, a missing file, an unknown name.

    The command line prints it without a traceback and exits with status 2.

    Parameters
    ----------
    problem
        What is wrong, naming the value that was found.
    where
        The file, and the row or field in it.
    mend
        What to do about it.
    """

    def __init__(self, problem: str, *, where: str = "", mend: str = "") -> None:
        self.problem, self.where, self.mend = problem, where, mend
        super().__init__(problem, where, mend)

    def __reduce__(self) -> tuple[Any, ...]:
        # A process that works for another sends it there.
        return partial(FornixError, where=self.where, mend=self.mend), (self.problem,)

    def __str__(self) -> str:
        lines = [self.problem]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.mend:
            lines.append(f"  mend:  {self.mend}")
        return "\n".join(lines)


def did_you_mean(found: str, allowed: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` for the nearest allowed word, or all of them.

    Examples
    --------
    >>> did_you_mean("high_pas", ["high_pass", "low_pass"])
    "did you mean 'high_pass'?"
    >>> did_you_mean("zzz", ["b", "a"])
    'allowed: a, b'
    """
    names = sorted(str(name) for name in allowed)
    near = get_close_matches(str(found), names, n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else "allowed: " + ", ".join(names)
