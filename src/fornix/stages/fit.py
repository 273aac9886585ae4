"""Fit: features and responses in, held-out predictions (or RDMs) out.

Of one subject, or of all subjects by one model.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from fornix.models.interface import Context
from fornix.stages.scratch import scratch
from fornix.stages.tasks.job import Fitted, open_job, parts_read
from fornix.store.artifact import Recipe, Target, adopt, create, open_artifact
from fornix.store.draft import Draft
from fornix.store.tensors import save_tensors
from fornix.study.compute import Compute
from fornix.study.fits.pretraining import PretrainingSection
from fornix.training.samples import plain_text

if TYPE_CHECKING:
    from fornix.study.fits.union import Fit


def run(
    section: Fit,
    inputs: Mapping[str, Path],
    target: Target,
    resources: Compute,
    *,
    subject: str | None = None,
    seed: int = 0,
) -> None:
    """Fit one model to one subject, to a cohort, or to stimuli alone.

    Parameters
    ----------
    section
        A section of ``fits``; its task names the module in ``fornix.stages.tasks``, and its
        kind the one in ``fornix.models``.
    inputs
        ``responses`` (or ``responses/<subject>`` of every subject of a cohort), and
        ``features/<name>`` for each name that the section reads; for a pretraining, see
        :mod:`fornix.stages.tasks.pretraining`.
    target
        The artifact to make: ``predictions.zarr`` and ``weights.safetensors`` (or ``rdms.zarr``),
        ``fit.json``, and what else a model has: ``attention.zarr``, ``training.parquet``. Parts
        of a cohort's subjects are named ``predictions-<subject>.zarr`` and so on.
    resources
        Numeric threads.
    subject
        Label without ``sub-``; None for a cohort.
    seed
        The study's seed.
    """
    if isinstance(section, PretrainingSection):
        pretraining = importlib.import_module("fornix.stages.tasks.pretraining")
        pretraining.run(section, inputs, target, resources, seed=seed)
        return
    cohort = section.scope == "cohort"
    whose = {key.partition("/")[2] or subject or "": key for key in inputs if _is_responses(key)}
    responses = {name: open_artifact(inputs[key]) for name, key in sorted(whose.items())}
    names = section.reads()
    features = {name: open_artifact(inputs[f"features/{name}"]) for name in names}
    read = {whose[name]: one.digests(*parts_read(one)) for name, one in responses.items()}
    read |= {f"features/{name}": one.digests("features.zarr") for name, one in features.items()}
    model = importlib.import_module(f"fornix.models.{section.kind}")
    if hasattr(model, "fingerprint"):  # weights that it starts from
        read["weights"] = model.fingerprint(section, seed)
    settings = {k: v for k, v in section.identity().items() if k != "responses"}
    recipe = Recipe("fit", settings | {"subject": subject, "seed": seed}, read)
    if adopt(target, recipe):
        return
    task = importlib.import_module(f"fornix.stages.tasks.{section.task}")
    in_blocks = None
    if hasattr(task, "in_blocks") and not cohort:
        in_blocks = task.in_blocks(
            section,
            subject=subject or "",
            seed=seed,
            responses=inputs["responses"].absolute(),
            features={name: one.path.absolute() for name, one in features.items()},
            resources=resources,
        )
    with (
        create(target, recipe) as draft,
        threadpool_limits(resources.threads),
        scratch(draft, needed=section.trained or in_blocks is not None) as folder,
    ):
        context = Context(resources, seed, subject or "", scratch=folder)
        head = {"kind": section.kind, "task": section.task, "subject": subject or ""}
        stored = {name: plain_text(one.dataset("features")) for name, one in features.items()}
        opened = partial(open_job, features=stored, model=model, context=context)
        if cohort:
            jobs = {name: opened(name, one) for name, one in responses.items()}
            found: dict[str, Fitted] = task.fit_cohort(section, jobs)
            facts = head | _together([one.facts for one in found.values()])
            facts |= {"subjects": list(found)}
        else:
            if in_blocks is not None:
                one = in_blocks(folder)
            else:
                [(name, stored_responses)] = responses.items()
                one = task.fit(section, opened(name, stored_responses))
            found, facts = {"": one}, head | one.facts
            context.notes.extend(one.notes)
        for name, fitted in found.items():
            own = f"-{name}" if name else ""
            fitted.dataset.attrs |= head | {"subject": name or subject or ""}
            _write(draft, fitted, own)
        if weights := {key: one for each in found.values() for key, one in each.weights.items()}:
            save_tensors(weights, draft.file("weights.safetensors"))
        facts |= {"shuffle": section.shuffle, "notes": context.notes}
        draft.write_json("fit.json", facts)
        draft.note(n_samples=facts["n_samples"], n_units=facts["n_units"], notes=context.notes)


def _write(draft: Draft, fitted: Fitted, own: str) -> None:
    """Write the parts of one subject; ``own`` tells them from others' in the same artifact."""
    draft.write_dataset(f"{fitted.name}{own}", fitted.dataset, along=fitted.along)
    for part, (dataset, along) in fitted.parts.items():
        draft.write_dataset(f"{part}{own}", dataset, along=along)
    for part, table in fitted.tables.items():
        draft.write_table(f"{part}{own}", table)


def _together(facts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the facts of a cohort: samples and units of all, the rest as the first has it."""
    sums = {key: sum(one[key] for one in facts) for key in ("n_samples", "n_units")}
    return facts[0] | sums


def _is_responses(key: str) -> bool:
    return key.partition("/")[0] == "responses"
