"""Fit: features and responses of one subject in, held-out predictions (or RDMs) out."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from safetensors.numpy import save_file
from threadpoolctl import threadpool_limits

from fornix.errors import FornixError
from fornix.seeds import generator
from fornix.store.artifact import Recipe, Target, adopt, create, open_artifact
from fornix.study.compute import Compute
from fornix.study.fits import ClassifierFit, Fit, RidgeFit, RsaFit
from fornix.training.designs import features_of_stimuli, targets_of
from fornix.training.given import of_trials, of_volumes, train_and_test, with_folds
from fornix.training.samples import (
    plain_text,
    sample_table,
    session_means,
    shuffled_labels,
    stack_units,
)
from fornix.training.splits import Fold, plan_folds

KEPT_ATTRS = ("volume_shape", "affine", "units", "samples")
"""Attributes of the responses that predictions keep."""


@dataclass
class Fitted:
    """What goes into the artifact: one zarr group, its name, weights and ``fit.json``."""

    name: str
    dataset: xr.Dataset
    along: str
    facts: dict[str, Any]
    weights: dict[str, NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Job:
    subject: str
    seed: int
    responses: xr.Dataset
    events: pd.DataFrame | None
    features: Mapping[str, xr.Dataset]
    model: ModuleType
    notes: list[str]

    @property
    def where(self) -> str:
        return f"fit of sub-{self.subject}"

    def shuffler(self) -> np.random.Generator:
        return generator(self.seed, "fit", "shuffle", self.subject)


def run(
    section: Fit,
    inputs: Mapping[str, Path],
    target: Target,
    resources: Compute,
    *,
    subject: str | None = None,
    seed: int = 0,
) -> None:
    """Fit one model to one subject.

    Parameters
    ----------
    section
        A section of ``fits``; its kind names the module in ``fornix.models``.
    inputs
        ``responses``, and ``features/<name>`` for each name in the section.
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
    responses = open_artifact(inputs["responses"])
    names = list(getattr(section, "features", []))
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
    job = _Job(
        subject=subject or "",
        seed=seed,
        responses=plain_text(responses.dataset("responses")).load(),
        events=responses.table("events") if "events.parquet" in parts else None,
        features={name: plain_text(one.dataset("features")) for name, one in features.items()},
        model=importlib.import_module(f"fornix.models.{section.kind}"),
        notes=[],
    )
    with create(target, recipe) as draft, threadpool_limits(resources.threads):
        if isinstance(section, RidgeFit):
            fitted = _encode(section, job)
        elif isinstance(section, ClassifierFit):
            fitted = _decode(section, job)
        else:
            fitted = _compare(section, job)
        head = {"kind": section.kind, "task": section.task, "subject": job.subject}
        fitted.dataset.attrs |= head
        draft.write_dataset(fitted.name, fitted.dataset, along=fitted.along)
        if fitted.weights:
            save_file(fitted.weights, draft.file("weights.safetensors"))
        facts = head | fitted.facts | {"shuffle": section.shuffle, "notes": job.notes}
        draft.write_json("fit.json", facts)
        draft.note(n_samples=facts["n_samples"], n_units=facts["n_units"], notes=job.notes)


def _encode(section: RidgeFit, job: _Job) -> Fitted:
    table = sample_table(job.responses)
    matrix, units = stack_units(job.responses)
    shuffler, where = job.shuffler(), job.where
    if job.events is None:
        prepare = partial(of_trials, seed=job.seed, notes=job.notes)
    else:
        prepare = partial(of_volumes, events=job.events)
    given = prepare(section, table, matrix, job.features, shuffler=shuffler, where=where)
    table, matrix = given.table, given.matrix
    targets, spaces = targets_of(section, list(given.features))
    found = job.model.fit(
        section,
        given.features,
        matrix,
        given.pairs,
        inner=given.inner,
        notes=job.notes,
        targets=targets,
    )
    names = list(found.predicted)
    cubes = ("target", "sample", "unit")
    # The dimension can't be called fold: that is the coordinate of the samples.
    alpha = (("target", "outer_fold", "unit"), np.stack([found.alpha[name] for name in names]))
    dataset = xr.Dataset(
        {
            "predicted": (cubes, np.stack([found.predicted[name] for name in names])),
            "observed": (("sample", "unit"), matrix),
            "alpha": alpha,
        },
        coords={"target": names}
        | {name: ("unit", _plain(values)) for name, values in units.items()}
        | _sample_coords(table, "stimulus", "n_repeats", "recording", "onset"),
        attrs={k: job.responses.attrs[k] for k in KEPT_ATTRS if k in job.responses.attrs}
        | {"spaces": json.dumps(spaces)},
    )
    facts = _facts(dataset, given.folds, matrix.shape[1])
    facts |= {"average_repeats": section.average_repeats and job.events is None, "spaces": spaces}
    return Fitted("predictions", dataset, "unit", facts, found.weights)


