"""What every task is given, and what it hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from fornix.models.interface import Context
from fornix.seeds import generator
from fornix.store.artifact import Artifact
from fornix.training.samples import plain_text
from fornix.training.splits import Fold


@dataclass(frozen=True)
class Job:
    """One fit of one subject.

    Attributes
    ----------
    subject
        Label without ``sub-``.
    seed
        The study's seed.
    responses
        ``responses.zarr``, loaded.
    events
        What happened in the recordings of continuous samples; None for trials.
    features
        Name in ``features`` -> ``features.zarr``.
    model
        The module of the section's kind.
    context
        What the model may use, and where it says what the reader should know.
    """

    subject: str
    seed: int
    responses: xr.Dataset
    events: pd.DataFrame | None
    features: Mapping[str, xr.Dataset]
    model: Any
    context: Context

    @property
    def notes(self) -> list[str]:
        """What the reader of the results should know."""
        return self.context.notes

    @property
    def where(self) -> str:
        """Place for the message of an error."""
        return f"fit of sub-{self.subject}"

    def shuffler(self) -> np.random.Generator:
        """Return the randomness of a control."""
        return generator(self.seed, "fit", "shuffle", self.subject)


@dataclass
class Fitted:
    """What goes into the artifact: one zarr group, its name, weights and ``fit.json``.

    ``parts`` are further groups, with the dimension along which they are cut, and ``tables``
    further tables; ``notes`` are those that the job itself doesn't have. Arrays of the dataset and
    weights may be dask's: they are computed as they are written.
    """

    name: str
    dataset: xr.Dataset
    along: str
    facts: dict[str, Any]
    weights: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, tuple[xr.Dataset, str]] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


RESPONSES, EVENTS = "responses.zarr", "events.parquet"


def parts_read(responses: Artifact) -> list[str]:
    """Return the parts of a subject's responses that a fit reads.

    Volumes come with the events by which features are aligned; trials carry their stimulus.
    """
    return [part for part in (RESPONSES, EVENTS) if part in responses.manifest["parts"]]


def open_job(
    subject: str,
    responses: Artifact,
    features: Mapping[str, xr.Dataset],
    model: Any,
    context: Context,
    *,
    units: slice = slice(None),
) -> Job:
    """Read a subject's responses, of all units or of some.

    Parameters
    ----------
    subject
        Label without ``sub-``.
    responses
        Of the subject.
    features, model, context
        As in :class:`Job`.
    units
        Which units are read, where responses are (sample, unit).
    """
    stored = plain_text(responses.dataset("responses"))
    if units != slice(None):
        stored = stored.isel(unit=units)
    events = responses.table("events") if EVENTS in parts_read(responses) else None
    return Job(subject, context.seed, stored.load(), events, features, model, context)


def facts_of(dataset: xr.Dataset, folds: list[Fold], n_units: int) -> dict[str, Any]:
    """Return what ``fit.json`` says of every fit that has folds."""
    return {
        "n_samples": int(dataset.sizes["sample"]),
        "n_units": n_units,
        "folds": [fold.record() for fold in folds],
        "groups": folds[0].grouping,
    }


def sample_coords(table: pd.DataFrame, *names: str) -> dict[str, Any]:
    """Return the named columns of a table as coordinates of samples, and those all fits have."""
    used = ("session", "run", "fold", "group", *names)
    return {name: ("sample", plain(table[name].to_numpy())) for name in used if name in table}


def plain(values: NDArray[Any]) -> NDArray[Any]:
    """Return text as objects, which zarr stores with variable length."""
    return values if values.dtype.kind in "biuf" else values.astype(str).astype(object)
