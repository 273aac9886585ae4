"""Labels of the stimuli: a column of their table, folds that hold groups out, and chance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fornix.analysis.material import Floats, Material, score
from fornix.errors import FornixError, did_you_mean
from fornix.evaluation.permutation import null_interval, p_value, permuted_labels, widened
from fornix.seeds import generator

CONFIDENCE = 0.95
"""Level of the null's interval."""
CHUNK = 1 << 25
"""Permuted answers that are compared at a time."""

Fold = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True)
class Labels:
    """The rows that have a label.

    Attributes
    ----------
    rows
        Their places in the layers.
    codes
        Class of each row, from 0; empty for a regression.
    classes
        Names of the classes.
    values
        The number of each row; empty for a classification.
    groups
        What is held out together, a code for each row.
    """

    rows: NDArray[np.intp]
    codes: NDArray[np.intp]
    classes: list[str]
    values: Floats
    groups: NDArray[np.intp]

    @property
    def chance(self) -> float:
        """Share of the largest class."""
        return float(np.bincount(self.codes).max() / len(self.codes))


def column(material: Material, name: str, key: str = "label") -> pd.Series[Any]:
    """Return a column of the stimulus table.

    Raises
    ------
    FornixError
        If there is none of that name.
    """
    if name not in material.stimuli:
        problem = f"the stimulus table has no column '{name}'"
        mend = did_you_mean(name, material.stimuli.columns)
        raise FornixError(problem, where=f"{material.where}: {key}", mend=mend)
    return material.stimuli[name]


def class_labels(
    material: Material, name: str, groups: str | None = None, *, fewest: int = 2
) -> Labels:
    """Return the classes that a column gives.

    Parameters
    ----------
    material
        Stimuli, and notes on those that are left out.
    name
        The column.
    groups
        Column of what is held out together; a stimulus' own rows always are.
    fewest
        Groups that a class must have; smaller ones are left out.

    Raises
    ------
    FornixError
        If fewer than two classes remain.
    """
    found = column(material, name)
    held = _groups(material, groups)
    used = found.notna()
    counts = held[used].groupby(found[used]).nunique()
    small = counts[counts < fewest].index
    used &= ~found.isin(small)
    rows = np.flatnonzero(used)
    if missing := int(found.isna().sum()):
        material.notes.append(f"{missing} stimuli have no {name} and were left out.")
    if len(small):
        lost = ", ".join(map(str, small[:5])) + (", ..." if len(small) > 5 else "")
        material.notes.append(f"Classes with fewer than {fewest} stimuli were left out: {lost}.")
    classes, codes = np.unique(found.iloc[rows].astype(str).to_numpy(object), return_inverse=True)
    if len(classes) < 2:
        problem = f"column '{name}' has fewer than two classes of {fewest} stimuli"
        mend = "name a column whose values repeat"
        raise FornixError(problem, where=f"{material.where}: label", mend=mend)
    grouping = np.unique(held.to_numpy(object)[rows].astype(str), return_inverse=True)[1]
    return Labels(rows, codes, [str(one) for one in classes], np.empty(0), grouping)


def number_labels(material: Material, name: str, groups: str | None = None) -> Labels:
    """Return the numbers that a column gives.

    Raises
    ------
    FornixError
        If it holds something else than numbers, or they are all the same.
    """
    found = column(material, name)
    numbers = pd.to_numeric(found, errors="coerce").astype(np.float64)
    if wrong := [str(one) for one in found[found.notna() & numbers.isna()].unique()[:3]]:
        problem = f"column '{name}' holds {', '.join(map(repr, wrong))}, which aren't numbers"
        mend = "take task: classification, or another column"
        raise FornixError(problem, where=f"{material.where}: label", mend=mend)
    rows = np.flatnonzero(np.isfinite(numbers))
    if len(rows) < len(found):
        material.notes.append(f"{len(found) - len(rows)} stimuli have no {name}: left out.")
    values: Floats = np.asarray(numbers.to_numpy()[rows], dtype=np.float64)
    if not len(values) or np.ptp(values) == 0:
        problem = f"column '{name}' has the same value throughout"
        mend = "name a column that differs between stimuli"
        raise FornixError(problem, where=f"{material.where}: label", mend=mend)
    held = _groups(material, groups).to_numpy(object)[rows].astype(str)
    grouping = np.unique(held, return_inverse=True)[1]
    return Labels(rows, np.empty(0, dtype=np.intp), [], values, grouping)


