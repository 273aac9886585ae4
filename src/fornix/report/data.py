"""What the study is about: datasets, conditions, what was left out, and what was remarked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fornix.report import words
from fornix.report.material import Material
from fornix.report.tables import Cell, Table
from fornix.study.base import joined

MAX_CONDITIONS = 16
MAX_EXCLUSIONS = 60
MAX_STEPS = 12


@dataclass(frozen=True)
class DatasetFacts:
    """A dataset on the page: its name, facts as (what, how much), and its conditions."""

    name: str
    title: str
    facts: list[tuple[str, str]]
    conditions: Table | None


@dataclass(frozen=True)
class ResponseFacts:
    """Responses on the page: facts, and the steps that made them, as they happened."""

    name: str
    facts: list[tuple[str, str]]
    steps: list[tuple[str, str]]


@dataclass(frozen=True)
class Remark:
    """Something that a stage noted."""

    level: str
    where: str
    text: str


def datasets(material: Material) -> list[DatasetFacts]:
    """Return every dataset's facts."""
    return [_dataset(material, name) for name in material.study.datasets]


def _dataset(material: Material, name: str) -> DatasetFacts:
    artifact = material.artifact(f"ingest/{name}")
    recordings, events = artifact.table("recordings"), artifact.table("events")
    stimuli = artifact.table("stimuli")
    described = artifact.json("dataset.json")
    title = str(described.get("Name", ""))
    kinds = ", ".join(sorted(set(stimuli["modality"].dropna().astype(str))))
    shown = ("stimuli", f"{len(stimuli):,}" + (f" ({kinds})" if kinds else ""))
    if described.get("kind") == "stimuli":  # nobody was measured
        return DatasetFacts(name, title, [shown], None)
    facts = [("subjects", f"{recordings['subject'].nunique():,}")]
    sessions = recordings.dropna(subset=["session"])
    if len(sessions):
        each = sessions.groupby("subject")["session"].nunique()
        facts.append(("sessions a subject", _range(each)))
    if described.get("kind") == "rdms":
        facts.append(("stimuli compared", f"{len(stimuli):,}"))
        return DatasetFacts(name, title, facts, None)
    facts.append(("runs a subject", _range(recordings.groupby("subject").size())))
    facts.append(("recordings", f"{len(recordings):,}"))
    facts.append(("duration", words.seconds(float(recordings["duration"].sum(min_count=1)))))
    facts.append(("events", f"{len(events):,}"))
    facts.append(shown)
    return DatasetFacts(name, title, facts, _conditions(recordings, events))


def _conditions(recordings: pd.DataFrame, events: pd.DataFrame) -> Table | None:
    """Return how often each condition was shown, and for how long."""
    if "trial_type" not in events or events["trial_type"].dropna().empty:
        return None
    owner = recordings.set_index("recording")["subject"]
    shown = events.assign(subject=events["recording"].map(owner)).dropna(subset=["trial_type"])
    shown = shown.assign(trial_type=shown["trial_type"].astype(str))
    sizes = shown.groupby("trial_type").size().sort_values(ascending=False, kind="stable")
    each = {str(name): one.groupby("subject").size() for name, one in shown.groupby("trial_type")}
    lengths = shown.groupby("trial_type")["duration"].median()
    body = [
        [
            Cell(str(condition)),
            Cell(f"{n:,}", kind="num"),
            Cell(_range(each[condition]), kind="num"),
            Cell(words.seconds(lengths[condition]), kind="num"),
        ]
        for condition, n in zip(map(str, sizes.index), sizes.head(MAX_CONDITIONS), strict=False)
    ]
    notes = []
    if len(sizes) > MAX_CONDITIONS:
        rest = sizes.iloc[MAX_CONDITIONS:]
        notes.append(f"and {len(rest):,} more conditions with {rest.sum():,} events")
    head = ["condition", "events", "a subject", "median duration"]
    return Table(f"Conditions in the events files ({len(sizes):,})", head, body, notes)


