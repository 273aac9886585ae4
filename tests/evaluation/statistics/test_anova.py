"""Effects of factors: their size against textbook formulas, their p against the null."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fornix.evaluation.statistics.anova import anova, component, effects_of, eta_squared
from fornix.seeds import generator

SHAPE = (2, 3, 3)


def by_least_squares(values, axes):
    """Return F of an effect from two regressions on dummies: with it and without."""
    cells = np.indices(values.shape).reshape(values.ndim, -1)

    def design(effects):
        columns = [np.ones(values.size)]
        for effect in effects:
            keys = np.ravel_multi_index(cells[list(effect)], [values.shape[a] for a in effect])
            columns += [(keys == key).astype(float) for key in np.unique(keys)]
        return np.stack(columns, axis=1)

    def rest(effects):
        x = design(effects)
        left = values.ravel() - x @ np.linalg.pinv(x) @ values.ravel()
        return float((left**2).sum()), np.linalg.matrix_rank(x)

    every = effects_of(values.shape)
    # An interaction's dummies span its main effects: these are kept where it is left out.
    fewer = [one for one in every if not set(axes) <= set(one)] + [
        one for one in every if set(one) < set(axes)
    ]
    bigger = [one for one in every if not set(axes) < set(one)]
    with_it, rank = rest(bigger)
    without, fewer_rank = rest([one for one in fewer if one != axes])
    whole, whole_rank = rest(every)
    return ((without - with_it) / (rank - fewer_rank)) / (whole / (values.size - whole_rank))


@pytest.mark.parametrize("axes", effects_of(SHAPE))
def test_f_is_that_of_regressions(axes):
    values = generator(0, "anova").normal(size=SHAPE)
    found = {one.axes: one for one in anova(values, 0, generator(0))}
    assert found[axes].f == pytest.approx(by_least_squares(values, axes))
    assert np.isnan(found[axes].p)


def test_components_add_up_and_do_not_overlap():
    values = generator(1, "anova").normal(size=SHAPE)
    parts = [component(values, axes) for axes in [(), *effects_of(SHAPE), (0, 1, 2)]]
    np.testing.assert_allclose(sum(parts), values)
    products = np.array([[(a * b).sum() for a in parts] for b in parts])
    np.testing.assert_allclose(products, np.diag(np.diag(products)), atol=1e-10)


def test_planted_effects_are_found_and_others_not():
    rng = generator(2, "anova")
    size, training = np.array([0, 1.0])[:, None, None], np.array([0, 1, 2.0])[None, :, None]
    values = size + size * training + rng.normal(0, 0.1, SHAPE)
    found = {one.axes: one for one in anova(values, 1000, rng)}
    assert {axes for axes, one in found.items() if one.p < 0.01} == {(0,), (1,), (0, 1)}
    assert found[0,].eta_squared > 0.9


def test_p_agrees_with_the_f_distribution_where_errors_are_normal():
    rng = generator(3, "anova")
    values = rng.normal(size=SHAPE) + np.array([0, 0.6])[:, None, None]
    (size, *_) = anova(values, 20_000, rng)
    assert size.p == pytest.approx(stats.f.sf(size.f, 1, 4), abs=0.05)


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 2)])
def test_p_is_uniform_where_nothing_is_planted(axes):
    rng = generator(4, "anova", *axes)
    # Heavy tails, and another effect beside it, which must not matter.
    other = 3 * np.arange(3)[None, None, :] if 2 not in axes else 0
    found = [
        next(one.p for one in anova(rng.standard_t(4, SHAPE) + other, 199, rng) if one.axes == axes)
        for _ in range(500)
    ]
    assert stats.kstest(found, "uniform").pvalue > 0.001


def test_eta_of_draws_is_that_of_each():
    draws = generator(5, "anova").normal(size=(4, *SHAPE))
    each = [{e.axes: e.eta_squared for e in anova(one, 0, generator(0))}[1, 2] for one in draws]
    np.testing.assert_allclose(eta_squared(draws, (1, 2)), each)
