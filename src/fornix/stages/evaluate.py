"""Evaluate: all subjects' fits in, the score table out."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fornix.evaluation import over_maps, over_subjects
from fornix.evaluation.corrections import correct_false_discoveries, note_uncorrected
from fornix.evaluation.table import interval_table, score_table
from fornix.store.artifact import Artifact, Recipe, Target, adopt, create, open_artifact
from fornix.study.compute import Compute
from fornix.study.scores import Evaluation
from fornix.training.samples import plain_text, sample_table, stack_units

PARTS = {
    "encoding": "predictions",
    "decoding": "predictions",
    "rsa": "rdms",
    "searchlight": "patterns",
    "identification": "rdms",
}
"""Part of the fit's artifact that each task is judged on."""


def run(
    section: Evaluation,
    inputs: Mapping[str, Path],
    target: Target,
    resources: Compute,
    *,
    subject: str | None = None,
    seed: int = 0,
) -> None:
    """Score one fit of a study, all subjects at once.

    Parameters
    ----------
    section
        The fit and how it is judged; its task names the module in ``fornix.evaluation``.
    inputs
        ``fit/<subject>`` and ``responses/<subject>`` of every subject. Responses are read for
        the noise ceiling of an encoding fit only.
    target
        The artifact to make: ``scores.parquet``, ``intervals.parquet``, ``details.json``,
        ``maps-<subject>.zarr`` of an encoding fit or a searchlight (with ``scores.maps``
        ``maps-group.zarr`` and ``units.parquet`` too), and ``bootstrap.parquet`` and
        ``differences.parquet`` of an RSA fit. The column ``fit`` is the name before the
        digest in the artifact's folder, ``<fit>-<digest>``; ``study`` is left to the report.
    resources
        Numeric threads.
    subject
        Unused: one job scores all subjects.
    seed
        The study's seed.
    """
    task = section.fit.task
    part = PARTS[task]
    names = [key.removeprefix("fit/") for key in inputs if key.startswith("fit/")]
    fits = {name: open_artifact(inputs[f"fit/{name}"]) for name in sorted(names)}
    own = {name: one.share(part, name) for name, one in fits.items()}
    read = {f"fit/{name}": one.digests(f"{own[name]}.zarr") for name, one in fits.items()}
    responses = {}
    repeats = section.scores.ceiling not in (False, "subjects", "models")
    if task == "encoding" and repeats and not _continuous(fits):
        responses = {name: open_artifact(inputs[f"responses/{name}"]) for name in fits}
        digests = {n: one.digests("responses.zarr") for n, one in responses.items()}
        read |= {f"responses/{name}": digest for name, digest in digests.items()}
    # A fit's own settings may say how it is judged, and say nothing about what it is made from.
    names_of = ("responses", "features")
    judged = {k: v for k, v in section.fit.identity().items() if k not in names_of}
    settings = {"task": task, "fit": judged, "scores": section.scores.identity()}
    recipe = Recipe("evaluate", settings | {"seed": seed}, read)
    if adopt(target, recipe):
        return

    module = importlib.import_module(f"fornix.evaluation.{task}")
    datasets = {name: plain_text(one.dataset(own[name])) for name, one in fits.items()}
    fit_name = target.path.name.rpartition("-")[0] or target.path.name
    with create(target, recipe) as draft, threadpool_limits(resources.threads):
        samples = partial(_samples, responses)
        found = module.evaluate(section, datasets, samples, seed=seed)
        together = over_subjects.group_rows(
            found.rows, section.scores, found.notes, seed=seed, draws=found.draws
        )
        if together:
            found.rows += together
            found.how.setdefault("group", over_subjects.HOW)
        if section.scores.correction == "fdr":
            correct_false_discoveries(found.rows)
        note_uncorrected(found.rows, section.scores.correction, found.notes)
        scores = score_table(found.rows, fit_name)
        draft.write_table("scores", scores)
        draft.write_table("intervals", interval_table(found.rows, fit_name))
        for name, rows in found.tables.items():
            table = pd.DataFrame(rows)
            table.insert(0, "fit", fit_name)
            draft.write_table(name, table)
        for name, maps in found.maps.items():
            draft.write_dataset(f"maps-{name}", maps, along="unit")
        group = over_maps.group_map(found.maps, section.scores, found.notes, seed=seed)
        if group is not None:
            draft.write_dataset("maps-group", group, along="unit")
            units = over_maps.unit_table(group)
            units.insert(0, "fit", fit_name)
            draft.write_table("units", units)
            found.how["maps-group"] = group.attrs["how"]
        details = {"how": found.how, "notes": found.notes, **found.facts}
        details |= {"permutations": section.scores.permutations, "subjects": list(fits)}
        draft.write_json("details.json", details)
        draft.note(n_rows=len(scores), notes=found.notes)


def _samples(responses: Mapping[str, Artifact], name: str) -> tuple[Any, NDArray[Any]]:
    """Return a subject's single samples, (sample, unit), and the stimulus of each.

    Epochs are stored by samples, and read at once; the rest by units, and read as it is sliced.
    """
    dataset = plain_text(responses[name].dataset("responses"))
    values = dataset["responses"]
    matrix = values if values.dims == ("sample", "unit") else stack_units(dataset)[0]
    return matrix, sample_table(dataset)["stimulus"].to_numpy()


def _continuous(fits: Mapping[str, Artifact]) -> bool:
    """Return whether samples are volumes: their ceilings come from the fits' own responses."""
    return all(
        one.dataset(one.share("predictions", name)).attrs.get("samples") == "volumes"
        for name, one in fits.items()
    )
