"""Folds: which samples are held out together.

Only numpy and pandas are needed here, so that a check can plan the folds on the events table
before anything runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fornix.errors import FornixError, did_you_mean
from fornix.seeds import generator

if TYPE_CHECKING:
    from fornix.study.fits.base import CrossValidation

DEFAULT_BLOCKS = 5
"""Contiguous blocks where ``n_splits`` is null: a block has no natural number."""

FEW_STIMULI = 10
"""With fewer stimuli than this, ``auto`` holds out runs: a correlation over so few is noise."""

_MENDS = {
    "run": "set cv.groups to block, or select more runs",
    "session": "set cv.groups to run or block, or select more sessions",
    "stimulus": "set cv.groups to run or block, or select more stimuli",
    "block": "select more trials",
}


@dataclass(frozen=True)
class Fold:
    """One fold.

    Attributes
    ----------
    index
        Its number, from 0.
    grouping
        What is held out together: stimulus, run, session or block.
    train, test
        Rows of the sample table, ascending. Rows that can't be used are in neither.
    labels
        Group of each test row.
    """

    index: int
    grouping: str
    train: NDArray[np.intp]
    test: NDArray[np.intp]
    labels: tuple[str, ...]

    @property
    def groups(self) -> list[str]:
        """The groups that are held out, in the order of their first rows."""
        return list(dict.fromkeys(self.labels))

    def record(self) -> dict[str, Any]:
        """Return the fold for ``fit.json``; long lists of groups are cut."""
        groups, most = self.groups, 50
        shown = groups[:most] + ([f"... {len(groups) - most} more"] if len(groups) > most else [])
        counts = {"n_train": len(self.train), "n_test": len(self.test)}
        return {"fold": self.index, **counts, "groups": shown}


def plan_folds(
    samples: pd.DataFrame,
    cv: CrossValidation,
    task: str,
    label: str | None = None,
    *,
    seed: int = 0,
    where: str = "cv",
) -> list[Fold]:
    """Plan the outer folds of a fit.

    Groups are dealt to folds so that each fold gets its share of every class and of the samples;
    stimuli are shuffled first (a table sorted by category must not lose whole categories).

    Parameters
    ----------
    samples
        One row a sample with ``session``, ``run``, ``recording``, ``onset`` and ``stimulus`` as
        far as there are; rows without a stimulus (encoding) or a label (decoding) are left out.
    cv
        The study's settings.
    task
        ``encoding`` or ``decoding``.
    label
        Column to decode; None where classes don't come from the table (a baseline contrast).
    seed
        The study's seed.
    where
        Place in the study for the message of an error.

    Raises
    ------
    FornixError
        If there is one group only, or a fold would train without one of the classes.
    """
    usable = usable_rows(samples, task, label, where=where)
    table = samples.iloc[usable]
    grouping, groups = group_labels(table, cv, task)
    if len(set(groups)) < 2:
        problem = f"nothing can be held out: there is one {grouping} ({groups[0]})"
        raise FornixError(problem, where=where, mend=_MENDS[grouping])
    classes = table[label].astype(str).to_numpy() if task == "decoding" and label else None
    splits = None if grouping == "block" else cv.n_splits
    shuffle = seed if grouping == "stimulus" else None
    dealt = deal(groups, classes, splits, shuffle_seed=shuffle)
    folds = []
    for index in range(int(dealt.max()) + 1):
        test = np.flatnonzero(dealt == index)
        held_out = tuple(str(groups[i]) for i in test)
        train = np.flatnonzero(dealt != index)
        folds.append(Fold(index, grouping, usable[train], usable[test], held_out))
    if classes is not None:
        for fold in folds:
            _check_classes(fold, samples[str(label)].astype(str), where)
    return folds


def split_folds(folds: Sequence[Fold], lengths: Sequence[int]) -> list[list[Fold]]:
    """Return the folds of each of several tables, from those of the tables below one another.

    A group that several tables have is held out in all of them at once.

    Parameters
    ----------
    folds
        As :func:`plan_folds` gives them.
    lengths
        Rows of each table.
    """
    found: list[list[Fold]] = []
    start = 0
    for length in lengths:
        mine = []
        for fold in folds:
            train, test = (
                rows[(rows >= start) & (rows < start + length)] - start
                for rows in (fold.train, fold.test)
            )
            here = (fold.test >= start) & (fold.test < start + length)
            labels = tuple(fold.labels[i] for i in np.flatnonzero(here))
            mine.append(Fold(fold.index, fold.grouping, train, test, labels))
        found.append(mine)
        start += length
    return found


def usable_rows(
    samples: pd.DataFrame, task: str, label: str | None = None, *, where: str = "cv"
) -> NDArray[np.intp]:
    """Return the rows that a fit of this task can use: those with a stimulus, or a label.

    Raises
    ------
    FornixError
        If the column isn't there, or no row is left.
    """
    column = "stimulus" if task == "encoding" else label
    if column is None:
        rows = np.arange(len(samples))
    elif column not in samples:
        problem = f"the samples have no column '{column}'"
        raise FornixError(problem, where=where, mend=did_you_mean(column, map(str, samples)))
    else:
        values = samples[column]
        missing = values.isna() | values.astype(str).isin(["", "n/a", "nan", "None"])
        rows = np.flatnonzero(~missing.to_numpy())
    if not len(rows):
        problem = f"none of the {len(samples)} samples has a value in '{column}'"
        mend = "name the events column with datasets.<name>.stimuli.column"
        mend = mend if task == "encoding" else "name another column in fits.<name>.label"
        raise FornixError(problem, where=where, mend=mend)
    return rows


def group_labels(
    samples: pd.DataFrame, cv: CrossValidation, task: str
) -> tuple[str, NDArray[np.object_]]:
    """Return what is held out together, and the group of every sample.

    ``auto`` takes stimuli for encoding. Where these are conditions (the stimulus is the value
    of ``trial_type``, or there are fewer than ``FEW_STIMULI``), a held-out one would leave its
    features without training, so runs are taken as for decoding, and blocks of one run.
    """
    grouping: str = cv.groups
    if grouping == "auto":
        several = len(set(_runs(samples))) > 1
        grouping = "run" if several else "block"
        if task == "encoding" and not _are_conditions(samples):
            grouping = "stimulus"
    if grouping == "run":
        return grouping, _runs(samples)
    if grouping == "block":
        return grouping, _blocks(samples, cv.n_splits or DEFAULT_BLOCKS)
    return grouping, _words(samples, grouping)


def deal(
    groups: Sequence[str] | NDArray[Any],
    classes: NDArray[Any] | None,
    n_splits: int | None,
    *,
    shuffle_seed: int | None = None,
) -> NDArray[np.intp]:
    """Deal groups to folds: the largest first, each to the fold that has least of its classes.

    Parameters
    ----------
    groups
        Group of each sample.
    classes
        Class of each sample, or None.
    n_splits
        Folds, at most one a group; None leaves one group out.
    shuffle_seed
        Deal the groups of equal size in a random order instead of the order of their first rows.

    Returns
    -------
    Fold of each sample, shape (sample,).
    """
    codes, names = pd.factorize(np.asarray(groups, dtype=object))
    order = np.arange(len(names))
    if shuffle_seed is not None:
        # Sorted first, so that the order of the samples doesn't matter.
        order = np.argsort(np.asarray([str(name) for name in names]), kind="stable")
        order = generator(shuffle_seed, "folds").permutation(order)
    n_folds = len(names) if n_splits is None else min(n_splits, len(names))
    kinds = np.zeros(len(codes), dtype=np.intp) if classes is None else pd.factorize(classes)[0]
    counts = np.zeros((len(names), int(kinds.max()) + 1))
    np.add.at(counts, (codes, kinds), 1)
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    share = counts / counts.sum(0)
    totals = np.zeros((n_folds, counts.shape[1]))
    fold_of = np.zeros(len(names), dtype=np.intp)
    for group in order:
        # The smallest growth of the summed squares: balanced in classes, then in size. Rounded,
        # since sums in another order may differ in their last bit.
        cost = np.round(totals @ share[group], 9)
        fold = np.lexsort((np.round(totals.sum(1), 9), cost))[0]
        fold_of[group] = fold
        totals[fold] += share[group]
    used = pd.factorize(fold_of, sort=True)[0]
    return np.asarray(used)[codes]


def inner_folds(groups: Sequence[str] | NDArray[Any], n_splits: int) -> NDArray[np.intp]:
    """Return the inner fold of each training sample; one group alone is cut in contiguous parts.

    Parameters
    ----------
    groups
        Group of each training sample, shape (sample,).
    n_splits
        Folds, at most one a group.
    """
    n = len(groups)
    if len(set(groups)) > 1:
        return deal(groups, None, n_splits, shuffle_seed=0)
    return np.arange(n) * min(n_splits, n) // n


def _check_classes(fold: Fold, classes: pd.Series, where: str) -> None:
    counts = classes.iloc[fold.train].value_counts()
    lacking = sorted({*classes.iloc[fold.train], *classes.iloc[fold.test]} - set(counts.index))
    if len(counts) >= 2 and not lacking:
        return
    found = ", ".join(f"{name}: {count}" for name, count in counts.sort_index().items())
    without = f"without any of class {', '.join(lacking)}" if lacking else "on one class"
    problem = (
        f"fold {fold.index} (held out: {_held_out(fold)}) would train "
        f"{without}; its training samples: {found}"
    )
    mend = "hold out smaller groups (cv.groups, cv.n_splits: null), or leave rare classes out "
    raise FornixError(problem, where=where, mend=mend + "with the responses' events.exclude")


def _held_out(fold: Fold) -> str:
    names = ", ".join(fold.groups[:6])
    return names if names.startswith(fold.grouping) else f"{fold.grouping} {names}"


def _words(samples: pd.DataFrame, column: str) -> NDArray[np.object_]:
    if column not in samples:
        return np.full(len(samples), "", dtype=object)
    values = samples[column]
    return values.astype(object).where(values.notna(), "").astype(str).to_numpy(dtype=object)


def _runs(samples: pd.DataFrame) -> NDArray[np.object_]:
    """Return session and run of each sample; recordings where these don't tell them apart."""
    session, run = _words(samples, "session"), _words(samples, "run")
    pairs = [
        " ".join([f"ses-{s}"] * bool(s) + [f"run-{r}"] * bool(r)) or "the only run"
        for s, r in zip(session, run, strict=True)
    ]
    if len(set(pairs)) == 1 and len(set(recordings := _words(samples, "recording"))) > 1:
        return recordings
    return np.asarray(pairs, dtype=object)


def _blocks(samples: pd.DataFrame, n_blocks: int) -> NDArray[np.object_]:
    """Cut the trials, in the order of time, into contiguous blocks of about equal size."""
    onset = samples["onset"].to_numpy(dtype=float) if "onset" in samples else np.zeros(len(samples))
    keys = [_words(samples, name) for name in ("recording", "run", "session")]
    order = np.lexsort((onset, *(pd.factorize(key, sort=True)[0] for key in keys)))
    trial = _words(samples, "trial") if "trial" in samples else np.arange(len(samples)).astype(str)
    recording = _words(samples, "recording")
    # Samples of one trial stay together.
    trials = np.asarray([f"{r}\0{t}" for r, t in zip(recording, trial, strict=True)], dtype=object)
    codes, names = pd.factorize(trials[order])
    block = codes * min(n_blocks, len(names)) // len(names)
    labels = np.empty(len(samples), dtype=object)
    labels[order] = [f"block {i + 1}" for i in block]
    return labels


def _are_conditions(samples: pd.DataFrame) -> bool:
    stimuli = _words(samples, "stimulus")
    if len(set(stimuli)) < FEW_STIMULI:
        return True
    return "trial_type" in samples and bool((stimuli == _words(samples, "trial_type")).all())
