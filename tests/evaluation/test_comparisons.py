"""Comparisons of dissimilarities agree with rsatoolbox, on simulated and on real matrices."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import pdist

from fornix.evaluation.ceilings import rsa_ceiling
from fornix.evaluation.comparisons import (
    compare,
    n_stimuli,
    null_comparisons,
    square_places,
)
from fornix.models import rsa

rsatoolbox = pytest.importorskip("rsatoolbox")

TOOLBOX = {
    "spearman": "spearman",
    "rho_a": "rho-a",
    "kendall": "tau-a",
    "pearson": "corr",
    "cosine": "cosine",
    "whitened_cosine": "cosine_cov",
    "whitened_correlation": "corr_cov",
}
EVERY = pytest.mark.parametrize("how", list(TOOLBOX))


def toolbox(a, b, how):
    first, second = (rsatoolbox.rdm.RDMs(one.T) for one in (a, b))
    return rsatoolbox.rdm.compare(first, second, method=TOOLBOX[how])


def random_rdms(n, m, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([pdist(rng.normal(size=(n, 4))) for _ in range(m)], axis=1)


@pytest.fixture(scope="module")
def objects(real_data):
    """Brains of four people (pair, subject) and models of 92 objects (pair, model)."""
    folder = real_data("objects92")
    measured = np.load(folder / "human_it_rdms.npz")["rdm"].astype(np.float64).mean(1)
    brain = np.stack([rsa.condensed(one, where="") for one in measured], axis=1)
    table = pd.read_csv(folder / "stimuli.tsv", sep="\t")
    kinds = pd.get_dummies(table["category"]).to_numpy(float)
    mixed = kinds @ np.random.default_rng(0).normal(size=(kinds.shape[1], 50))
    noisy = mixed + np.random.default_rng(1).normal(size=mixed.shape)
    models = [rsa.model_rdm(kinds, "correlation"), rsa.model_rdm(noisy, "correlation")]
    models.append(rsa.model_rdm(noisy, "euclidean"))
    return brain, np.stack(models, axis=1)


@EVERY
def test_comparisons_are_rsatoolboxs(how):
    a, b = random_rdms(14, 3), random_rdms(14, 2, seed=1)
    b[:, 0] = np.round(b[:, 0])  # with ties
    assert np.allclose(compare(a, b, how), toolbox(a, b, how), atol=1e-12)


@EVERY
@pytest.mark.real
def test_objects_in_human_it_are_compared_as_by_rsatoolbox(objects, how):
    brain, models = objects
    assert np.abs(compare(brain, models, how) - toolbox(brain, models, how)).max() < 1e-6


@EVERY
@pytest.mark.real
def test_the_noise_ceiling_is_rsatoolboxs(objects, how):
    rdms = rsatoolbox.rdm.RDMs(objects[0].T)
    expected = rsatoolbox.inference.boot_noise_ceiling(rdms, method=TOOLBOX[how])
    assert rsa_ceiling(objects[0], how) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("how", [*TOOLBOX, "procrustes"])
def test_the_null_is_the_comparison_of_permuted_stimuli(how):
    n = 9
    brain, models = random_rdms(n, 2), random_rdms(n, 3, seed=1)
    permutations = np.argsort(np.random.default_rng(2).random((4, n)), axis=1)
    null = null_comparisons(brain, models, how, permutations)
    rows, columns = np.triu_indices(n, 1)
    for k, order in enumerate(permutations):
        moved = brain[square_places(n)[order[rows], order[columns]]]
        assert np.allclose(null[k], compare(moved, models, how))


def test_cka_is_that_of_the_patterns():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(12, 5)), rng.normal(size=(12, 30))
    A, B = X - X.mean(0), Y - Y.mean(0)
    expected = (np.linalg.norm(A.T @ B) ** 2) / (np.linalg.norm(A.T @ A) * np.linalg.norm(B.T @ B))
    rdms = [rsa.model_rdm(one, "squared_euclidean")[:, None] for one in (X, Y)]
    assert compare(*rdms, "cka")[0, 0] == pytest.approx(expected)


def test_procrustes_similarity_is_scipys_and_blind_to_rotation_and_scale():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(12, 6)), rng.normal(size=(12, 6))
    A, B = ((one - one.mean(0)) for one in (X, Y))
    A, B = A / np.linalg.norm(A), B / np.linalg.norm(B)
    expected = orthogonal_procrustes(A, B)[1]
    rdms = [rsa.model_rdm(one, "squared_euclidean")[:, None] for one in (X, Y)]
    assert compare(*rdms, "procrustes")[0, 0] == pytest.approx(expected)
    turned = 3 * X @ np.linalg.qr(rng.normal(size=(6, 6)))[0]
    same = rsa.model_rdm(turned, "squared_euclidean")[:, None]
    assert compare(rdms[0], same, "procrustes")[0, 0] == pytest.approx(1)


@pytest.mark.parametrize("how", [*TOOLBOX, "cka", "procrustes"])
def test_nothing_to_compare_is_no_similarity(how):
    rdms = random_rdms(8, 1)
    zero = np.zeros((28, 1))
    assert np.isnan(compare(zero, rdms, how)).all()
    assert np.isnan(compare(rdms, zero, how)).all()


def test_stimuli_are_counted_from_pairs():
    assert [n_stimuli(n * (n - 1) // 2) for n in (2, 3, 92, 5000)] == [2, 3, 92, 5000]
