from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from fornix.errors import FornixError
from fornix.models import distances, rsa


@pytest.mark.parametrize("distance", ["correlation", "euclidean", "cityblock"])
def test_distances_agree_with_scipy(distance):
    X = np.random.default_rng(0).normal(size=(9, 20))
    assert np.allclose(rsa.model_rdm(X, distance), pdist(X, distance))


def test_correlation_distance_agrees_with_rsatoolbox():
    toolbox = pytest.importorskip("rsatoolbox")
    X = np.random.default_rng(1).normal(size=(7, 30))
    reference = toolbox.rdm.calc_rdm(toolbox.data.Dataset(X), method="correlation")
    assert np.allclose(distances.correlation(X), reference.get_vectors()[0])


def test_one_number_takes_the_difference_and_indicators_disagreement():
    assert rsa.model_rdm(np.array([[1.0], [4.0], [2.0]]), "correlation").tolist() == [3, 1, 2]
    assert rsa.model_rdm(np.array([[0.0], [1.0], [1.0]]), "correlation").tolist() == [1, 1, 0]
    onehot = np.eye(3)[[0, 0, 2, 1]]
    assert rsa.model_rdm(onehot, "correlation").tolist() == [0, 1, 1, 1, 1, 1]
    # Several properties at once aren't a category.
    assert not rsa.is_indicator(np.array([[1, 1, 0], [0, 1, 0], [1, 0, 1]]))


def test_flat_patterns_have_no_correlation():
    X = np.random.default_rng(0).normal(size=(4, 6))
    X[2] = 0.1
    rdm = distances.correlation(X)
    assert np.isnan(rdm).tolist() == [False, True, False, True, False, True]
    with pytest.raises(FornixError, match="3 of 6 pairs"):
        rsa.brain_rdm(X, "correlation", where="V1")
    assert np.isfinite(rsa.brain_rdm(X, "euclidean", where="V1")).all()


def test_given_matrices_are_checked():
    matrix = np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0]], dtype=np.float32)
    assert rsa.condensed(matrix, where="x").tolist() == [1, 2, 3]
    with pytest.raises(FornixError, match="isn't symmetric"):
        rsa.condensed(matrix + np.triu(np.ones((3, 3))), where="x")
    matrix[0, 1] = np.nan
    with pytest.raises(FornixError, match="1 values not finite"):
        rsa.condensed(matrix, where="x")
