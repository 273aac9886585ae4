"""Linear probes: what a layer tells a straight line about a column of the stimulus table."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, RidgeClassifier, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fornix.analysis.labels import (
    Fold,
    Labels,
    accuracy_row,
    class_labels,
    column,
    folds,
    held_out_answers,
    judged,
    labelled_layers,
    number_labels,
    permuted,
)
from fornix.analysis.material import Analysed, Floats, Material, score
from fornix.evaluation.permutation import permutations_within, widened
from fornix.progress import track
from fornix.seeds import generator
from fornix.study.analyses import Probe

MANY = 10
"""Different numbers from which on a column is taken for a quantity, not for classes."""
ALPHAS = np.logspace(-1, 6, 15)
"""Ridge penalties to choose from, by leave-one-out error on the training stimuli."""

HOW = {
    "accuracy": "share of held-out stimuli classified right; chance is the share of the largest "
    "class",
    "r2": "1 - squared error over that of the training mean, over all held-out stimuli",
    "pearson_r": "correlation of held-out predictions, centred within folds",
}


def analyse(section: Probe, material: Material) -> Analysed:
    """Probe every layer."""
    if _is_regression(section, material):
        return _regress(section, material)
    labels = class_labels(material, section.label, section.groups)
    splits = folds(labels, section.n_splits, material.seed, where=material.where)
    null = permuted(labels, section.permutations, material.seed)
    found = Analysed(how={"accuracy": HOW["accuracy"]})
    for target, values in track(
        labelled_layers(material, labels), "layers probed", len(material.layers)
    ):
        if section.estimator == "logistic":
            model = LogisticRegression(C=section.regularization, max_iter=2000)
        else:
            model = RidgeClassifier(alpha=section.regularization)
        pipeline = make_pipeline(StandardScaler(), model)
        answers = held_out_answers(pipeline, values, labels, splits)
        found.rows.append(accuracy_row(target, "accuracy", labels, answers, null))
    return found


def _is_regression(section: Probe, material: Material) -> bool:
    if section.task != "auto":
        return section.task == "regression"
    found = column(material, section.label)
    return bool(pd.api.types.is_float_dtype(found) or pd.api.types.is_integer_dtype(found)) and (
        found.nunique() > MANY
    )


def _regress(section: Probe, material: Material) -> Analysed:
    labels = number_labels(material, section.label, section.groups)
    splits = folds(labels, section.n_splits, material.seed, where=material.where)
    null = _permuted_values(labels, section.permutations, material.seed)
    means = np.empty(len(labels.values))
    fold = np.empty(len(labels.values), dtype=np.intp)
    for k, (train, test) in enumerate(splits):
        means[test], fold[test] = labels.values[train].mean(), k
    found = Analysed(how={key: HOW[key] for key in ("pearson_r", "r2")})
    n = len(labels.rows)
    for target, values in track(
        labelled_layers(material, labels), "layers probed", len(material.layers)
    ):
        predicted = _held_out_values(values.astype(np.float64), labels, splits)
        r = _correlation(labels.values, predicted, fold)
        nulls = widened(_correlation(null, predicted, fold))
        found.rows.append(judged(target, "pearson_r", float(r), n, null=nulls, chance=0.0))
        errors = ((labels.values - predicted) ** 2).sum()
        r2 = 1 - errors / ((labels.values - means) ** 2).sum()
        found.rows.append(score(target, "r2", r2, n, chance=0))
    return found


def _permuted_values(labels: Labels, n: int, seed: int) -> Floats:
    """Return the numbers as they could have been, (permutation, row).

    Whole groups swap numbers where each has one, else numbers are permuted within groups.
    """
    rng = generator(seed, "analysis", "permutations")
    _, first, codes = np.unique(labels.groups, return_index=True, return_inverse=True)
    of_group = labels.values[first]
    if (of_group[codes] != labels.values).any():
        return labels.values[permutations_within(labels.groups, n, rng)]
    return of_group[permutations_within(np.zeros(len(first)), n, rng)][:, codes]


def _held_out_values(values: Floats, labels: Labels, splits: list[Fold]) -> Floats:
    predicted = np.empty(len(values))
    for train, test in splits:
        model = make_pipeline(StandardScaler(), RidgeCV(ALPHAS))
        predicted[test] = model.fit(values[train], labels.values[train]).predict(values[test])
    return predicted


def _correlation(observed: Floats, predicted: Floats, fold: NDArray[np.intp]) -> Floats:
    """Return the correlation along the last axis, both sides centred within folds; 0 if constant.

    Folds have training means of their own, which fall where the held-out mean rises.
    """
    one, other = _within(observed, fold), _within(predicted, fold)
    lengths = np.sqrt((one**2).sum(-1) * (other**2).sum(-1))
    return np.asarray(np.where(lengths > 0, one @ other / np.where(lengths > 0, lengths, 1), 0.0))


def _within(values: Floats, fold: NDArray[np.intp]) -> Floats:
    values = values.copy()
    for k in np.unique(fold):
        values[..., fold == k] -= values[..., fold == k].mean(-1, keepdims=True)
    return values
