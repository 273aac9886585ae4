"""How the study came about: its graph of jobs, their costs, versions and hosts."""

from __future__ import annotations

from fornix.report import words
from fornix.report.dag import Node
from fornix.report.material import Material
from fornix.report.tables import Cell, Table
from fornix.study.features.huggingface import trained_by

MAX_ARTIFACTS = 1000


def provenance(material: Material) -> Table:
    """Return one row an artifact: what, when, at what cost, where, by which code."""
    body = []
    for key in material.artifacts[:MAX_ARTIFACTS]:
        manifest = material.artifact(key).manifest
        made = manifest["provenance"]
        body.append(
            [
                Cell(str(manifest["recipe"]["stage"])),
                Cell(_title(key)),
                Cell(str(manifest["digest"])[:12], kind="code"),
                Cell(words.day(made["started"])),
                Cell(words.seconds(made["wall_s"]), kind="num"),
                Cell(words.megabytes(made["peak_memory_mb"]), kind="num"),
                Cell(str(made["host"])),
                Cell(str(made["commit"] or words.DASH), kind="code"),
            ]
        )
    head = ["stage", "artifact", "contents", "made", "wall time", "peak memory", "host", "commit"]
    caption = "Every artifact that the report rests on; contents: first digits of their digest"
    return Table(caption, head, body)


def _title(key: str) -> str:
    """Return ``encoding, sub-01`` of ``fit/encoding/01``."""
    parts = key.split("/")[1:]
    return ", ".join([parts[0], *(f"sub-{one}" for one in parts[1:])])


def versions(material: Material) -> list[tuple[str, str]]:
    """Return (library, versions) over all artifacts."""
    found: dict[str, set[str]] = {}
    for key in material.artifacts:
        manifest = material.artifact(key).manifest
        for name, version in manifest["recipe"]["versions"].items():
            found.setdefault(str(name), set()).add(str(version))
        for name in ("python", "fornix"):
            found.setdefault(name, set()).add(str(manifest["provenance"][name]))
    return [(name, ", ".join(sorted(found[name]))) for name in sorted(found, key=str.lower)]


def costs(material: Material) -> tuple[float, float, list[str]]:
    """Return total wall time (s), largest peak memory (MB) and the hosts."""
    made = [material.artifact(key).manifest["provenance"] for key in material.artifacts]
    memory = max((float(one["peak_memory_mb"]) for one in made), default=0.0)
    hosts = sorted({str(one["host"]) for one in made})
    return float(sum(one["wall_s"] for one in made)), memory, hosts


def nodes(material: Material) -> list[Node]:
    """Return the boxes of the study's graph: one a name and stage, its subjects together."""
    study = material.study
    boxes = []
    for name, dataset in study.datasets.items():
        boxes.append(Node(f"dataset/{name}", 0, name, dataset.source, "dataset"))
        needs = [f"dataset/{name}"]
        cost = _cost(material, f"ingest/{name}")
        boxes.append(Node(f"ingest/{name}", 1, "ingest", cost, "ingest", needs))
    for name, responses in study.responses.items():
        detail = f"{responses.kind}, {_cost(material, f'responses/{name}/')}"
        needs = [f"ingest/{responses.dataset}"]
        boxes.append(Node(f"responses/{name}", 2, name, detail, "responses", needs))
    for name, pretraining in study.pretrainings.items():
        detail = f"{pretraining.kind}, {_cost(material, f'pretraining/{name}')}"
        needs = [f"ingest/{pretraining.dataset}"]
        boxes.append(Node(f"pretraining/{name}", 2, name, detail, "fit", needs))
    shift = 1 if study.pretrainings else 0
    for name, features in study.features.items():
        detail = f"{features.kind}, {_cost(material, f'features/{name}')}"
        needs = [f"ingest/{features.dataset}"]
        needs += [f"features/{one}" for one in [getattr(features, "source", None)] if one]
        needs += [f"pretraining/{one}" for one in [trained_by(features)] if one]
        boxes.append(Node(f"features/{name}", 2 + shift, name, detail, "features", needs))
    for name, fit in study.brain_fits.items():
        needs = [f"responses/{fit.responses}"]
        needs += [f"features/{one}" for one in fit.reads()]
        kind = "control" if fit.shuffle else "fit"
        detail = f"{fit.kind}, {_cost(material, f'fit/{name}/')}"
        boxes.append(Node(f"fit/{name}", 3 + shift, name, detail, kind, needs))
        cost = _cost(material, f"scores/{name}")
        boxes.append(Node(f"scores/{name}", 4 + shift, "scores", cost, "scores", [f"fit/{name}"]))
    for name, analysis in study.analyses.items():
        detail = f"{analysis.kind}, {_cost(material, f'analyses/{name}')}"
        needs = [f"features/{one}" for one in analysis.features]
        boxes.append(Node(f"analyses/{name}", 3 + shift, name, detail, "fit", needs))
    claims = words.count(len(study.claims), "claim")
    every = [f"scores/{name}" for name in study.brain_fits]
    every += [f"analyses/{name}" for name in study.analyses]
    boxes.append(Node("report", 5 + shift, "report", claims, "report", every))
    return boxes


def _cost(material: Material, prefix: str) -> str:
    """Return ``3 jobs, 12.0 s`` of the input of this name, or of those below it."""
    keys = material.keys(prefix) if prefix.endswith("/") else [prefix]
    found = material.once(key for key in keys if key in material.inputs)
    walls = [material.artifact(key).manifest["provenance"]["wall_s"] for key in found]
    jobs = f"{len(found)} jobs, " if len(found) > 1 else ""
    return jobs + words.seconds(float(sum(walls)))
