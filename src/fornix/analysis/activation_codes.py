"""Which units are on, taken as a binary code of the stimulus."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsOneClassifier
from sklearn.neighbors import KNeighborsClassifier

from fornix.analysis.labels import (
    Labels,
    accuracy_row,
    class_labels,
    folds,
    held_out_answers,
    judged,
    permuted,
)
from fornix.analysis.material import Analysed, Material, score
from fornix.progress import track
from fornix.seeds import generator
from fornix.study.analyses import ActivationCodes

HOW = {
    "redundancy": "1 - distinct codes / stimuli",
    "knn_accuracy": "nearest neighbours by Hamming distance, held-out stimuli",
    "logistic_accuracy": "logistic regression of each pair of classes, held-out stimuli",
    "kmeans_accuracy": "as many clusters as classes, matched to them at best; chance is that of "
    "permuted classes, matched likewise",
}


def analyse(section: ActivationCodes, material: Material) -> Analysed:
    """Count every layer's codes, and read the label from them if there is one."""
    found = Analysed(how=HOW if section.label else {"redundancy": HOW["redundancy"]})
    labels = class_labels(material, section.label, section.groups) if section.label else None
    for target, values in track(material.layers.items(), "layers coded", len(material.layers)):
        codes = binarised(values, section.threshold)
        found.rows.append(score(target, "redundancy", redundancy(codes), len(codes)))
        if constant := int((codes == codes[0]).all(0).sum()):
            share = f"{constant} of {codes.shape[1]} units are on (or off) for all stimuli"
            material.notes.append(f"{target}: {share}.")
        if labels is not None:
            chosen = codes[labels.rows].astype(np.float32)
            found.rows += _accuracies(section, target, chosen, labels, material)
    return found


def binarised(values: NDArray[Any], threshold: str = "zero") -> NDArray[np.bool_]:
    """Return whether each unit is on: above zero, or above its median over stimuli.

    Parameters
    ----------
    values
        (stimulus, unit).
    threshold
        ``zero`` or ``median``.
    """
    return np.asarray(values > (np.median(values, axis=0) if threshold == "median" else 0))


def redundancy(codes: NDArray[np.bool_]) -> float:
    """Return 1 - distinct codes / stimuli (He et al. 2021), from (stimulus, unit)."""
    distinct = len(np.unique(np.packbits(codes, axis=1), axis=0))
    return 1 - distinct / len(codes)


def _accuracies(
    section: ActivationCodes,
    target: str,
    codes: NDArray[np.float32],
    labels: Labels,
    material: Material,
) -> list[dict[str, Any]]:
    splits = folds(labels, section.n_splits, material.seed, where=material.where)
    null = permuted(labels, section.permutations, material.seed)
    smallest = min(len(train) for train, _ in splits)
    estimators = {
        # Squared distances of codes are their Hamming distances.
        "knn_accuracy": KNeighborsClassifier(min(section.n_neighbors, smallest), algorithm="brute"),
        "logistic_accuracy": OneVsOneClassifier(LogisticRegression(max_iter=2000)),
    }
    rows = []
    for metric, estimator in estimators.items():
        answers = held_out_answers(estimator, codes, labels, splits)
        rows.append(accuracy_row(target, metric, labels, answers, null))
    state = int(generator(material.seed, "analysis", "kmeans", target).integers(2**31))
    with warnings.catch_warnings():  # fewer distinct codes than classes: the redundancy says so
        warnings.simplefilter("ignore", ConvergenceWarning)
        clusters = KMeans(len(labels.classes), n_init=10, random_state=state).fit_predict(codes)
    value = matched_accuracy(labels.codes, clusters)
    nulls = np.array([matched_accuracy(one, clusters) for one in null])
    rows.append(judged(target, "kmeans_accuracy", value, len(codes), null=nulls))
    return rows


def matched_accuracy(codes: NDArray[np.intp], clusters: NDArray[np.intp]) -> float:
    """Return the share of stimuli in the cluster of their class, clusters matched at best.

    The matching is one to one (Hungarian algorithm).
    """
    size = int(max(codes.max(), clusters.max())) + 1
    table = np.bincount(codes * size + clusters, minlength=size**2).reshape(size, size)
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / len(codes))
