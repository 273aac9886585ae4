"""Judge decoders: accuracy and area under the ROC curve of held-out samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fornix.evaluation.corrections import HOW as HOW_CORRECTED
from fornix.evaluation.corrections import Corrections
from fornix.evaluation.metrics import Floats, accuracy, auc, fold_ranks
from fornix.evaluation.permutation import null_interval, p_value, permuted_labels, widened
from fornix.evaluation.table import Evaluated, score_row
from fornix.progress import track
from fornix.seeds import generator
from fornix.study.scores import Evaluation, Scores

_HOW = {
    "accuracy": "share of held-out samples classified right; chance is the share of the largest "
    "class",
    "auc": "pairs of held-out samples of one fold in the right order; with more than two classes "
    "the mean over classes, each against the rest",
    "ceiling": "decoding has none",
    "p": "true labels permuted within runs or blocks (within pairs for a baseline contrast; "
    "between stimuli, where stimuli are held out); "
    "null widened by sqrt(2), since folds train on one another",
    "interval": "central interval of that null distribution",
}


def evaluate(
    section: Evaluation, fits: Mapping[str, xr.Dataset], samples: object = None, *, seed: int
) -> Evaluated:
    """Score the classifiers of every region, time and subject.

    Parameters
    ----------
    section
        The fit and how it is judged.
    fits
        Subject -> ``predictions.zarr``.
    samples
        Unused: decoding has no ceiling.
    seed
        The study's seed.
    """
    found = Evaluated(how=dict(_HOW))
    if section.scores.correction != "none":
        found.how["p_corrected"] = HOW_CORRECTED[section.scores.correction]
    for subject, fit in track(list(fits.items()), "subjects"):
        rng = generator(seed, "evaluate", "decoding", subject)
        found.rows += _rows(subject, fit.compute(), section.scores, rng)
    return found


def _rows(
    subject: str, fit: xr.Dataset, scores: Scores, rng: np.random.Generator
) -> list[dict[str, Any]]:
    classes = fit["class"].values.astype(str)
    labels = np.searchsorted(classes, fit["label"].values.astype(str))
    fold = fit["fold"].values
    pair = fit["pair"].values
    paired = bool((pair >= 0).all())
    exchangeable = pair if paired else fit["group"].values.astype(str)
    permuted = permuted_labels(labels, exchangeable, scores.permutations, rng)
    times = fit["time"].values
    windowed = len(times) > 1 or times[0] != 0
    corrections = Corrections(scores.correction, scores.permutations)
    chances = {"accuracy": float(np.bincount(labels).max() / len(labels)), "auc": 0.5}
    rows = []
    for u, unit in enumerate(fit["unit"].values.astype(str)):
        decision = fit["score"].values[u].astype(np.float64)
        answer = decision.argmax(2).T
        ranks = _class_ranks(decision, fold)
        values = {"accuracy": accuracy(labels, answer), "auc": _area(labels, ranks, fold)}
        nulls = {name: np.empty((0, len(times))) for name in values}
        if len(permuted):
            nulls = {
                "accuracy": widened(accuracy(permuted, answer)),
                "auc": widened(_area(permuted, ranks, fold)),
            }
        for metric, value in values.items():
            p = p_value(nulls[metric], value)
            low, high = null_interval(nulls[metric], scores.confidence)
            made = [
                score_row(
                    subject=subject,
                    target=str(fit.attrs["label"]),
                    unit=unit,
                    time=float(time) if windowed else float("nan"),
                    metric=metric,
                    value=float(value[t]),
                    chance=chances[metric],
                    p=float(p[t]),
                    n=len(labels) // 2 if paired else len(labels),
                    interval=(float(low[t]), float(high[t])),
                )
                for t, time in enumerate(times)
            ]
            corrections.add(made, np.asarray(value), nulls[metric])
            rows += made
    corrections.finish()
    return rows


def _class_ranks(decision: Floats, fold: NDArray[Any]) -> list[Floats]:
    """Return the within-fold ranks of each class' decision values (time, sample, class).

    Two classes need one only: the other's are the same in reverse.
    """
    n_classes = decision.shape[2]
    which = [1] if n_classes == 2 else range(n_classes)
    return [fold_ranks(decision[:, :, k].T, fold) for k in which]


def _area(labels: NDArray[Any], ranks: list[Floats], fold: NDArray[Any]) -> Floats:
    """Return the mean over classes of the area of one against the rest: (..., time)."""
    classes = [1] if len(ranks) == 1 else range(len(ranks))
    areas = [auc(labels == k, one, fold) for k, one in zip(classes, ranks, strict=True)]
    defined = [area for area in areas if np.isfinite(area).all()]
    return np.asarray(np.mean(defined, axis=0)) if defined else areas[0]
