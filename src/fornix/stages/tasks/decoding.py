"""Decoding: responses to a label of the samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from fornix.errors import FornixError
from fornix.seeds import generator
from fornix.stages.tasks.job import Fitted, Job, facts_of, sample_coords
from fornix.study.fits.classifier import ClassifierFit
from fornix.training.given import train_and_test, with_folds
from fornix.training.samples import sample_table, shuffled_labels, stack_units
from fornix.training.splits import plan_folds


def fit(section: ClassifierFit, job: Job) -> Fitted:
    """Return held-out scores of every class.

    Parameters
    ----------
    section
        A section of ``fits`` whose task is decoding.
    job
        Responses of one subject.
    """
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
        | sample_coords(table, "label", "pair", "trial", "stimulus"),
        attrs={"classes": classes, "chance": chance, "label": label or "baseline"},
    )
    facts = facts_of(dataset, folds, max(view.inputs.shape[1] for view in views))
    facts |= {"classes": classes, "n_windows": len(found.times), "label": label or "baseline"}
    return Fitted("predictions", dataset, "unit", facts, found.weights)


def _views(section: ClassifierFit, job: Job, rows: NDArray[np.intp]) -> list[Any]:
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


def _note_repeats(job: Job, table: pd.DataFrame, label: str) -> None:
    """Say so where a decoder may know a stimulus again instead of telling its class."""
    shown = table[table["stimulus"] != ""].groupby("stimulus")
    classes = table[label].nunique()
    repeated = int((shown["fold"].max() > shown["fold"].min()).sum())
    if repeated and len(shown) > classes:
        job.notes.append(
            f"{repeated} of {len(shown)} stimuli are in training and in test samples: a decoder "
            f"may know a stimulus again without telling {label}; cv.groups: stimulus rules it out"
        )


def _note_unused(job: Job, count: int, why: str) -> None:
    if count:
        job.notes.append(f"{count} samples {why}; they are left out")
