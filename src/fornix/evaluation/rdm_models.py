"""Models of models: the best layer, or weighted layers, chosen where they aren't tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import nnls

from fornix.evaluation.comparisons import UNCENTRED, compare, pooled
from fornix.evaluation.metrics import Floats
from fornix.evaluation.rdms import Subject, pairs_of
from fornix.study.fits.rsa import RsaFit


@dataclass
class HeldOut:
    """Predictions of one subject's dissimilarities that its test stimuli had no part in.

    Attributes
    ----------
    models
        Target -> float64 (pair,).
    blocks
        Test stimuli that are judged together: only pairs within a block are predictions.
    chosen
        Target -> how many folds chose each layer, or its mean weight.
    """

    models: dict[str, Floats]
    blocks: list[NDArray[np.intp]]
    chosen: dict[str, dict[str, float]] = field(default_factory=dict)


def held_out_models(
    fit: RsaFit,
    unit: str,
    subjects: Mapping[str, Subject],
    *,
    over_subjects: bool,
    folds: Sequence[NDArray[np.intp]] | None,
) -> dict[str, HeldOut]:
    """Return the selected and the weighted model of each network of several layers.

    Parameters
    ----------
    fit
        Its models, and its comparison.
    unit
        Region.
    subjects
        Those who have it.
    over_subjects
        Whether a model for one subject is made from the others' dissimilarities (the mean of
        these, scaled as for the noise ceiling), instead of its own.
    folds
        Test stimuli; a model is made from the pairs of all others. None: all stimuli are both.
    """
    n = len(next(iter(subjects.values())).stimuli)
    blocks = [np.arange(n)] if folds is None else list(folds)
    scaled = {}
    if over_subjects:
        brains = np.stack([one.brain[unit] for one in subjects.values()], axis=1)
        scaled = dict(zip(subjects, pooled(brains, fit.comparison).T, strict=True))
    found = {}
    for name, one in subjects.items():
        target = one.brain[unit]
        if over_subjects:
            others = [values for other, values in scaled.items() if other != name]
            target = np.mean(others, axis=0)
        found[name] = HeldOut({}, blocks)
        for network, layers in networks(one.models).items():
            rdms = np.stack([one.models[layer] for layer in layers], axis=1)
            for kind in ("selected", "weighted"):
                if kind in fit.models:
                    label = f"{network}:{kind}"
                    predicted, chosen = _predict(kind, target, rdms, blocks, fit.comparison)
                    found[name].models[label] = predicted
                    found[name].chosen[label] = dict(zip(layers, chosen.tolist(), strict=True))
    return found


def networks(layers: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return features section -> its layers, for those that have several."""
    found: dict[str, list[str]] = {}
    for layer in layers:
        found.setdefault(layer.partition("/")[0], []).append(layer)
    return {name: mine for name, mine in found.items() if len(mine) > 1}


def _predict(
    kind: str,
    target: Floats,
    rdms: Floats,
    blocks: Sequence[NDArray[np.intp]],
    comparison: str,
) -> tuple[Floats, Floats]:
    """Return a model of all test pairs, and what was chosen (share of folds, mean weight)."""
    n = sum(len(one) for one in blocks)
    predicted = np.full(len(target), np.nan)
    chosen = np.zeros(rdms.shape[1])
    for block in blocks:
        test = pairs_of(block, n)
        train = test if len(block) == n else pairs_of(np.setdiff1d(np.arange(n), block), n)
        if kind == "selected":
            scores = compare(target[train, None], rdms[train], comparison)[0]
            weights = np.zeros(rdms.shape[1])
            weights[int(np.nanargmax(scores)) if np.isfinite(scores).any() else 0] = 1.0
        else:
            offset = comparison not in UNCENTRED
            weights = nonnegative(rdms[train], target[train], offset=offset)
        predicted[test] = rdms[test] @ weights
        chosen += weights / len(blocks)
    return predicted, chosen


def nonnegative(rdms: Floats, target: Floats, *, offset: bool) -> Floats:
    """Return non-negative least-squares weights of layers' dissimilarities.

    Parameters
    ----------
    rdms
        (pair, layer).
    target
        (pair,).
    offset
        Whether a constant, of any sign, is fitted too: what correlations don't see.

    Returns
    -------
    float64 (layer,).

    Notes
    -----
    Solved on the Cholesky factor of the layers' products, so that the number of pairs counts
    once. A ridge of 1e-10 of their mean square keeps equal layers from being singular.
    """
    X, y = rdms, target
    if offset:
        X, y = X - X.mean(0), y - y.mean()
    gram = X.T @ X
    scale = np.trace(gram) / len(gram)
    if scale <= 0:
        return np.zeros(len(gram))
    root = cholesky(gram + 1e-10 * scale * np.eye(len(gram)), lower=True)
    return np.asarray(nnls(root.T, solve_triangular(root, X.T @ y, lower=True))[0])
