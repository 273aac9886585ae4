"""Samples that follow one another in time: contiguous folds with gaps, and circular shifts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fornix.errors import FornixError
from fornix.training.splits import DEFAULT_BLOCKS, Fold, deal, group_labels

if TYPE_CHECKING:
    from fornix.study.fits.base import CrossValidation

EPSILON_S = 1e-6
MIN_SHIFT = 0.1
"""A control is shifted by this share of its recording or more, both ways."""


def plan_blocks(samples: pd.DataFrame, cv: CrossValidation, *, where: str = "cv") -> list[Fold]:
    """Plan folds of samples that follow one another: recordings, or parts of one.

    Parameters
    ----------
    samples
        ``recording``, ``onset`` (s), ``session`` and ``run`` of each sample.
    cv
        ``auto`` leaves runs out where there are several, else contiguous blocks. Samples less
        than ``gap`` from a held-out one of their recording are in neither part of a fold.
    where
        Place for the message of an error.

    Raises
    ------
    FornixError
        If stimuli are to be held out, which overlap here, or nothing can be.
    """
    if cv.groups == "stimulus":
        problem = "cv.groups is stimulus, but a sample isn't about one stimulus here"
        mend = "set cv.groups to block or run, or leave it out"
        raise FornixError(problem, where=where, mend=mend)
    # Only encoding has stimuli to hold out by default.
    grouping, groups = group_labels(samples, cv, "decoding")
    n_splits = (cv.n_splits or DEFAULT_BLOCKS) if grouping == "block" else cv.n_splits
    dealt = deal(groups, None, n_splits)
    if not dealt.any():
        problem = f"nothing can be held out: there is one {grouping} ({groups[0]})"
        raise FornixError(problem, where=where, mend="set cv.groups to block")
    folds = []
    for index in range(int(dealt.max()) + 1):
        test = np.flatnonzero(dealt == index)
        train = np.flatnonzero((dealt != index) & ~_near(samples, dealt == index, cv.gap))
        if len(train) < len(samples) / 10:
            problem = f"fold {index} would train on {len(train)} of {len(samples)} samples"
            mend = f"make cv.gap ({cv.gap:g} s) smaller, or hold out less (cv.n_splits)"
            raise FornixError(problem, where=where, mend=mend)
        held_out = tuple(str(groups[i]) for i in test)
        folds.append(Fold(index, grouping, train, test, held_out))
    return folds


def contiguous(n: int, n_splits: int) -> NDArray[np.intp]:
    """Return the inner fold of each of n samples: contiguous parts."""
    return np.arange(n) * min(n_splits, n) // n


def shifted_rows(samples: pd.DataFrame, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return, for a control, the sample whose features each sample gets.

    Each recording is turned in a circle by a random step: what follows what in the features
    stays, and what it has to do with the responses goes.

    Parameters
    ----------
    samples
        ``recording`` and ``onset`` (s) of each sample.
    rng
        Randomness.
    """
    source = np.empty(len(samples), dtype=np.intp)
    for rows in _recordings(samples):
        order = rows[np.argsort(samples["onset"].to_numpy()[rows], kind="stable")]
        least = int(np.ceil(MIN_SHIFT * len(order)))
        source[order] = np.roll(order, int(rng.integers(least, max(len(order) - least, least + 1))))
    return source


def _recordings(samples: pd.DataFrame) -> list[NDArray[np.intp]]:
    """Return the rows of each recording, by its name."""
    codes, names = pd.factorize(samples["recording"].astype(str), sort=True)
    return [np.flatnonzero(codes == code) for code in range(len(names))]


def _near(samples: pd.DataFrame, test: NDArray[np.bool_], gap: float) -> NDArray[np.bool_]:
    """Return which samples lie within the gap (s) of a held-out one of their recording."""
    onset = samples["onset"].to_numpy(dtype=np.float64)
    near = np.zeros(len(samples), dtype=bool)
    for rows in _recordings(samples):
        held_out = np.sort(onset[rows[test[rows]]])
        if len(held_out):
            place = np.searchsorted(held_out, onset[rows])
            before = onset[rows] - held_out[np.maximum(place - 1, 0)]
            after = held_out[np.minimum(place, len(held_out) - 1)] - onset[rows]
            distance = np.minimum(np.abs(before), np.abs(after))
            near[rows] = distance <= gap + EPSILON_S
    return near
