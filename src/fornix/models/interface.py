"""What an encoding model is given, and what it hands back.

A kind of encoding model is a module here with one function,
``fit(section, data, context) -> Predictions``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fornix.solvers.panels import Delayed, Matrix, side_by_side

if TYPE_CHECKING:
    from fornix.study.compute import Compute

Folds = Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]
"""(train, test) rows of each fold."""

InnerFolds = Callable[[NDArray[np.intp]], NDArray[np.intp]]
"""Training rows -> their inner folds."""


@dataclass(frozen=True)
class EncodingData:
    """Samples, what they are predicted from, and how they are held out.

    Attributes
    ----------
    features
        ``<features>/<layer>`` -> (sample, feature), or (sample, token, feature) and
        (sample, row, column, feature) where the layer's tokens or places were kept. With delays
        they are made a few at a time (:class:`fornix.solvers.panels.Delayed`); ``np.asarray`` makes
        them all.
    responses
        float32 (sample, unit).
    units
        One row a unit: ``unit`` (its name), ``roi`` ("" outside all regions), and what else the
        responses say of it.
    folds
        Outer folds.
    inner
        Makes the inner folds of some training rows, on which all but the weights is chosen.
    targets
        Target -> the layers it has side by side.
    bands
        Target that is made of spaces -> their names, which are targets too; others are one space.
    """

    features: Mapping[str, NDArray[Any] | Delayed]
    responses: NDArray[np.float32]
    units: pd.DataFrame
    folds: Folds
    inner: InnerFolds
    targets: Mapping[str, Sequence[str]]
    bands: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def width(self, target: str) -> int:
        """Return how many features a target has."""
        shapes = [self.features[name].shape for name in self.targets[target]]
        return sum(math.prod(shape[1:]) for shape in shapes)

    def matrix(self, target: str) -> Matrix:
        """Return a target's layers side by side, (sample, feature)."""
        n = len(self.responses)
        layers = [self.features[name] for name in self.targets[target]]
        return side_by_side([layer.reshape(n, -1) for layer in layers])

    def side_by_side(self, target: str) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Return a target's layers as one matrix, float64 (sample, feature), and each column's.

        The second is the place of the column's layer among the target's.
        """
        return np.asarray(self.matrix(target), dtype=np.float64), self.owner(target)

    def owner(self, target: str) -> NDArray[np.intp]:
        """Return the place, among a target's layers, of each feature's."""
        widths = [math.prod(self.features[name].shape[1:]) for name in self.targets[target]]
        return np.repeat(np.arange(len(widths)), widths)

    def spaces(self, target: str) -> dict[str, Matrix]:
        """Return the spaces that a target is made of, (sample, feature) each."""
        return {name: self.matrix(name) for name in self.bands.get(target, [target])}


@dataclass(frozen=True)
class Context:
    """What a model may use, and where it says what the reader of the results should know.

    Attributes
    ----------
    resources
        Threads, memory, device.
    seed
        The study's seed.
    subject
        Label without ``sub-``.
    notes
        Sentences for the report are added here.
    scratch
        Folder that outlives a kill: a model that trains for long keeps its checkpoints there.
    """

    resources: Compute
    seed: int = 0
    subject: str = ""
    notes: list[str] = field(default_factory=list)
    scratch: Path | None = None


@dataclass
class Attention:
    """Where a model looked in the held-out stimuli.

    Attributes
    ----------
    maps
        float32 (sample, region, token), each with a sum of 1.
    rows, columns
        How the tokens lie.
    regions
        Names of the regions.
    """

    maps: NDArray[np.float32]
    rows: int
    columns: int
    regions: list[str] = field(default_factory=list)


@dataclass
class Predictions:
    """What an encoding model hands back.

    Attributes
    ----------
    predicted
        Target -> held-out predictions, float32 (sample, unit).
    alpha
        Target -> penalty of each fold and unit, float32 (fold, unit); empty for models without.
    weights
        Name -> array: the model refitted on all samples. For linear models ``<target>/coef``
        (feature, unit), ``/intercept`` (unit,) and ``/alpha`` (unit,), so that
        x @ coef + intercept predicts. For networks ``<target>/<fold>/<number>/<parameter>``.
    parts
        Target that is made of spaces -> space -> what it adds to the predictions, float32
        (sample, unit), where the model is a sum of spaces. With the training mean they sum to
        ``predicted``.
    attention
        Target -> where the model looked, for models that look somewhere.
    logs
        Logs of trainings (:mod:`fornix.training.log`), with the columns ``target``, ``fold`` and
        ``network``.
    parts
        Target that is made of spaces -> space -> what it adds to the predictions, float32
        (sample, unit), where the model is a sum of spaces. With the training mean they sum to
        ``predicted``.
    """

    predicted: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    alpha: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    weights: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    attention: dict[str, Attention] = field(default_factory=dict)
    logs: list[pd.DataFrame] = field(default_factory=list)
    parts: dict[str, dict[str, NDArray[np.float32]]] = field(default_factory=dict)
