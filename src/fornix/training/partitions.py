"""Parts of the trials that have independent noise, for distances that are cross-validated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fornix.errors import FornixError
from fornix.training.samples import FEW_COMMON, means_by

WORDS = {"run": "runs", "session": "sessions", "repeat": "repeats in different runs"}


def partition_means(
    matrix: NDArray[np.float32], table: pd.DataFrame, by: str, notes: list[str], *, where: str
) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """Average the responses to each stimulus in each of several independent parts.

    Parameters
    ----------
    matrix
        (sample, unit).
    table
        One row a sample, with ``stimulus``, ``session`` and ``run``.
    by
        ``run``, ``session``, ``repeat`` (the first, second, ... run that shows a stimulus), or
        ``auto``: the first of these in which every part shows every stimulus, else the one that
        keeps most stimuli.
    notes
        What was chosen and left out is told here.
    where
        Place for the message of an error.

    Returns
    -------
    stimuli
        Ids that every part shows, sorted.
    means
        float64 (part, stimulus, unit).

    Raises
    ------
    FornixError
        If there is one part only, or too few stimuli in all of them.
    """
    shown = table["stimulus"].astype(str).to_numpy()
    named = shown != ""
    if not named.all():
        notes.append(f"{int((~named).sum())} samples name no stimulus; they are left out")
    shown, matrix = shown[named], matrix[named]
    parts = _parts(table[named].reset_index(drop=True), shown)
    seen = {name: _seen(shown, parts[name]) for name in (parts if by == "auto" else [by])}
    common = {name: one.index[_enough(name, one)] for name, one in seen.items()}
    every = len(set(shown))
    best = next((name for name, kept in common.items() if len(kept) == every), "")
    best = best or max(common, key=lambda name: len(common[name]))
    stimuli = common[best].to_numpy().astype(str)
    if len(stimuli) < FEW_COMMON:
        n_runs = len(set(parts["run"]))
        problem = "crossnobis distances need stimuli that are shown again, with noise of its own"
        problem += f": {len(stimuli)} stimuli are shown in two or more {WORDS[best]}"
        problem += " (there is one run only)" if n_runs == 1 else ""
        mend = "set brain_distance: mahalanobis or correlation, or select more runs"
        raise FornixError(problem, where=where, mend=mend)
    n_parts = int(seen[best].loc[stimuli].sum(axis=1).min())
    used = np.isin(shown, stimuli) & (parts[best] < n_parts)
    if len(stimuli) < every:
        notes.append(
            f"{every - len(stimuli)} stimuli that aren't in all {WORDS[best]} are left out"
        )
    notes.append(f"distances are cross-validated over {n_parts} {WORDS[best]}")
    cells = parts[best][used] * len(stimuli) + np.searchsorted(stimuli, shown[used])
    means = means_by(matrix[used], cells)
    return stimuli.astype(object), means.reshape(n_parts, len(stimuli), -1)


def _parts(table: pd.DataFrame, shown: NDArray[Any]) -> dict[str, NDArray[np.intp]]:
    """Return the number of each sample's part, for every way to make parts."""
    session = pd.factorize(table["session"].astype(str))[0]
    run = pd.factorize(table["session"].astype(str) + "\0" + table["run"].astype(str))[0]
    first = pd.DataFrame({"stimulus": shown, "run": run}).drop_duplicates()
    first = first.assign(repeat=first.groupby("stimulus").cumcount())
    repeat = first.set_index(["stimulus", "run"])["repeat"]
    keys = pd.MultiIndex.from_arrays([shown, run])
    return {"run": run, "session": session, "repeat": repeat.reindex(keys).to_numpy()}


def _seen(shown: NDArray[Any], part: NDArray[np.intp]) -> pd.DataFrame:
    """Return which part shows which stimulus, sorted by stimulus."""
    return pd.crosstab(shown, part) > 0


def _enough(name: str, seen: pd.DataFrame) -> NDArray[np.bool_]:
    """Return the stimuli of all parts, or of two repeats at least."""
    if name == "repeat":
        return (seen.sum(axis=1) >= 2).to_numpy()
    return seen.all(axis=1).to_numpy() & (seen.shape[1] >= 2)
