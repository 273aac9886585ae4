"""The page: one HTML file that needs nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

import fornix
from fornix.evaluation.claims import SUPPORTED
from fornix.report import analyses, dag, data, history, methods, pretraining, tables, words
from fornix.report.figures import (
    decoding,
    encoding,
    identification,
    layers,
    rsa,
    searchlight,
    trajectories,
)
from fornix.report.figures.canvas import Picture, filed
from fornix.report.headlines import headlines
from fornix.report.material import Material
from fornix.report.overview import MARKS
from fornix.report.tables import Table
from fornix.store.provenance import Meter
from fornix.study.base import joined


@dataclass(frozen=True)
class Page:
    """The page, and its figures as files.

    Attributes
    ----------
    html
        Needs nothing else: the figures are in it.
    files
        Name beside the page -> content of each figure.
    """

    html: str
    files: dict[str, bytes]


@dataclass(frozen=True)
class FitPart:
    """What the page says about one fit, its shuffled control beside it."""

    name: str
    sentence: str
    control: str | None
    matrix: Table | None
    listing: Table | None
    figures: list[Picture]
    how: dict[str, str]
    notes: list[str]


def render(material: Material, label: str = "") -> str:
    """Return the page alone; parameters as of :func:`make`."""
    return make(material, label).html


def make(material: Material, label: str = "") -> Page:
    """Return the page and its figures.

    Parameters
    ----------
    material
        The finished study.
    label
        Name of the results' folder; differs from the study's name for a variant.
    """
    study = material.study
    files = resources.files("fornix.report")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files.joinpath("template.html.j2").read_text("utf-8"))
    verdicts = material.verdicts
    total, memory, hosts = history.costs(material)
    made = Meter().record()
    curves = filed(pretraining.curves(material), "pretraining")
    fits = [_fit(material, name) for name in material.fits]
    of_features = [analyses.part(material, name) for name in study.analyses]
    html = template.render(
        study=study,
        label=label or study.name,
        style=Markup(files.joinpath("style.css").read_text("utf-8")),  # noqa: S704 - our own file
        fornix_version=fornix.__version__,
        made=made | {"day": words.day(made["started"])},
        headlines=headlines(material),
        verdicts=verdicts,
        marks=MARKS,
        n_supported=sum(one.verdict == SUPPORTED for one in verdicts),
        methods=methods.sentences(
            study, {name: _groups(material, name) for name in study.brain_fits}
        ),
        study_yaml=_yaml(material),
        datasets=data.datasets(material),
        responses=data.responses(material),
        exclusions=data.exclusions(material),
        remarks=data.remarks(material),
        graph=Markup(dag.draw(history.nodes(material))),  # noqa: S704 - draw() escapes its texts
        pretrainings=pretraining.parts(material),
        curves=curves,
        fits=fits,
        analyses=of_features,
        everything=tables.everything(material),
        provenance=history.provenance(material),
        versions=history.versions(material),
        total=words.seconds(total),
        memory=words.megabytes(memory),
        hosts=joined(hosts),
        n_artifacts=len(material.artifacts),
    )
    every = [*curves]
    every += [figure for fit in fits for figure in fit.figures]
    every += [figure for analysis in of_features for figure in analysis.figures]
    return Page(html, {figure.file: figure.content for figure in every})


def _fit(material: Material, name: str) -> FitPart:
    fit, control = material.study.brain_fits[name], material.control(name)
    details = material.details(name)
    rows = material.rows(name)
    figures = _figures(material, name, control) if material.study.report.figures else []
    how = {words.metric(key): str(text) for key, text in details.get("how", {}).items()}
    return FitPart(
        name=name,
        sentence=methods.sentence(fit.describe(_groups(material, name))),
        control=control,
        matrix=None if rows.empty else tables.matrix(material, name),
        listing=None if rows.empty else tables.listing(material, name),
        figures=filed(figures, name),
        how=how,
        notes=[str(note) for note in details.get("notes", [])],
    )


def _figures(material: Material, name: str, control: str | None) -> list[Picture]:
    task = material.study.brain_fits[name].task
    if task == "encoding":
        found = encoding.draw(material, name, control, with_maps=material.study.report.maps)
        return [*trajectories.draw(material, name), *layers.draw(material, name), *found]
    if task == "decoding":
        return decoding.draw(material, name, control)
    if task == "searchlight":
        return searchlight.draw(material, name) if material.study.report.maps else []
    if task == "identification":
        return identification.draw(material, name, control)
    return rsa.draw(material, name, control)


def _groups(material: Material, name: str) -> str:
    """Return what the fit held out together."""
    keys = material.keys(f"fit/{name}/")
    return str(material.artifact(keys[0]).json("fit.json").get("groups", "")) if keys else ""


def _yaml(material: Material) -> str:
    values = material.study.model_dump(mode="json", exclude={"variants"}, exclude_defaults=True)
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=96)
    return text