def _groups(material: Material, groups: str | None) -> pd.Series[Any]:
    own = material.stimuli["stimulus"]
    return own if groups is None else column(material, groups, "groups").fillna(own)


def folds(labels: Labels, n_splits: int, seed: int, *, where: str) -> list[Fold]:
    """Return (train, test) places among the labelled rows; groups are never split.

    Classes have the same share in every fold, as far as groups allow.

    Raises
    ------
    FornixError
        If there are fewer than two groups.
    """
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, StratifiedKFold

    n_groups = int(labels.groups.max()) + 1
    each = [n_groups]
    if len(labels.codes):
        each = [len(np.unique(labels.groups[labels.codes == k])) for k in np.unique(labels.codes)]
    n_splits = min(n_splits, *each, n_groups)
    if n_splits < 2:
        problem = "there are fewer than two groups of stimuli to hold out"
        raise FornixError(problem, where=f"{where}: groups", mend="name a column with more values")
    state = int(generator(seed, "analysis", "folds").integers(2**31))
    options: dict[str, Any] = {"n_splits": n_splits, "shuffle": True, "random_state": state}
    if not len(labels.codes):
        splits = GroupKFold(**options).split(labels.groups, groups=labels.groups)
    elif n_groups == len(labels.groups):
        splits = StratifiedKFold(**options).split(labels.codes, labels.codes)
    else:
        grouped = StratifiedGroupKFold(**options)
        splits = grouped.split(labels.codes, labels.codes, labels.groups)
    return [(train, test) for train, test in splits]


def permuted(labels: Labels, n: int, seed: int) -> NDArray[np.intp]:
    """Return the classes as they could have been, (permutation, row).

    Whole groups swap classes where each has one, else classes are permuted within groups.
    """
    rng = generator(seed, "analysis", "permutations")
    return permuted_labels(labels.codes, labels.groups, n, rng)


def accuracy_row(
    target: str, metric: str, labels: Labels, answers: NDArray[np.intp], null: NDArray[np.intp]
) -> dict[str, Any]:
    """Return the row of a cross-validated accuracy, with its p from permuted classes.

    Parameters
    ----------
    target, metric
        What the row is about.
    labels
        The true classes.
    answers
        Class given to each row when it was held out.
    null
        Permuted classes, (permutation, row).
    """
    value = float((answers == labels.codes).mean())
    step = max(1, CHUNK // len(answers))
    parts = [(null[i : i + step] == answers).mean(1) for i in range(0, len(null), step)]
    shares = widened(np.concatenate(parts) if parts else np.empty(0))
    return judged(target, metric, value, len(answers), null=shares, chance=labels.chance)


def judged(
    target: str, metric: str, value: float, n: int, *, null: Floats, chance: float | None = None
) -> dict[str, Any]:
    """Return a row with its p and interval from a null distribution (permutation,).

    Chance is the null's mean, unless it is given.
    """
    low, high = null_interval(null, CONFIDENCE)
    if chance is None:
        chance = float(null.mean()) if len(null) else float("nan")
    p = float(p_value(null, value))
    interval = (float(low), float(high))
    return score(target, metric, value, n, chance=chance, p=p, interval=interval)


def held_out_answers(
    estimator: Any, values: NDArray[Any], labels: Labels, splits: list[Fold]
) -> NDArray[np.intp]:
    """Return the class that a scikit-learn classifier gives each row while it is held out."""
    answers = np.empty(len(labels.codes), dtype=np.intp)
    for train, test in splits:
        answers[test] = estimator.fit(values[train], labels.codes[train]).predict(values[test])
    return answers


def labelled_layers(material: Material, labels: Labels) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield (target, values of the labelled rows) of every layer."""
    for target, values in material.layers.items():
        yield target, values[labels.rows]
