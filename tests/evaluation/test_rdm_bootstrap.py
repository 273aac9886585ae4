"""The bootstrap's weights are copies, its spread is rsatoolbox's, and its intervals hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from fornix.evaluation.comparisons import compare, square_places
from fornix.evaluation.rdm_bootstrap import (
    PairSet,
    interval,
    resample,
    spread,
    stimulus_draws,
    two_sided,
)
from fornix.study.fits.rsa import WEIGHTED


def rdms(n=15, subjects=4, models=3, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n, 5))
    brain = [pdist(truth + noise * rng.normal(size=truth.shape)) for _ in range(subjects)]
    near = [pdist(truth + 0.3 * k * rng.normal(size=truth.shape)) for k in range(1, models + 1)]
    return np.stack(brain, axis=1), np.stack(near, axis=1)


@pytest.mark.parametrize("how", WEIGHTED)
def test_weights_are_copies(how):
    """A draw by weights is the comparison of a matrix with copied rows, self-pairs dropped."""
    n = 10
    brain, models = rdms(n)
    brain[:, 0] = np.round(brain[:, 0])  # with ties
    rng = np.random.default_rng(1)
    rows, columns = np.triu_indices(n, 1)
    for _ in range(5):
        chosen = np.sort(rng.integers(0, n, n))
        a, b = chosen[rows], chosen[columns]
        kept = a != b
        pairs = square_places(n)[a[kept], b[kept]]
        copies = np.bincount(chosen, minlength=n).astype(float)
        found = PairSet(brain, models, how).compare(copies[rows] * copies[columns])
        assert np.allclose(found, compare(brain[pairs], models[pairs], how))


def test_the_spread_is_rsatoolboxs():
    toolbox = pytest.importorskip("rsatoolbox")
    brain, models = rdms(n=20, subjects=8)
    n_draws = 1000  # the toolbox's take most of the time
    data = toolbox.rdm.RDMs(brain.T)
    fixed = [toolbox.model.ModelFixed(str(k), one) for k, one in enumerate(models.T)]
    np.random.seed(0)  # noqa: NPY002 - rsatoolbox draws from the global state
    result = toolbox.inference.eval_dual_bootstrap(fixed, data, method="corr", N=n_draws)
    rng = np.random.default_rng(0)
    copies = rng.multinomial(20, np.full(20, 1 / 20), size=n_draws)
    draws = stimulus_draws(brain, models, [np.arange(20)], copies, "pearson")
    values = compare(brain, models, "pearson")
    found = spread(resample(values, draws, n_draws, rng, over_subjects=True), 8, 20)
    # A variance from 1,000 draws has a relative error of 4.5 %, and here three are combined.
    assert found.error**2 == pytest.approx(result.get_model_var(), rel=0.25)
    first, second = np.triu_indices(3, 1)
    assert found.difference[first, second] ** 2 == pytest.approx(result.diff_var, rel=0.3)
    assert found.degrees == result.dof == 7


def test_intervals_hold_the_truth_over_new_subjects():
    """300 studies: the 95 % interval over subjects holds the population's mean in 95 of 100."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        values = 0.3 + 0.1 * rng.normal(size=(12, 1))
        found = spread(resample(values, None, 500, rng, over_subjects=True), 12, 30)
        low, high = interval(values.mean(0), found.error, found.degrees, 0.95)
        held += bool(low[0] <= 0.3 <= high[0])
    # Binomial: 285 expected, standard deviation 3.8.
    assert 285 - 4 * 3.8 <= held <= 300


def test_differences_are_uniform_where_models_are_equally_good():
    """Two models with the same noise: p < 0.05 in about 5 of 100 studies."""
    rng = np.random.default_rng(3)
    p = []
    for _ in range(400):
        values = rng.normal(size=(10, 2)) * 0.1 + rng.normal(size=(10, 1))
        found = spread(resample(values, None, 300, rng, over_subjects=True), 10, 30)
        mean = values.mean(0)
        p.append(two_sided(mean[0] - mean[1], found.difference[0, 1], found.degrees))
    from scipy.stats import kstest

    assert kstest(p, "uniform").pvalue > 0.001


def test_one_factor_alone_is_corrected_for_its_n():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 2))
    found = spread(resample(values, None, 20_000, rng, over_subjects=True), 5, 9)
    expected = values.std(0, ddof=1) / np.sqrt(5)
    assert found.error == pytest.approx(expected, rel=0.03)


def test_a_draw_of_one_stimulus_has_no_comparison():
    brain, models = rdms(n=5)
    copies = np.array([[5, 0, 0, 0, 0], [1, 1, 1, 1, 1]])
    draws = stimulus_draws(brain, models, [np.arange(5)], copies, "spearman")
    assert np.isnan(draws[0]).all()
    assert np.allclose(draws[1], compare(brain, models, "spearman"))
