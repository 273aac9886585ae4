"""``report``: all scores in one table, the claims judged, and the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from fornix.report.history import costs
from fornix.report.material import Material
from fornix.report.page import make
from fornix.store import Recipe, Target, adopt, create, open_artifact
from fornix.study.compute import Compute
from fornix.study.study import Study


def run(
    section: Study,
    inputs: Mapping[str, Path],
    target: Target,
    resources: Compute,
    *,
    subject: str | None = None,
    seed: int = 0,
) -> None:
    """Write ``report.html``, ``figures/``, the scores, ``claims.json`` and ``study.yaml``.

    Parameters
    ----------
    section
        The whole study.
    inputs
        ``ingest/<dataset>``, ``responses/<name>/<subject>``, ``features/<name>``,
        ``fit/<fit>/<subject>``, ``scores/<fit>`` and ``analyses/<name>``; ``study``: the resolved
        study file.
    target
        The artifact.
    resources, subject, seed
        Not used.
    """
    del resources, subject, seed
    artifacts = {key: path for key, path in inputs.items() if key != "study"}
    digests = {key: open_artifact(path).digest for key, path in artifacts.items()}
    recipe = Recipe("report", section.identity(), digests)
    if adopt(target, recipe):
        return
    material = Material(section, dict(artifacts))
    with create(target, recipe) as draft:
        draft.write_table("scores", material.scores)
        material.scores.to_csv(draft.file("scores.csv"), index=False, lineterminator="\n")
        draft.write_json("claims.json", [asdict(verdict) for verdict in material.verdicts])
        draft.file("study.yaml").write_bytes(inputs["study"].read_bytes())
        label = target.path.name.rpartition("-")[0]
        page = make(material, label)
        draft.file("report.html").write_text(page.html, encoding="utf-8")
        for name, content in page.files.items():
            draft.file(name).write_bytes(content)
        spent = round(costs(material)[0], 1)
        draft.note(n_scores=len(material.scores), n_claims=len(material.verdicts), seconds=spent)
