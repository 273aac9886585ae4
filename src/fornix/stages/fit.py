"""Fit: features and responses of one subject in, held-out predictions (or RDMs) out."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.numpy import save_file
from threadpoolctl import threadpool_limits

from fornix.models.interface import Context
from fornix.stages.scratch import scratch
from fornix.stages.tasks.job import Fitted, Job
from fornix.store.artifact import Recipe, Target, adopt, create, open_artifact
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
    """Fit one model to one subject, or to stimuli alone.

    Parameters
    ----------
    section
        A section of ``fits``; its task names the module in ``fornix.stages.tasks``, and its
        kind the one in ``fornix.models``.
    inputs
        ``responses``, and ``features/<name>`` for each name in the section; for a pretraining,
        see :mod:`fornix.stages.tasks.pretraining`.
    target
        The artifact to make: ``predictions.zarr`` and ``weights.safetensors`` (or ``rdms.zarr``)
        and ``fit.json``.
    resources
        Numeric threads.
    subject
        Label without ``sub-``.
    seed
        The study's seed.
    """
    if isinstance(section, PretrainingSection):
        pretraining = importlib.import_module("fornix.stages.tasks.pretraining")
        pretraining.run(section, inputs, target, resources, seed=seed)
        return
    responses = open_artifact(inputs["responses"])
    names = section.reads()
    features = {name: open_artifact(inputs[f"features/{name}"]) for name in names}
    # Volumes come with the events by which features are aligned; trials carry their stimulus.
    parts = [
        name for name in ("responses.zarr", "events.parquet") if name in responses.manifest["parts"]
    ]
    read = {"responses": responses.digests(*parts)}
    read |= {f"features/{name}": one.digests("features.zarr") for name, one in features.items()}
    settings = {k: v for k, v in section.identity().items() if k != "responses"}
    recipe = Recipe("fit", settings | {"subject": subject, "seed": seed}, read)
    if adopt(target, recipe):
        return
    task = importlib.import_module(f"fornix.stages.tasks.{section.task}")
    with (
        create(target, recipe) as draft,
        threadpool_limits(resources.threads),
        scratch(draft, needed=section.trained) as folder,
    ):
        job = Job(
            subject=subject or "",
            seed=seed,
            responses=plain_text(responses.dataset("responses")).load(),
            events=responses.table("events") if "events.parquet" in parts else None,
            features={name: plain_text(one.dataset("features")) for name, one in features.items()},
            model=importlib.import_module(f"fornix.models.{section.kind}"),
            context=Context(resources, seed, subject or "", scratch=folder),
        )
        fitted: Fitted = task.fit(section, job)
        head = {"kind": section.kind, "task": section.task, "subject": job.subject}
        fitted.dataset.attrs |= head
        draft.write_dataset(fitted.name, fitted.dataset, along=fitted.along)
        if fitted.weights:
            save_file(fitted.weights, draft.file("weights.safetensors"))
        facts = head | fitted.facts | {"shuffle": section.shuffle, "notes": job.notes}
        draft.write_json("fit.json", facts)
        draft.note(n_samples=facts["n_samples"], n_units=facts["n_units"], notes=job.notes)
