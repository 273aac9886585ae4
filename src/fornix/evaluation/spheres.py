"""Dissimilarities of the patterns in a sphere around every voxel, many spheres at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fornix.evaluation.metrics import Floats

BATCH_BYTES = 64 << 20
"""Memory of the patterns, and of the dissimilarities, of spheres that are computed together."""

SAME = 1e-6
"""Share of the radius by which a place may lie outside through rounding."""


def sphere_members(places: NDArray[Any], radius: float) -> list[NDArray[np.intp]]:
    """Return the voxels whose centre lies within a sphere around each voxel, in their order.

    Parameters
    ----------
    places
        Centres of the voxels, (voxel, 3), mm.
    radius
        Of the spheres, mm.
    """
    tree = cKDTree(np.asarray(places, dtype=np.float64))
    found = tree.query_ball_point(tree.data, radius * (1 + SAME), return_sorted=True)
    return [np.asarray(one, dtype=np.intp) for one in found]


def sphere_rdms(
    patterns: NDArray[Any], members: Sequence[NDArray[np.intp]], distance: str
) -> Floats:
    """Return the dissimilarity of every pair of stimuli in every sphere.

    All pairs of a sphere are one product of matrices; spheres are padded to the size of the
    largest, and a batch of them is one call.

    Parameters
    ----------
    patterns
        Mean responses, (part, stimulus, voxel). ``correlation`` and ``euclidean`` are averaged
        over parts (sessions), ``crossnobis`` is cross-validated over them, and divided by the
        number of voxels; it isn't whitened.
    members
        Voxels of each sphere.
    distance
        ``correlation`` (1 - Pearson's r), ``euclidean`` or ``crossnobis``.

    Returns
    -------
    float64 (sphere, pair), pairs in the order of ``np.triu_indices(n, 1)``; NaN where the
    correlation isn't defined, because a pattern's voxels are all equal.
    """
    n_parts, n, n_voxels = patterns.shape
    # A voxel more, of zeros, for what a small sphere lacks; stimuli are contiguous.
    padded = np.zeros((n_parts, n_voxels + 1, n))
    padded[:, :-1] = patterns.transpose(0, 2, 1)
    if distance != "correlation":  # differences are all that counts, and keep more digits
        padded[:, :-1] -= padded[:, :-1].mean(2, keepdims=True)
    rows, columns = np.triu_indices(n, 1)
    found = np.empty((len(members), len(rows)))
    sizes = np.array([len(one) for one in members])
    for chosen in _batches(sizes, n, n_parts):
        size = sizes[chosen]
        index = np.full((len(chosen), size.max()), n_voxels)
        for k, sphere in enumerate(chosen):
            index[k, : size[k]] = members[sphere]
        inside = (index < n_voxels)[..., None]
        if distance == "crossnobis":
            squares = _apart(_cross_validated(padded, index) / size[:, None, None])
            found[chosen] = squares[:, rows, columns]
            continue
        mean = np.zeros((len(chosen), n, n))
        for part in padded:
            X = part[index]  # (sphere, voxel, stimulus)
            if distance == "correlation":
                mean += np.clip(1 - _correlations(X, inside, size), 0, 2) / n_parts
            else:
                squares = _apart(np.matmul(X.transpose(0, 2, 1), X))
                mean += np.sqrt(np.maximum(squares, 0)) / n_parts
        found[chosen] = mean[:, rows, columns]
    return found


def _batches(sizes: NDArray[np.intp], n: int, n_parts: int) -> Iterator[NDArray[np.intp]]:
    """Yield spheres of much the same size, as many as fit into memory together."""
    order = np.argsort(-sizes, kind="stable")
    at = 0
    while at < len(order):
        each = 8 * n * (n_parts * int(sizes[order[at]]) + 3 * n)
        step = max(1, BATCH_BYTES // each)
        yield order[at : at + step]
        at += step


def _correlations(X: Floats, inside: NDArray[np.bool_], size: NDArray[np.intp]) -> Floats:
    """Return Pearson's r of each two stimuli over the voxels of each sphere; NaN if undefined."""
    scale = np.abs(X).max(1)
    X = (X - X.sum(1, keepdims=True) / size[:, None, None]) * inside
    norm = np.sqrt((X**2).sum(1))
    flat = norm <= 1e-7 * scale * np.sqrt(size)[:, None]
    X /= np.where(flat, np.nan, norm)[:, None]
    return np.asarray(np.matmul(X.transpose(0, 2, 1), X))


def _apart(grams: Floats) -> Floats:
    """Return squared distances, (sphere, stimulus, stimulus), from inner products."""
    own = np.einsum("kii->ki", grams)
    return np.asarray(own[:, :, None] + own[:, None] - 2 * grams)


def _cross_validated(padded: Floats, index: NDArray[np.intp]) -> Floats:
    """Return inner products of parts with the mean of all others, averaged over parts."""
    n_parts = len(padded)
    total = padded.sum(0)[index]
    grams = np.matmul(total.transpose(0, 2, 1), total)
    for part in padded:
        X = part[index]
        grams -= np.matmul(X.transpose(0, 2, 1), X)
    return np.asarray(grams / (n_parts * (n_parts - 1)))
