"""The page: one HTML file that needs nothing else."""

from __future__ import annotations

from importlib import resources
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

import fornix
from fornix.evaluation.claims import SUPPORTED
from fornix.report import dag, methods, tables
from fornix.report.figures import decoding, encoding, rsa
from fornix.report.figures.canvas import Picture
from fornix.report.material import Material
from fornix.store.provenance import Meter

MAX_ROWS = 2000
"""Rows of the full table on the page; all of them are in scores.csv."""


def render(material: Material) -> str:
    """Return the page.

    Parameters
    ----------
    material
        The finished study.
    """
    study = material.study
    files = resources.files("fornix.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["number"] = tables.number
    template = environment.from_string(files.joinpath("template.html.j2").read_text("utf-8"))
    made = Meter().record()
    return template.render(
        study=study,
        style=Markup(files.joinpath("style.css").read_text("utf-8")),  # noqa: S704 - our own file
        fornix_version=fornix.__version__,
        made=made,
        methods=methods.sentences(study, {name: _groups(material, name) for name in study.fits}),
        study_yaml=_yaml(material),
        headlines=tables.headlines(material),
        verdicts=material.verdicts,
        n_supported=sum(one.verdict == SUPPORTED for one in material.verdicts),
        datasets=tables.datasets(material),
        responses=tables.responses(material),
        exclusions=tables.exclusions(material),
        graph=Markup(dag.draw(tables.nodes(material))),  # noqa: S704 - draw() escapes its texts
        fits=[_fit(material, name) for name in study.fits if material.twin(name) is None],
        scores=material.scores.head(MAX_ROWS).to_dict("records"),
        n_scores=len(material.scores),
        provenance=tables.provenance(material),
        versions=tables.versions(material),
        total=_duration(tables.total_seconds(material)),
        notes=_notes(material),
    )


def _fit(material: Material, name: str) -> dict[str, Any]:
    """Return one fit's part of the page, with its shuffled control beside it."""
    fit, control = material.study.fits[name], material.control(name)
    figures: list[Picture] = []
    if material.study.report.figures:
        if fit.task == "encoding":
            figures = encoding.draw(material, name, control, maps=material.study.report.maps)
        elif fit.task == "decoding":
            figures = decoding.draw(material, name, control)
        else:
            figures = rsa.draw(material, name, control)
    return {
        "name": name,
        "sentence": methods.sentence(methods.fit(fit, _groups(material, name))),
        "summary": tables.summary(material, name),
        "control": control,
        "control_summary": tables.summary(material, control) if control else [],
        "figures": figures,
        "how": _how(material, name),
    }


def _groups(material: Material, name: str) -> str:
    """Return what the fit held out together."""
    keys = material.keys(f"fit/{name}/")
    return str(material.artifact(keys[0]).json("fit.json").get("groups", "")) if keys else ""


def _how(material: Material, name: str) -> dict[str, str]:
    details = material.artifact(f"scores/{name}").json("details.json")
    how = details.get("how", {})
    return {str(key): str(value) for key, value in how.items()} if isinstance(how, dict) else {}


def _notes(material: Material) -> list[tuple[str, str]]:
    """Return what stages noted for the reader, by where it was noted."""
    found: list[tuple[str, str]] = []
    for key in material.inputs:
        if key == "study":
            continue
        artifact = material.artifact(key)
        parts = artifact.manifest["parts"]
        noted: list[Any] = list(artifact.manifest["notes"].get("notes", []) or [])
        for part in ("fit.json", "details.json", "features.json"):
            if part in parts:
                noted += artifact.json(part).get("notes", [])
        found += [(key, str(one)) for one in dict.fromkeys(map(str, noted))]
    return found


def _yaml(material: Material) -> str:
    values = material.study.model_dump(mode="json", exclude={"variants"}, exclude_defaults=True)
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=96)
    return text


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
