"""What every kind of preprocessing is given, and the journal that it keeps."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from fornix.errors import FornixError


@dataclass(frozen=True)
class Material:
    """One subject's share of a dataset.

    Attributes
    ----------
    root
        The dataset's folder; all paths in the tables are relative to it.
    subject
        Label without ``sub-``.
    recordings
        Rows of ``recordings.parquet``, in the order in which they make samples.
    events
        Rows of ``events.parquet`` that make samples.
    others
        Rows of events that make no samples but are modelled as well (single-trial GLMs).
    companions
        Rows of ``companions.parquet`` that may belong to these recordings.
    stimuli
        The stimulus table.
    """

    root: Path
    subject: str
    recordings: pd.DataFrame
    events: pd.DataFrame
    others: pd.DataFrame
    companions: pd.DataFrame
    stimuli: pd.DataFrame


@dataclass
class Journal:
    """What was done, and what was left out and why."""

    steps: list[str] = field(default_factory=list)
    exclusions: list[dict[str, Any]] = field(default_factory=list)

    def step(self, text: str) -> None:
        """Note a step, once."""
        if text not in self.steps:
            self.steps.append(text)

    def exclude(self, recording: str, what: str, n: int, detail: str = "") -> None:
        """Count what was left out of a recording (``""``: of the subject); zero isn't noted."""
        if n:
            self.exclusions.append(
                {"recording": recording, "what": what, "n": int(n), "detail": detail}
            )

    def attrs(self) -> dict[str, str]:
        """Return both lists as JSON, for the attributes of a dataset."""
        return {"exclusions": json.dumps(self.exclusions), "steps": json.dumps(self.steps)}

    def notes(self) -> dict[str, Any]:
        """Return the counts for the provenance record."""
        counts: dict[str, int] = {}
        for one in self.exclusions:
            counts[one["what"]] = counts.get(one["what"], 0) + one["n"]
        return {"excluded": counts, "steps": self.steps}


def text(value: Any) -> str:
    """Return a table's cell as a string; a missing one is empty.

    Examples
    --------
    >>> text(None), text(float("nan")), text("01")
    ('', '', '01')
    """
    return "" if pd.isna(value) else str(value)


def name_of(recording: pd.Series) -> str:
    """Return a recording's path, by which messages and samples name it."""
    return str(recording["recording"])


def events_of(events: pd.DataFrame, recording: str) -> pd.DataFrame:
    """Return a recording's events by onset; equal onsets stay in the order of the file."""
    mine = events[events["recording"] == recording]
    return mine.sort_values("onset", kind="stable").reset_index(drop=True)


def without_onset(events: pd.DataFrame, recording: str, journal: Journal) -> pd.DataFrame:
    """Leave out, and count, the events whose onset isn't a number."""
    known = events["onset"].notna()
    journal.exclude(recording, "event", int((~known).sum()), "no onset")
    return events[known].reset_index(drop=True)


def nothing_left(material: Material, journal: Journal) -> FornixError:
    """Return the error for a subject without a single sample, with the reasons."""
    first = material.recordings["recording"].iloc[0] if len(material.recordings) else "-"
    found = [f"{one['n']} x {one['what']}: {one['detail']}" for one in journal.exclusions]
    problem = f"no sample is left of sub-{material.subject}"
    if found:
        problem += " (" + "; ".join(dict.fromkeys(found)) + ")"
    mend = "widen `events` and `select`, or mend the windows (`samples`, `tmin`, `tmax`)"
    return FornixError(problem, where=f"{first} and its events", mend=mend)
