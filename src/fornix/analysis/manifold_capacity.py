"""Geometry of classes: capacity, radius and dimension of their point clouds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from fornix.analysis.labels import Labels, class_labels, judged, labelled_layers, permuted
from fornix.analysis.material import Analysed, Floats, Material, score
from fornix.progress import track
from fornix.seeds import generator
from fornix.study.analyses import ManifoldCapacity

FEWEST_POINTS = 3
"""Stimuli that a class must have."""
ROUNDING = 1e-9
"""Extent of a point, in lengths of its centre."""

HOW = {
    "capacity": "classes per dimension that a plane can still tell apart at random, mean field "
    "without correlations of the centres; chance: of classes permuted once",
    "radius": "of the classes' anchor points, in lengths of their centres",
    "dimension": "of the classes' anchor points",
    "centre_correlation": "mean absolute cosine of the classes' centres",
    "centroid_norm": "nuclear norm of the centroids of stimuli of length one, of its upper bound; "
    "chance: of permuted classes",
}


@dataclass(frozen=True)
class Geometry:
    """Mean-field geometry of one manifold.

    Attributes
    ----------
    capacity
        Manifolds of this shape per dimension that can be told apart.
    radius
        Root mean square of the anchor points, in lengths of the centre.
    dimension
        Mean squared projection of the random direction on the anchor's.
    """

    capacity: float
    radius: float
    dimension: float


def analyse(section: ManifoldCapacity, material: Material) -> Analysed:
    """Measure the classes of every layer."""
    labels = class_labels(material, section.label, fewest=FEWEST_POINTS)
    null = permuted(labels, section.permutations, material.seed)
    found = Analysed(how=HOW)
    layers = labelled_layers(material, labels)
    for target, layer in track(layers, "layers measured", len(material.layers)):
        values = layer.astype(np.float64)
        values -= values.mean(0)
        rng = generator(material.seed, "analysis", "manifold_capacity", target)
        each = geometries(values, labels.codes, section.directions, rng)
        # One draw: a null of capacities would take as long as all else a thousand times.
        unrelated = [geometries(values, codes, section.directions, rng) for codes in null[:1]]
        found.rows += _geometry_rows(target, labels, each, unrelated)
        n = len(values)
        correlation = _centre_correlation(values, labels.codes)
        found.rows.append(score(target, "centre_correlation", correlation, n))
        norms = np.array([centroid_norm(values, codes) for codes in null])
        value = centroid_norm(values, labels.codes)
        found.rows.append(judged(target, "centroid_norm", value, n, null=norms))
    return found


def _geometry_rows(
    target: str, labels: Labels, each: list[Geometry], unrelated: list[list[Geometry]]
) -> list[dict[str, Any]]:
    n = len(labels.rows)
    chance = mean_capacity(unrelated[0]) if unrelated else float("nan")
    rows = [
        score(target, "capacity", mean_capacity(each), n, chance=chance),
        score(target, "radius", float(np.mean([one.radius for one in each])), n),
        score(target, "dimension", float(np.mean([one.dimension for one in each])), n),
    ]
    counts = np.bincount(labels.codes)
    for name, one, count in zip(labels.classes, each, counts, strict=True):
        rows += [
            score(target, key, getattr(one, key), int(count), unit=name)
            for key in ("capacity", "radius", "dimension")
        ]
    return rows


def geometry(points: Floats, directions: int, rng: np.random.Generator) -> Geometry:
    """Return the mean-field geometry of one manifold (Chung et al. 2018).

    Coordinates are the manifold's own: along its centre, where all points lie at 1, and across.
    For a random direction t in them, the nearest v that has no point behind it differs from t by
    a cone's projection; its mean squared length is 1 / capacity. The anchor point is the one (or
    the mean of those) that holds v up.

    Parameters
    ----------
    points
        float64 (stimulus, feature); the mean over all manifolds taken off before.
    directions
        Random directions to average over.
    rng
        Randomness.
    """
    centre = points.mean(0)
    length = np.linalg.norm(centre)
    if not length > 0:
        return Geometry(0.0, float("inf"), float("nan"))
    across = points - centre
    across -= np.outer(across @ centre, centre) / length**2
    u, s, _ = np.linalg.svd(across / length, full_matrices=False)
    kept = s > ROUNDING
    cloud = np.concatenate([u[:, kept] * s[kept], np.ones((len(points), 1))], axis=1)
    pushes, squared_radii, dimensions = [], [], []
    for t in rng.normal(size=(directions, cloud.shape[1])):
        # Moreau: t minus its projection on {v: cloud v >= 0} is its projection on the polar cone.
        weights = nnls(cloud.T, -t)[0]
        pushes.append(((weights @ cloud) ** 2).sum())
        if weights.sum() > 0:
            anchor = weights @ cloud[:, :-1] / weights.sum()
        else:
            anchor = cloud[np.argmin(cloud @ t), :-1]
        radius = np.linalg.norm(anchor)
        squared_radii.append(radius**2)
        dimensions.append((t[:-1] @ anchor / radius) ** 2 if radius > 0 else 0.0)
    mean_push = float(np.mean(pushes))
    capacity = 1 / mean_push if mean_push > 0 else float("inf")
    return Geometry(capacity, float(np.sqrt(np.mean(squared_radii))), float(np.mean(dimensions)))


def geometries(
    values: Floats, codes: NDArray[np.intp], directions: int, rng: np.random.Generator
) -> list[Geometry]:
    """Return the geometry of every class of (stimulus, feature), the mean of all taken off."""
    return [geometry(values[codes == k], directions, rng) for k in range(codes.max() + 1)]


def mean_capacity(each: list[Geometry]) -> float:
    """Return the capacity of a mixture of manifolds, whose inverses add."""
    inverse = [1 / one.capacity if one.capacity > 0 else float("inf") for one in each]
    return float(1 / np.mean(inverse))


def centroid_norm(values: Floats, codes: NDArray[np.intp]) -> float:
    """Return the nuclear norm of the classes' centroids, of the most that it can be.

    Stimuli are scaled to length one. MMCR's loss is minus this norm (Yerxa et al. 2023, NeurIPS):
    it is large where classes are narrow and their centroids at right angles.

    Parameters
    ----------
    values
        float64 (stimulus, feature).
    codes
        Class of each stimulus, from 0.
    """
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    directions = values / np.where(lengths > 0, lengths, 1)
    members = np.zeros((codes.max() + 1, len(codes)))
    members[codes, np.arange(len(codes))] = 1
    centroids = members @ directions / members.sum(1, keepdims=True)
    n_classes, width = centroids.shape
    return float(np.linalg.norm(centroids, "nuc") / np.sqrt(n_classes * min(n_classes, width)))


def _centre_correlation(values: Floats, codes: NDArray[np.intp]) -> float:
    centres = np.stack([values[codes == k].mean(0) for k in range(codes.max() + 1)])
    lengths = np.linalg.norm(centres, axis=1, keepdims=True)
    centres /= np.where(lengths > 0, lengths, 1)
    cosines = centres @ centres.T
    return float(np.abs(cosines[np.triu_indices(len(centres), 1)]).mean())
