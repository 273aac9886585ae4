"""Clusters of neighbouring times or places: MNE's test over subjects, and one within a subject."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats
from scipy.sparse.csgraph import connected_components

from fornix.evaluation.metrics import Floats
from fornix.evaluation.permutation import p_value
from fornix.evaluation.statistics.families import studentised

FORMING = 0.05
"""One-sided p of a single time from which it can belong to a cluster."""


def cluster_test(
    values: NDArray[Any],
    draws: int,
    rng: np.random.Generator,
    *,
    adjacency: Any = None,
    forming: float = FORMING,
) -> Floats:
    """Return p of the cluster that each time or place belongs to, by flipping subjects' signs.

    MNE's cluster permutation test (Maris & Oostenveld 2007, J Neurosci Methods 164:177) on
    Student's t, one-sided, with the sum of t as the size of a cluster.

    Parameters
    ----------
    values
        Effects, chance taken off, (subject, time) or (subject, place).
    draws
        Permutations; MNE takes all of them where there are no more.
    rng
        Randomness.
    adjacency
        None: neighbours in order, as times are. A sparse matrix (place, place) for maps, such as
        ``mne.channels.find_ch_adjacency`` or ``mne.spatial_src_adjacency`` give.
    forming
        p of a single time or place from which it can belong to a cluster.

    Returns
    -------
    float64 (time,): 1 outside of clusters; NaN with one subject.

    Notes
    -----
    A p is one of the cluster, not of the times in it: that it began here isn't tested.
    """
    from mne.stats import permutation_cluster_1samp_test

    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    if n < 2 or np.isnan(values).any():
        return np.full(values.shape[1], np.nan)
    _, clusters, p, _ = permutation_cluster_1samp_test(
        values,
        threshold=float(stats.t.isf(forming, n - 1)),
        stat_fun=_t,
        n_permutations=draws + 1,
        tail=1,
        adjacency=adjacency,
        out_type="mask",
        rng=rng,
        verbose="error",
    )
    found = np.ones(values.shape[1])
    for cluster, value in zip(clusters, p, strict=True):
        found[cluster] = value
    return found


def _t(values: NDArray[Any]) -> Floats:
    """Return Student's t of each column; 0 where nothing varies, so that it joins no cluster."""
    variance = values.var(0, ddof=1)
    varies = variance > 1e-14 * (values**2).mean(0)
    return np.asarray(
        np.where(varies, values.mean(0) / np.sqrt(np.where(varies, variance, 1) / len(values)), 0)
    )


def cluster_p(
    observed: NDArray[Any],
    null: NDArray[Any],
    *,
    begins: NDArray[np.bool_] | None = None,
    adjacency: Any = None,
    forming: float = FORMING,
) -> Floats:
    """Return p of the cluster that each time or place belongs to, from a null of permutations.

    MNE permutes signs or groups by itself; a score of one subject has a null of permuted stimuli,
    the same for all times. Scores are studentised by it, and clusters are the same as MNE's:
    neighbouring times above the threshold, with the sum of their values as size.

    Parameters
    ----------
    observed
        (time,).
    null
        (permutation, time); all times share the permutations.
    begins
        Where a new series begins (another region's times), bool (time,): clusters don't reach
        across, and p is corrected for all series.
    adjacency
        None: neighbours in order, as times are. A sparse matrix (place, place) for maps; those of
        :mod:`fornix.evaluation.adjacency`.
    forming
        One-sided p of a single time, by the normal distribution, from which it can belong to a
        cluster.

    Returns
    -------
    float64 (time,): 1 outside of clusters; NaN without permutations.
    """
    observed = np.asarray(observed, dtype=np.float64)
    if not len(null) or np.isnan(observed).any():
        return np.full(observed.shape, np.nan)
    threshold = float(stats.norm.isf(forming))
    t, draws = studentised(observed, null)
    if adjacency is None:
        sizes = _sizes(np.vstack([t, draws]), threshold, begins)
        of_time, largest = sizes[0], sizes[1:].max(1)
    else:
        of_time = _sizes_on(t, threshold, adjacency)
        largest = np.array([_sizes_on(draw, threshold, adjacency).max() for draw in draws])
    p = p_value(largest[:, None], of_time)
    return np.where(of_time > 0, p, 1.0)


def _sizes_on(t: Floats, threshold: float, adjacency: Any) -> Floats:
    """Return, at every place, the summed t of the cluster there; 0 outside."""
    above = np.flatnonzero(t > threshold)
    found = np.zeros(len(t))
    if len(above):
        place = np.full(len(t), -1)
        place[above] = np.arange(len(above))
        first, second = place[adjacency.row], place[adjacency.col]
        both = (first >= 0) & (second >= 0)
        ones = np.ones(int(both.sum()))
        shape = (len(above), len(above))
        edges = sparse.coo_array((ones, (first[both], second[both])), shape=shape)
        labels = connected_components(edges, directed=False)[1]
        found[above] = np.bincount(labels, weights=t[above])[labels]
    return found


def _sizes(t: Floats, threshold: float, begins: NDArray[np.bool_] | None) -> Floats:
    """Return, at every time of every row, the summed t of the cluster there; 0 outside."""
    above = t > threshold
    starts = above.copy()
    starts[:, 1:] &= ~above[:, :-1]
    if begins is not None:
        starts |= above & begins
    labels = np.cumsum(starts.ravel()).reshape(t.shape) * above
    sums = np.bincount(labels.ravel(), weights=np.where(above, t, 0).ravel())
    sums[0] = 0
    return np.asarray(sums[labels])