def _decode(section: ClassifierFit, job: _Job) -> Fitted:
    table = sample_table(job.responses)
    label = None if section.baseline is not None else section.label
    folds = plan_folds(table, section.cv, "decoding", label, seed=job.seed, where=job.where)
    rows, table = with_folds(table, folds)
    _note_unused(job, job.responses.sizes["sample"] - len(rows), f"have no {section.label}")
    if label is not None:
        _note_repeats(job, table, label)
    views = _views(section, job, rows)
    if label is None:
        classes = ["baseline", "window"]
        table = table.loc[table.index.repeat(2)].reset_index(drop=True)
        labels = np.tile(np.arange(2), len(rows))
        table["pair"] = np.repeat(np.arange(len(rows)), 2)
    else:
        found_labels = table[label].astype(str)
        classes = sorted(set(found_labels))
        labels = np.asarray([classes.index(one) for one in found_labels], dtype=np.intp)
        table["pair"] = -1
    if section.shuffle:
        exchangeable = table["group" if label else "pair"].to_numpy()
        labels = shuffled_labels(labels, exchangeable, job.shuffler())
    rng = generator(job.seed, "fit", "classifier", job.subject)
    found = job.model.fit(section, views, labels, train_and_test(table["fold"].to_numpy()), rng)
    table["label"] = np.asarray(classes, dtype=object)[labels]
    chance = float(np.bincount(labels).max() / len(labels))
    dataset = xr.Dataset(
        {"score": (("unit", "time", "sample", "class"), found.score)},
        coords={"unit": found.units, "time": found.times, "class": classes}
        | _sample_coords(table, "label", "pair", "trial", "stimulus"),
        attrs={"classes": classes, "chance": chance, "label": label or "baseline"},
    )
    facts = _facts(dataset, folds, max(view.inputs.shape[1] for view in views))
    facts |= {"classes": classes, "n_windows": len(found.times), "label": label or "baseline"}
    return Fitted("predictions", dataset, "unit", facts, found.weights)


def _views(section: ClassifierFit, job: _Job, rows: NDArray[np.intp]) -> list[Any]:
    array = job.responses["responses"]
    if "time" not in array.dims:
        if section.window is not None or section.decimate is not None:
            problem = "window, baseline and decimate need epochs; these samples have no time"
            mend = "leave window, baseline and decimate out of the fit"
            raise FornixError(problem, where=job.where, mend=mend)
        matrix, units = stack_units(job.responses)
        return list(job.model.region_views(matrix[rows], units["roi"]))
    stack_units(job.responses)  # refuses what isn't finite
    epochs = array.transpose("sample", "channel", "time").values[rows]
    times = array["time"].values.astype(float)
    if section.baseline is not None:
        return list(job.model.contrast_views(section, epochs, times, job.notes))
    return list(job.model.epoch_views(section, epochs, times))


