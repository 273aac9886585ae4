"""The page's tables, as plain rows that the template prints."""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd

from fornix.evaluation.table import ALL, GROUP
from fornix.report.dag import Node
from fornix.report.material import Material

MAX_CONDITIONS = 40
NONE, TIMES = "\u2013", "\u00d7"


def number(value: Any, digits: int = 3) -> str:
    """Return a number for a table; an en dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NONE
    return f"{value:.{digits}f}"


def summary(material: Material, fit: str) -> list[dict[str, str]]:
    """Return one row a target, unit and metric: mean and range over subjects, chance, ceiling, p.

    A time course has one row a unit: its best time.
    """
    rows = material.scores[material.scores["fit"] == fit]
    people = rows[rows["subject"] != GROUP]
    timed = len(set(rows["time"].dropna())) > 1
    found = []
    for (metric, unit, target), one in people.groupby(["metric", "unit", "target"], sort=False):
        here = one
        if timed:
            means = one.groupby("time")["value"].mean()
            here = one[one["time"] == means.idxmax()]
        group = rows[
            (rows["subject"] == GROUP)
            & (rows["metric"] == metric)
            & (rows["unit"] == unit)
            & (rows["target"] == target)
        ]
        p = group["p"] if len(group) else here["p"]
        found.append(
            {
                "metric": str(metric),
                "unit": str(unit),
                "target": str(target) + (f" at {here['time'].iloc[0]:.2f} s" if timed else ""),
                "mean": number(here["value"].mean()),
                "range": _range(here["value"]),
                "chance": number(here["chance"].mean()),
                "ceiling": number(here["ceiling"].mean()),
                "p": _p(p, group=len(group) > 0),
                "n": f"{here['n'].min()}" if here["n"].min() == here["n"].max() else "varies",
                "subjects": str(here["subject"].nunique()),
            }
        )
    return found


def _range(values: pd.Series[Any]) -> str:
    return f"{values.min():.3f} to {values.max():.3f}" if len(values) > 1 else ""


def _p(values: pd.Series[Any], *, group: bool) -> str:
    values = values.dropna()
    if values.empty:
        return NONE
    text = f"{values.max():.3f}" if values.max() >= 0.001 else "< 0.001"
    return text if group or len(values) == 1 else f"≤ {text}".replace("≤ <", "<")


def datasets(material: Material) -> list[dict[str, Any]]:
    """Return one entry a dataset: what it holds, and what its checks said."""
    found = []
    for key in material.keys("ingest/"):
        artifact = material.artifact(key)
        about = artifact.json("dataset.json")
        recordings, events = artifact.table("recordings"), artifact.table("events")
        stimuli = artifact.table("stimuli")
        sessions = recordings[["subject", "session"]].drop_duplicates()["session"].notna().sum()
        hours = recordings["duration"].sum() / 3600 if "duration" in recordings else 0
        conditions = events["trial_type"].dropna().astype(str).value_counts(sort=False)
        shapes = sorted(set(recordings["shape"].dropna().astype(str)))
        rates = sorted(set(recordings["sampling_frequency"].dropna()))
        found.append(
            {
                "name": key.partition("/")[2],
                "title": str(about.get("Name", "")),
                "licence": str(about.get("License", "")),
                "facts": [
                    ("subjects", str(recordings["subject"].nunique())),
                    ("sessions", str(int(sessions)) if sessions else NONE),
                    ("recordings", str(len(recordings))),
                    ("shape", ", ".join(shapes[:4])),
                    ("sampling", ", ".join(f"{rate:g} Hz" for rate in rates[:4]) or NONE),
                    ("duration", f"{hours:.1f} h" if hours else NONE),
                    ("events", str(len(events))),
                    ("stimuli", str(len(stimuli))),
                ],
                "conditions": sorted(conditions.items())[:MAX_CONDITIONS],
                "more_conditions": max(0, len(conditions) - MAX_CONDITIONS),
                "checks": artifact.json("checks.json"),
            }
        )
    return found


def responses(material: Material) -> list[dict[str, Any]]:
    """Return one entry a subject's responses: samples, units, steps, exclusions."""
    found = []
    for key in material.keys("responses/"):
        _, name, subject = key.split("/")
        data = material.artifact(key).dataset("responses")
        exclusions = json.loads(data.attrs.get("exclusions", "[]"))
        found.append(
            {
                "name": name,
                "subject": subject,
                "shape": f" {TIMES} ".join(
                    f"{n} {_plural(str(dim))}" for dim, n in data.sizes.items()
                ),
                "steps": json.loads(data.attrs.get("steps", "[]")),
                "exclusions": exclusions,
            }
        )
    return found


def _plural(dimension: str) -> str:
    return "stimuli" if dimension.startswith("stimulus") else f"{dimension}s"


def exclusions(material: Material) -> list[dict[str, str]]:
    """Return what was left out, one row a subject and kind."""
    rows: list[dict[str, str]] = []
    for one in responses(material):
        counts: dict[tuple[str, str], int] = {}
        places: dict[tuple[str, str], set[str]] = {}
        for item in one["exclusions"]:
            key = (str(item.get("what", "")), str(item.get("detail", "")))
            counts[key] = counts.get(key, 0) + int(item.get("n", 0))
            places.setdefault(key, set()).add(str(item.get("recording") or "all"))
        for (what, detail), n in counts.items():
            where = places[what, detail]
            rows.append(
                {
                    "responses": one["name"],
                    "subject": one["subject"],
                    "what": what,
                    "n": str(n),
                    "detail": detail,
                    "where": next(iter(where)) if len(where) == 1 else f"{len(where)} recordings",
                }
            )
    return rows


