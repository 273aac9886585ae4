"""What the page says about networks that were trained on stimuli alone."""

from __future__ import annotations

from dataclasses import dataclass

from fornix.report.figures import pretraining
from fornix.report.figures.canvas import Picture
from fornix.report.material import Material


@dataclass(frozen=True)
class PretrainingPart:
    """What the page says about one of them."""

    name: str
    sentence: str
    notes: list[str]


def parts(material: Material) -> list[PretrainingPart]:
    """Return what the page says about every pretraining."""
    found = []
    for name, section in material.study.pretrainings.items():
        facts = material.artifact(f"pretraining/{name}").json("fit.json")
        found.append(PretrainingPart(name, section.describe(), [str(n) for n in facts["notes"]]))
    return found


def curves(material: Material) -> list[Picture]:
    """Return the figure of all their logs; none where there is no pretraining."""
    logs = {
        name: material.artifact(f"pretraining/{name}").table("log")
        for name in material.study.pretrainings
    }
    return [pretraining.draw(logs)] if logs and material.study.report.figures else []
