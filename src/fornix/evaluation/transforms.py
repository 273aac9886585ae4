"""Transforms of dissimilarities before they are compared: geo-topological and geodesic."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from fornix.evaluation.comparisons import n_stimuli
from fornix.evaluation.metrics import Floats
from fornix.study.fits.rsa import Transform


def transformed(rdms: NDArray[Any], transform: Transform | None) -> Floats:
    """Return matrices, (pair, matrix), as a study wants them."""
    if transform is None:
        return np.asarray(rdms, dtype=np.float64)
    found = geotopological(rdms, transform.lower, transform.upper)
    if not transform.geodesic:
        return found
    return np.stack([geodesic(one, one < 1) for one in found.T], axis=1)


def geotopological(rdms: NDArray[Any], lower: float, upper: float) -> Floats:
    """Return matrices whose small and large dissimilarities are levelled.

    Lin & Kriegeskorte 2023 (arXiv:2309.11028): ranks from 0 to 1, of which those below the
    quantile ``lower`` become 0 and those above ``upper`` become 1, linear between.

    Parameters
    ----------
    rdms
        (pair, matrix).
    lower, upper
        Quantiles, 0 to 1. The same one for both tells neighbours from all others.

    Returns
    -------
    float64 (pair, matrix), 0 to 1.
    """
    ranks = unit_interval_ranks(rdms)
    low, high = np.quantile(ranks, [lower, upper], axis=0)
    span = np.where(high > low, high - low, 1.0)
    # Where the bound is the largest value, as in a model of two values, that value stays apart.
    above = np.where((ranks > high).any(0), ranks > high, ranks >= high)
    return np.asarray(np.where(high > low, np.clip((ranks - low) / span, 0, 1), above))


def unit_interval_ranks(rdms: NDArray[Any]) -> Floats:
    """Return ranks (ties averaged) from 0 for the smallest possible to 1 for the largest."""
    return np.asarray((rankdata(rdms, axis=0) - 1) / max(len(rdms) - 1, 1))


def geodesic(rdm: NDArray[Any], near: NDArray[np.bool_]) -> Floats:
    """Return the lengths of the shortest paths along the pairs that are near one another.

    Parameters
    ----------
    rdm
        Dissimilarities, (pair,), not negative.
    near
        Which pairs are joined.

    Returns
    -------
    float64 (pair,). Stimuli that no path joins are as far apart as the longest path, or as the
    largest dissimilarity, whatever is larger.
    """
    n = n_stimuli(len(rdm))
    ends = [axis[near] for axis in np.triu_indices(n, 1)]
    # In a sparse matrix a pair at distance 0 is joined; in a dense one it wouldn't be.
    edges = csr_array((rdm[near], ends), shape=(n, n))
    lengths = squareform(shortest_path(edges, method="D", directed=False), checks=False)
    joined = np.isfinite(lengths)
    farthest = max(lengths[joined].max(initial=0.0), float(rdm.max()))
    return np.asarray(np.where(joined, lengths, farthest))