def responses(material: Material) -> list[ResponseFacts]:
    """Return what became of the recordings."""
    found = []
    for name in material.study.responses:
        attributes = material.attributes(name)
        if not attributes:
            continue
        sizes = {
            subject: material.artifact(f"responses/{name}/{subject}").dataset("responses").sizes
            for subject in attributes
        }
        table = pd.DataFrame([dict(one) for one in sizes.values()])
        is_table = material.study.responses[name].kind == "timeseries"
        units = {"sample": "samples", "unit": "regions" if is_table else "voxels"}
        units |= {"channel": "channels", "time": "times"}
        units |= {"stimulus": "stimuli", "session": "sessions"}
        facts = [("subjects", f"{len(attributes):,}")]
        facts += [(f"{units[d]} a subject", _range(table[d])) for d in units if d in table]
        unit = next(iter(attributes.values())).get("units")
        facts += [("unit of the values", str(unit))] if unit else []
        found.append(ResponseFacts(name, facts, _steps(attributes)))
    return found


def _steps(attributes: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """Return (step, whose) in order; a step that all subjects share is said once."""
    whose: dict[str, list[str]] = {}
    for subject, one in attributes.items():
        for step in _listed(one.get("steps")):
            # Paths with the subject's own label are the same step.
            whose.setdefault(str(step).replace(f"sub-{subject}", "sub-*"), []).append(subject)
    found = []
    for text, subjects in whose.items():
        all_of_them = len(set(subjects)) == len(attributes)
        names = "" if all_of_them else joined([f"sub-{s}" for s in dict.fromkeys(subjects)])
        found.append((text, names))
    return found[:MAX_STEPS]


def exclusions(material: Material) -> Table | None:
    """Return what was left out and why, one row a subject and reason."""
    counts: dict[tuple[str, str, str, str], int] = {}
    places: dict[tuple[str, str, str, str], set[str]] = {}
    for name in material.study.responses:
        for subject, one in material.attributes(name).items():
            for item in _listed(one.get("exclusions")):
                key = (name, subject, str(item.get("what", "")), str(item.get("detail", "")))
                counts[key] = counts.get(key, 0) + int(item.get("n") or 0)
                if place := item.get("recording"):
                    places.setdefault(key, set()).add(str(place))
    if not counts:
        return None
    body = []
    for key, n in list(counts.items())[:MAX_EXCLUSIONS]:
        name, subject, what, detail = key
        where = sorted(places.get(key, ()))
        place = where[0] if len(where) == 1 else words.count(len(where), "recording")
        cells = [Cell(name), Cell(f"sub-{subject}"), Cell(what), Cell(f"{n:,}", kind="num")]
        body.append([*cells, Cell(detail), Cell(place if where else words.DASH)])
    more = len(counts) - MAX_EXCLUSIONS
    notes = [f"and {more:,} more rows"] if more > 0 else []
    head = ["responses", "subject", "what", "how many", "why", "where"]
    return Table("What was left out", head, body, notes)


def remarks(material: Material) -> list[Remark]:
    """Return the notes and warnings of all stages, each text once."""
    found: dict[Remark, None] = {}
    for remark in _all_remarks(material):
        found.setdefault(remark)
    return sorted(found, key=lambda one: one.level != "warning")


def _all_remarks(material: Material) -> Iterator[Remark]:
    for key in material.keys("ingest/"):
        for one in material.artifact(key).json("checks.json"):
            where = f"{key.split('/')[1]} {one.get('where', '')}".strip()
            yield Remark(str(one.get("level", "note")), where, str(one.get("text", "")))
    for key in material.keys("features/"):
        attributes = material.artifact(key).dataset("features").attrs
        for text in _listed(attributes.get("notes")):
            yield Remark("note", key, str(text))
    for key in material.once(material.keys("fit/")):
        for text in material.artifact(key).json("fit.json").get("notes", []):
            yield Remark("note", f"fit {key.split('/')[1]} sub-{key.split('/')[2]}", str(text))
    for key in material.keys("pretraining/"):
        for text in material.artifact(key).json("fit.json")["notes"]:
            yield Remark("warning", f"fit {key.split('/')[1]}", str(text))
    for key in material.keys("scores/"):
        for text in material.details(key.split("/")[1]).get("notes", []):
            yield Remark("note", f"scores {key.split('/')[1]}", str(text))


def _listed(value: Any) -> list[Any]:
    """Return a list from an attribute, which holds it as JSON."""
    found = json.loads(value) if isinstance(value, str) and value else value
    return list(found) if isinstance(found, list) else []


def _range(values: pd.Series[Any]) -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