def _compare(section: RsaFit, job: _Job) -> Fitted:
    if "rdm" in job.responses:
        stimuli, units, sessions, brain = _given_rdms(job)
    else:
        stimuli, units, sessions, brain = _measured_rdms(section, job)
    features = features_of_stimuli(job.features, stimuli)
    if section.shuffle:
        source = job.shuffler().permutation(len(stimuli))
        features = {name: values[source] for name, values in features.items()}
    models = {}
    for name, values in features.items():
        rdm = job.model.model_rdm(values, section.distance)
        if np.isnan(rdm).any():
            job.notes.append(
                f"{name} is left out: for some stimuli its features are all equal, and a "
                "correlation distance isn't defined (set distance: euclidean)"
            )
            continue
        models[name] = rdm
    if not models:
        problem = "no layer has a defined dissimilarity for every pair of stimuli"
        raise FornixError(problem, where=job.where, mend="set distance: euclidean")
    first, second = np.triu_indices(len(stimuli), 1)
    dataset = xr.Dataset(
        {
            "brain": (("unit", "session", "pair"), brain.astype(np.float32)),
            "model": (("target", "pair"), np.stack(list(models.values()))),
        },
        coords={
            "unit": units,
            "session": sessions,
            "target": list(models),
            "stimulus_a": ("pair", stimuli[first]),
            "stimulus_b": ("pair", stimuli[second]),
        },
        attrs={"n_stimuli": len(stimuli)},
    )
    facts = {"n_samples": len(stimuli), "n_units": len(units), "folds": [], "groups": "none"}
    return Fitted("rdms", dataset, "pair", facts)


def _given_rdms(job: _Job) -> tuple[NDArray[Any], list[str], list[str], NDArray[Any]]:
    rdm = job.responses["rdm"].transpose("session", "stimulus", "stimulus_2")
    sessions = [str(one) for one in rdm["session"].values]
    brain = [
        job.model.condensed(matrix, where=f"{job.where}, session {session}")
        for matrix, session in zip(rdm.values, sessions, strict=True)
    ]
    stimuli = rdm["stimulus"].values.astype(str).astype(object)
    return stimuli, ["all"], sessions, np.stack(brain)[None]


def _measured_rdms(
    section: RsaFit, job: _Job
) -> tuple[NDArray[Any], list[str], list[str], NDArray[Any]]:
    table = sample_table(job.responses)
    matrix, coords = stack_units(job.responses)
    stimuli, sessions, means = session_means(matrix, table, job.notes, where=job.where)
    regions = coords["roi"].astype(str)
    units = [name for name in dict.fromkeys(regions) if name]
    rdms = np.empty((len(units), len(sessions), len(stimuli) * (len(stimuli) - 1) // 2))
    for s, session in enumerate(sessions):
        for u, name in enumerate(units):
            where = f"{job.where}, region {name}, session {session or 'only one'}"
            patterns = means[s][:, regions == name]
            rdms[u, s] = job.model.brain_rdm(patterns, section.brain_distance, where=where)
    return stimuli, units, sessions, rdms


def _note_repeats(job: _Job, table: pd.DataFrame, label: str) -> None:
    """Say so where a decoder may know a stimulus again instead of telling its class."""
    shown = table[table["stimulus"] != ""].groupby("stimulus")
    classes = table[label].nunique()
    repeated = int((shown["fold"].max() > shown["fold"].min()).sum())
    if repeated and len(shown) > classes:
        job.notes.append(
            f"{repeated} of {len(shown)} stimuli are in training and in test samples: a decoder "
            f"may know a stimulus again without telling {label}; cv.groups: stimulus rules it out"
        )


def _note_unused(job: _Job, count: int, why: str) -> None:
    if count:
        job.notes.append(f"{count} samples {why}; they are left out")


def _facts(dataset: xr.Dataset, folds: list[Fold], n_units: int) -> dict[str, Any]:
    return {
        "n_samples": int(dataset.sizes["sample"]),
        "n_units": n_units,
        "folds": [fold.record() for fold in folds],
        "groups": folds[0].grouping,
    }


def _sample_coords(table: pd.DataFrame, *names: str) -> dict[str, Any]:
    used = ("session", "run", "fold", "group", *names)
    return {name: ("sample", _plain(table[name].to_numpy())) for name in used if name in table}


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Return text as objects, which zarr stores with variable length."""
    return values if values.dtype.kind in "biuf" else values.astype(str).astype(object)
