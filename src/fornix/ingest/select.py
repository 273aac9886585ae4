"""Choose recordings by their BIDS entities, and events by their condition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import pandas as pd

from fornix.errors import FornixError, did_you_mean
from fornix.study.base import EventSelect, Select

ENTITIES = ("subject", "session", "task", "run", "acquisition", "space", "description")
MAX_NAMED = 20


def select_recordings(
    recordings: pd.DataFrame, select: Select, *, suffix: str | None, where: str
) -> pd.DataFrame:
    """Return the recordings that a study asks for.

    Parameters
    ----------
    recordings
        Table with the columns of ``recordings.parquet``.
    select
        Labels to keep of each entity.
    suffix
        ``bold``, ``eeg``; None takes any.
    where
        Field of the study, for messages.

    Returns
    -------
    pandas.DataFrame
        Rows in the order of the table, index from 0.

    Raises
    ------
    FornixError
        If nothing is left: says which labels there are. If one run is left in several spaces or
        descriptions: they would count as repeats of each other.
    """
    found = recordings
    if suffix is not None:
        found = recordings[recordings["suffix"] == suffix]
        if found.empty:
            kinds = ", ".join(sorted(set(recordings["suffix"]))) or "none at all"
            problem = f"the dataset has no {suffix} recordings; it has: {kinds}"
            mend = "choose the kind of responses that fits the dataset"
            raise FornixError(problem, where=where, mend=mend)
    for entity in ENTITIES:
        wanted: list[str] | None = getattr(select, entity)
        if wanted is None:
            continue
        there = _labels(found[entity])
        found = found[found[entity].isin(wanted)]
        if found.empty:
            raise _nothing(entity, wanted, there, select, where)
    found = found.reset_index(drop=True)
    if suffix is not None:
        _reject_versions(found, where)
    return found


def select_events(events: pd.DataFrame, select: EventSelect, where: str) -> pd.DataFrame:
    """Return the events that make samples.

    Patterns match whole values, whatever the case; ``exclude`` wins over ``include``. A missing
    value counts as ``n/a``. Where no event has a trial type at all, the default selection keeps
    every event.

    Parameters
    ----------
    events
        Table with the columns of ``events.parquet``.
    select
        Column and patterns.
    where
        Field of the study, for messages.

    Returns
    -------
    pandas.DataFrame
        Rows in the order of the table, index from 0.

    Raises
    ------
    FornixError
        If the column isn't there, or no event is left: says which values there are.
    """
    if select.column not in events.columns:
        problem = f"the events have no column '{select.column}'"
        mend = did_you_mean(select.column, events.columns)
        raise FornixError(problem, where=f"{where}.column", mend=mend)
    if select == EventSelect() and events["trial_type"].isna().all() and len(events):
        return events.reset_index(drop=True)
    values = [as_text(value) for value in events[select.column]]
    kept = {
        value: _matches(value, select.include) and not _matches(value, select.exclude)
        for value in set(values)
    }
    found = events[[kept[value] for value in values]].reset_index(drop=True)
    if found.empty:
        counts = Counter(values)
        named = [f"{value} ({n})" for value, n in sorted(counts.items())[:MAX_NAMED]]
        more = f" and {len(counts) - MAX_NAMED} more" if len(counts) > MAX_NAMED else ""
        there = f"its values: {', '.join(named)}{more}" if counts else "there are no events"
        problem = f"no event is left by include {select.include} and exclude {select.exclude}"
        problem += f" on column '{select.column}'; {there}"
        hints = [did_you_mean(pattern, counts) for pattern in select.include]
        near = [hint for hint in hints if hint.startswith("did")]
        mend = near[0] if near else "name patterns that match the values, such as 'face*'"
        raise FornixError(problem, where=where, mend=mend)
    return found


def as_text(value: Any) -> str:
    """Return a cell as the text that patterns are matched against: ``1`` for 1.0."""
    if value is None or pd.isna(value):
        return "n/a"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _matches(value: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(value.lower(), pattern.lower()) for pattern in patterns)


def _labels(column: pd.Series[Any]) -> list[str]:
    return sorted({str(label) for label in column if label is not None and not pd.isna(label)})


def _nothing(
    entity: str, wanted: Sequence[str], there: Sequence[str], select: Select, where: str
) -> FornixError:
    before = [name for name in ENTITIES[: ENTITIES.index(entity)] if getattr(select, name)]
    among = f" among those with {', '.join(f'{n} {getattr(select, n)}' for n in before)}"
    problem = f"no recording has {entity} {', '.join(wanted)}{among if before else ''}; "
    problem += f"there are: {', '.join(there[:MAX_NAMED])}" if there else f"none has a {entity}"
    mend = did_you_mean(wanted[0], there) if there else f"leave {entity} out"
    return FornixError(problem, where=f"{where}.{entity}", mend=mend)


def _reject_versions(recordings: pd.DataFrame, where: str) -> None:
    """Stop where one run is there in several spaces or descriptions."""
    same = ["subject", "session", "task", "run", "acquisition", "suffix"]
    for _, versions in recordings.groupby(same, dropna=False, sort=False):
        for entity in ("space", "description"):
            labels = {as_text(label) for label in versions[entity]}
            if len(labels) > 1:
                named = ", ".join(versions["recording"].iloc[:2])
                problem = f"one run is there with several labels of {entity}: {named}"
                mend = f"choose one by {entity}: {', '.join(sorted(labels - {'n/a'}))}"
                raise FornixError(problem, where=f"{where}.{entity}", mend=mend)
