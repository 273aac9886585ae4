from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import rankdata

from fornix.evaluation.transforms import geodesic, geotopological, transformed
from fornix.study.fits.rsa import Transform


def rdm(n=10, seed=0):
    return pdist(np.random.default_rng(seed).normal(size=(n, 3)))


@pytest.mark.parametrize(("lower", "upper"), [(0.0, 1.0), (0.2, 0.7), (0.45, 0.55)])
def test_the_transform_is_rsatoolboxs_of_ranks(lower, upper):
    toolbox = pytest.importorskip("rsatoolbox")
    from rsatoolbox.rdm.transform import geotopological_transform

    ranked = toolbox.rdm.RDMs(rankdata(rdm())[None])
    expected = geotopological_transform(ranked, lower, upper)
    found = geotopological(rdm()[:, None], lower, upper)
    assert np.allclose(found[:, 0], expected.get_vectors()[0])


def test_equal_bounds_tell_neighbours_from_others():
    found = geotopological(rdm()[:, None], 0.5, 0.5)[:, 0]
    assert set(found) == {0, 1}
    assert np.array_equal(found == 0, rdm() <= np.quantile(rdm(), 0.5))


def test_a_model_of_two_values_keeps_them_apart():
    binary = np.array([0.0, 0, 1, 1, 1, 1])[:, None]
    for bounds in ((0.5, 0.5), (0.2, 0.2), (0.1, 0.9), (0.4, 0.6)):
        assert np.array_equal(geotopological(binary, *bounds), binary)


def test_each_matrix_has_its_own_quantiles():
    both = np.stack([rdm(), 100 + rdm(seed=1)], axis=1)
    found = geotopological(both, 0.2, 0.6)
    assert np.array_equal(found[:, 1], geotopological(both[:, 1:], 0.2, 0.6)[:, 0])


def test_geodesics_follow_the_neighbours():
    # Four stimuli on a line, only neighbours joined, and a fifth that nobody is near to.
    line = pdist(np.array([[0.0], [1], [2], [3], [50]]))
    found = geodesic(line, line <= 1)
    assert found.tolist() == [1, 2, 3, 50, 1, 2, 50, 1, 50, 50]
    # The fold of a horseshoe is opened: its ends are near in space and far along it.
    angle = np.linspace(0.3, 2 * np.pi - 0.3, 30)
    ring = pdist(np.stack([np.cos(angle), np.sin(angle)], axis=1))
    ends = 28
    assert ring[ends] < np.median(ring)
    shoe = geodesic(ring, ring <= 1.2 * ring[0])
    assert shoe[ends] == shoe.max()


def test_equal_stimuli_stay_together():
    zero = pdist(np.array([[0.0], [0], [1]]))
    assert geodesic(zero, np.ones(3, bool)).tolist() == [0, 1, 1]


def test_a_study_chooses():
    values = rdm()[:, None]
    assert np.array_equal(transformed(values, None), values)
    chosen = Transform(lower=0.1, upper=0.5, geodesic=True)
    found = transformed(values, chosen)[:, 0]
    plain = geotopological(values, 0.1, 0.5)[:, 0]
    assert (found >= 0).all()
    assert np.allclose(found[plain < 1], np.minimum(found, plain)[plain < 1])
    with pytest.raises(ValueError, match="above upper"):
        Transform(lower=0.6, upper=0.5)
