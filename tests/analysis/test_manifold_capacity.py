"""Capacity, radius and dimension of spheres, where theory gives them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from fornix.analysis import manifold_capacity as mc
from fornix.analysis.material import Material
from fornix.seeds import generator
from fornix.study.analyses import ManifoldCapacity

SECTION = ManifoldCapacity(
    kind="manifold_capacity", features=["f"], label="kind", directions=100, permutations=50
)


def sphere(radius, dimension, n, rng, width=40):
    """Points on a sphere around a centre of length 1, in random directions of a space."""
    points = rng.normal(size=(n, dimension))
    points *= radius / np.linalg.norm(points, axis=1, keepdims=True)
    axes = np.linalg.qr(rng.normal(size=(width, dimension + 1)))[0].T
    return axes[0] + points @ axes[1:]


def ball_capacity(radius, dimension):
    """Chung, Lee & Sompolinsky (2016): capacity of balls at zero margin."""

    def push(t0, t):
        if t0 >= radius * t:
            return 0.0
        if t0 <= -t / radius:
            return t0**2 + t**2
        return (radius * t - t0) ** 2 / (1 + radius**2)

    def density(t0, t):
        return push(t0, t) * stats.norm.pdf(t0) * stats.chi.pdf(t, dimension)

    inverse = integrate.dblquad(density, 0, 9, -9, 9, epsabs=1e-3)[0]
    return 1 / inverse


@pytest.mark.parametrize(("radius", "dimension"), [(0.5, 2), (2.0, 2), (0.8, 3)])
def test_spheres_have_the_capacity_that_theory_gives(radius, dimension):
    rng = generator(0, "test")
    found = mc.geometry(sphere(radius, dimension, 400, rng), 1500, rng)
    assert found.capacity == pytest.approx(ball_capacity(radius, dimension), rel=0.1)


def test_small_spheres_have_their_radius_and_dimension():
    rng = generator(0, "test")
    found = mc.geometry(sphere(0.3, 3, 600, rng), 600, rng)
    assert found.radius == pytest.approx(0.3, rel=0.05)
    assert found.dimension == pytest.approx(3, rel=0.15)


def test_a_point_has_the_capacity_of_a_perceptron():
    rng = generator(0, "test")
    points = np.tile(np.eye(5)[0], (4, 1))
    found = mc.geometry(points + 1e-15 * rng.normal(size=points.shape), 4000, rng)
    assert found.capacity == pytest.approx(2, rel=0.1)
    assert (found.radius, found.dimension) == (0, 0)


def classes(radius, seed=0, n=20, count=6):
    rng = np.random.default_rng(seed)
    layer = np.concatenate([sphere(radius, 4, n, rng) for _ in range(count)])
    kind = np.repeat(list("abcdef"[:count]), n)
    stimuli = pd.DataFrame({"stimulus": range(len(layer)), "kind": kind})
    return layer, stimuli


def test_narrow_classes_have_more_capacity_than_wide_and_shuffled_ones():
    narrow, stimuli = classes(0.3)
    wide, _ = classes(3.0)
    shuffled = np.random.default_rng(1).permutation(narrow)
    layers = {"f/narrow": narrow, "f/wide": wide, "f/shuffled": shuffled}
    found = mc.analyse(SECTION, Material(layers, stimuli))
    rows = {(row["target"], row["unit"], row["metric"]): row for row in found.rows}
    capacity = {k: rows[f"f/{k}", "all", "capacity"] for k in ("narrow", "wide", "shuffled")}
    assert capacity["narrow"]["value"] > 3 * capacity["wide"]["value"]
    assert capacity["shuffled"]["value"] == pytest.approx(capacity["shuffled"]["chance"], rel=0.2)
    assert capacity["narrow"]["value"] > 3 * capacity["narrow"]["chance"]
    assert rows["f/narrow", "all", "centroid_norm"]["p"] < 0.05
    assert rows["f/shuffled", "all", "centroid_norm"]["p"] > 0.05
    assert {row["unit"] for row in found.rows} == {"all", *"abcdef"}


def test_narrow_classes_at_right_angles_have_the_largest_centroid_norm():
    values = np.repeat(np.eye(4), 5, axis=0)
    codes = np.repeat(np.arange(4), 5)
    assert mc.centroid_norm(values, codes) == pytest.approx(1)
    assert mc.centroid_norm(np.ones((20, 4)), codes) == pytest.approx(0.5)


def test_inverse_capacities_add():
    def of(*capacities):
        return mc.mean_capacity([mc.Geometry(one, 1.0, 1.0) for one in capacities])

    assert of(1.0, 3.0) == pytest.approx(1.5)
    assert of(0.0, 1.0) == 0