def provenance(material: Material) -> list[dict[str, Any]]:
    """Return one row an artifact: who made it, at what cost."""
    found = []
    for key in material.inputs:
        if key == "study":
            continue
        manifest = material.artifact(key).manifest
        made = manifest["provenance"]
        found.append(
            {
                "stage": manifest["recipe"]["stage"],
                "name": key.partition("/")[2],
                "digest": manifest["digest"][:12],
                "made": made["started"],
                "wall": f"{made['wall_s']:.1f} s",
                "memory": f"{made['peak_memory_mb']:.0f} MB",
                "host": made["host"],
                "commit": made["commit"] or NONE,
            }
        )
    return found


def versions(material: Material) -> dict[str, str]:
    """Return library -> version(s) over all artifacts."""
    found: dict[str, set[str]] = {}
    for key in material.inputs:
        if key != "study":
            recipe = material.artifact(key).manifest["recipe"]
            for name, version in recipe["versions"].items():
                found.setdefault(name, set()).add(version)
            python = material.artifact(key).manifest["provenance"]["python"]
            found.setdefault("python", set()).add(python)
    return {name: ", ".join(sorted(numbers)) for name, numbers in sorted(found.items())}


def total_seconds(material: Material) -> float:
    """Return the compute time of all artifacts, s."""
    walls = (
        material.artifact(key).manifest["provenance"]["wall_s"]
        for key in material.inputs
        if key != "study"
    )
    return float(sum(walls))


def nodes(material: Material) -> list[Node]:
    """Return the boxes of the study's graph."""
    study = material.study
    boxes = []
    for name, dataset in study.datasets.items():
        boxes.append(Node(f"dataset/{name}", 0, name, dataset.source, "dataset"))
        box = Node(f"ingest/{name}", 1, name, _cost(material, f"ingest/{name}"), "ingest")
        box.needs = [f"dataset/{name}"]
        boxes.append(box)
    for name, responses_ in study.responses.items():
        detail = f"{responses_.kind}, {_cost(material, f'responses/{name}/')}"
        needs = [f"ingest/{responses_.dataset}"]
        boxes.append(Node(f"responses/{name}", 2, name, detail, "responses", needs))
    for name, features in study.features.items():
        detail = f"{features.kind}, {_cost(material, f'features/{name}')}"
        needs = [f"ingest/{features.dataset}"]
        boxes.append(Node(f"features/{name}", 2, name, detail, "features", needs))
    for name, fit in study.fits.items():
        needs = [f"responses/{fit.responses}"]
        needs += [f"features/{one}" for one in getattr(fit, "features", [])]
        kind = "control" if fit.shuffle else "fit"
        detail = f"{fit.kind}, {_cost(material, f'fit/{name}/')}"
        boxes.append(Node(f"fit/{name}", 3, name, detail, kind, needs))
        cost = _cost(material, f"scores/{name}")
        boxes.append(Node(f"scores/{name}", 4, "scores", cost, "scores", [f"fit/{name}"]))
    every = [f"scores/{name}" for name in study.fits]
    claims = f"{len(study.claims)} claims"
    boxes.append(Node("report", 5, "report", claims, "report", every))
    return boxes


def _cost(material: Material, prefix: str) -> str:
    """Return ``3 jobs, 12 s`` of the inputs that are this one or lie below it."""
    keys = [
        key
        for key in material.inputs
        if key == prefix or (prefix.endswith("/") and key.startswith(prefix))
    ]
    walls = [material.artifact(key).manifest["provenance"]["wall_s"] for key in keys]
    jobs = f"{len(keys)} jobs, " if len(keys) > 1 else ""
    return f"{jobs}{sum(walls):.1f} s"


def headlines(material: Material) -> list[dict[str, str]]:
    """Return the best score of each fit that is no control, for the top of the page."""
    found = []
    preferred = ("pearson_r", "accuracy", "auc", "spearman_rho")
    for name, fit in material.study.fits.items():
        if fit.shuffle:
            continue
        rows = material.scores[material.scores["fit"] == name]
        rows = rows[rows["subject"] != GROUP]
        metric = next((one for one in preferred if (rows["metric"] == one).any()), None)
        if len(set(rows["time"].dropna())) > 1 and (rows["metric"] == "auc").any():
            metric = "auc"
        if metric is None:
            continue
        rows = rows[rows["metric"] == metric]
        keys = ["target", "unit"] + (["time"] if rows["time"].notna().any() else [])
        means = rows.groupby(keys, sort=False)["value"].mean().reset_index()
        best = means.sort_values("value", kind="stable").iloc[-1]
        words = [str(best["target"]), "" if best["unit"] == ALL else f"in {best['unit']}"]
        if "time" in keys and not math.isnan(best["time"]):
            words.append(f"at {best['time']:.2f} s")
        found.append(
            {
                "fit": name,
                "value": f"{best['value']:.2f}",
                "metric": metric.replace("_", " "),
                "what": " ".join(word for word in words if word),
            }
        )
    return found
