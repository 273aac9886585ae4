"""What is found while a dataset is read: problems that stop it, notes that don't."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fornix.errors import FornixError

MAX_REPORTED = 10
"""Problems listed in one message; more would scroll the first ones away."""


@dataclass
class Findings:
    """A collector that goes along while a dataset is indexed.

    Attributes
    ----------
    root
        The dataset's folder: the place of a message that has several.
    problems
        Errors, in the order in which they were met.
    """

    root: Path
    problems: list[FornixError] = field(default_factory=list)
    _checks: list[tuple[str, str, str]] = field(default_factory=list)

    def problem(self, text: str, *, where: str, mend: str) -> None:
        """Add a problem; reading goes on so that one message can name them all."""
        self.problems.append(FornixError(text, where=where, mend=mend))

    def note(self, text: str, *, where: str) -> None:
        """Add something worth knowing that needs no action."""
        self._checks.append(("note", where, text))

    def warning(self, text: str, *, where: str) -> None:
        """Add something that looks wrong and doesn't stop a study."""
        self._checks.append(("warning", where, text))

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Turn a FornixError raised in the block into a collected problem."""
        try:
            yield
        except FornixError as error:
            self.problems.append(error)

    @property
    def checks(self) -> list[dict[str, str]]:
        """Warnings and notes; those that say the same of several files are one."""
        places: dict[tuple[str, str], list[str]] = {}
        for level, where, text in self._checks:
            places.setdefault((level, text), []).append(where)
        found = []
        for (level, text), wheres in sorted(places.items(), key=lambda item: item[0][0] == "note"):
            more = f" and {len(wheres) - 1} more" if len(wheres) > 1 else ""
            found.append({"level": level, "where": wheres[0] + more, "text": text})
        return found

    def raise_problems(self) -> None:
        """Raise one FornixError that says all problems, if there are any."""
        if not self.problems:
            return
        if len(self.problems) == 1:
            raise self.problems[0]
        lines = [f"{len(self.problems)} problems in the dataset"]
        shown = self.problems[:MAX_REPORTED]
        lines += [f"- {one.where}: {one.problem}" for one in shown]
        if len(self.problems) > MAX_REPORTED:
            lines.append(f"... and {len(self.problems) - MAX_REPORTED} more")
        mends = dict.fromkeys(one.mend for one in shown if one.mend)
        raise FornixError("\n".join(lines), where=str(self.root), mend="; ".join(mends))
