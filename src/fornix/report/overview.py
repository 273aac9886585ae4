"""The page of all small studies: each paper's claims, and what came out in both worlds."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

import fornix
from fornix.evaluation.claims import REFUTED, SUPPORTED, UNTESTABLE
from fornix.report import words

MARKS = {SUPPORTED: ("good", "✓"), REFUTED: ("bad", "✗"), UNTESTABLE: ("none", "?")}
"""Look and sign of a verdict; its words stand beside them."""

MINI, CONTROL = "mini", "mini_control"
"""Variants: a world in which the paper's claims hold, and one in which they don't."""

PAGE = "index.html"


@dataclass(frozen=True)
class Outcome:
    """One claim in both worlds; the second has None where there is no control."""

    text: str
    numbers: str
    verdict: str
    control: str | None


@dataclass(frozen=True)
class Row:
    """One study."""

    name: str
    title: str
    citation: str
    link: str
    control_link: str
    seconds: str
    outcomes: list[Outcome]


def write_overview(results: Path) -> Path:
    """Write ``index.html`` beside the results of the small studies; return its path."""
    files = resources.files("fornix.report")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files.joinpath("overview.html.j2").read_text("utf-8"))
    page = template.render(
        rows=rows(results),
        marks=MARKS,
        style=Markup(files.joinpath("style.css").read_text("utf-8")),  # noqa: S704 - our own file
        fornix_version=fornix.__version__,
    )
    results.mkdir(parents=True, exist_ok=True)
    draft = results / f".{PAGE}.{os.getpid()}.tmp"
    draft.write_text(page, encoding="utf-8")
    draft.replace(results / PAGE)
    return results / PAGE


def rows(results: Path) -> list[Row]:
    """Return one row a study whose small variant has been run, by name."""
    found = []
    for folder in sorted(results.glob(f"*-{MINI}")):
        name = folder.name.removesuffix(f"-{MINI}")
        control = results / f"{name}-{CONTROL}"
        if not _whole(folder):
            continue
        study = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
        other = {one["text"]: one["verdict"] for one in _claims(control)} if _whole(control) else {}
        spent = _seconds(folder) + (_seconds(control) if other else 0)
        found.append(
            Row(
                name=name,
                title=study["title"] or name,
                citation=study["paper"]["citation"],
                link=f"{folder.name}/report.html",
                control_link=f"{control.name}/report.html" if other else "",
                seconds=words.seconds(spent),
                outcomes=[
                    Outcome(one["text"], one["numbers"], one["verdict"], other.get(one["text"]))
                    for one in _claims(folder)
                ],
            )
        )
    return found


def _whole(folder: Path) -> bool:
    """Return whether a published report lies in a folder; its manifest is written last."""
    return (folder / "manifest.json").exists()


def _claims(folder: Path) -> list[dict[str, Any]]:
    return list(json.loads((folder / "claims.json").read_text(encoding="utf-8")))


def _seconds(folder: Path) -> float:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return float(manifest["notes"]["seconds"])
