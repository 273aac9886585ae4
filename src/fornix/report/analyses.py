"""What the page says about analyses of the features themselves."""

from __future__ import annotations

from dataclasses import dataclass

from fornix.report import words
from fornix.report.figures.analyses import draw
from fornix.report.figures.canvas import Picture, filed
from fornix.report.material import Material
from fornix.report.tables import Cell, Table
from fornix.study.analyses import (
    ActivationCodes,
    Analysis,
    Cka,
    EffectiveDimension,
    ManifoldCapacity,
    Probe,
    Sae,
)
from fornix.study.base import joined


@dataclass(frozen=True)
class AnalysisPart:
    """What the page says about one analysis."""

    name: str
    sentence: str
    listing: Table | None
    figures: list[Picture]
    how: dict[str, str]
    notes: list[str]


def part(material: Material, name: str) -> AnalysisPart:
    """Return what the page says about one analysis."""
    details = material.analysis(name).json("details.json")
    text = sentence(material.study.analyses[name])
    figures = draw(material, name) if material.study.report.figures else []
    return AnalysisPart(
        name=name,
        sentence=text[0].upper() + text[1:],
        listing=listing(material, name),
        figures=filed(figures, name),
        how={words.metric(key): str(one) for key, one in details["how"].items()},
        notes=[str(note) for note in details["notes"]],
    )


def sentence(one: Analysis) -> str:
    """Say what was asked of the features."""
    what = joined(one.features)
    if isinstance(one, EffectiveDimension):
        return f"dimensions and spectra of {what}."
    if isinstance(one, Cka):
        return f"{'debiased ' if one.debiased else ''}linear CKA of the layers of {what}."
    if isinstance(one, Probe):
        held_out = f", {one.groups} held out together" if one.groups else ""
        return f"linear probes for {one.label} in {what}, {one.n_splits} folds{held_out}."
    if isinstance(one, ActivationCodes):
        on = "zero" if one.threshold == "zero" else "their medians"
        read = f", read for {one.label}" if one.label else ""
        return f"binary codes of the units of {what} above {on}{read}."
    if isinstance(one, Sae):
        sparse = (
            f"{one.k} at a time" if one.activation == "topk" else f"an L1 penalty of {one.l1:g}"
        )
        return (
            f"sparse autoencoders of {what}, {one.n_latents} latents, {sparse}, judged on "
            f"{100 * one.held_out:g} % of the stimuli."
        )
    assert isinstance(one, ManifoldCapacity)  # noqa: S101 - all kinds are above
    return f"mean-field geometry of the classes of {one.label} in {what}."


def listing(material: Material, name: str) -> Table | None:
    """Return every score of an analysis; None if there is none."""
    rows = material.rows(name)
    if rows.empty:
        return None
    columns = [key for key in ("chance", "ceiling", "p") if rows[key].notna().any()]
    against = rows["unit"].nunique() > 1
    names = {"ceiling": "most possible"}
    head = ["target", *(["against"] if against else []), "metric", "value"]
    head += [*(names.get(key, key) for key in columns), "stimuli"]
    body = []
    for one in rows.to_dict("records"):
        cells = [Cell(one["target"]), *([Cell(one["unit"])] if against else [])]
        texts = [words.number(one["value"], 3)]
        texts += [_text(key, one[key]) for key in columns] + [f"{one['n']:,}"]
        cells += [Cell(words.metric(one["metric"])), *(Cell(text, kind="num") for text in texts)]
        body.append(cells)
    return Table(f"All {words.count(len(rows), 'score')} of {name}", head, body)


def _text(key: str, value: float) -> str:
    return words.p_value(value) if key == "p" else words.number(value, 3)
