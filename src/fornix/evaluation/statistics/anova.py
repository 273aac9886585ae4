"""Analysis of variance of a crossed design with one number a cell, tested by permutation.

The residuals are what no main effect and no interaction of two factors explains. An effect is
tested by permuting what is left when all other effects are taken off (Freedman & Lane 1983, J Bus
Econ Stat 1:292; Anderson & ter Braak 2003, J Stat Comput Simul 73:85).
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fornix.evaluation.metrics import Floats
from fornix.evaluation.permutation import p_value

Axes = tuple[int, ...]


class Effect(NamedTuple):
    """What one factor, or two together, make of the numbers.

    Attributes
    ----------
    axes
        The factors, by their axis.
    f
        Mean square over that of the residuals.
    eta_squared
        Partial: its sum of squares over that and the residuals'.
    p
        Of an F as large, by permutation; NaN without draws.
    """

    axes: Axes
    f: float
    eta_squared: float
    p: float


def effects_of(shape: tuple[int, ...]) -> list[Axes]:
    """Return the effects that can be told from residuals: factors, and pairs of three or more."""
    factors = [axis for axis, levels in enumerate(shape) if levels > 1]
    pairs = list(combinations(factors, 2)) if len(factors) > 2 else []
    return [*((axis,) for axis in factors), *pairs]


def anova(values: NDArray[Any], draws: int, rng: np.random.Generator) -> list[Effect]:
    """Return main effects and interactions of two factors.

    Parameters
    ----------
    values
        One number a cell, an axis a factor, two factors or more.
    draws
        Permutations.
    rng
        Randomness.
    """
    values = np.asarray(values, dtype=np.float64)
    tested = effects_of(values.shape)
    parts = {axes: component(values, axes) for axes in tested}
    residual = values - values.mean() - sum(parts.values())
    df_residual = values.size - 1 - sum(_df(values.shape, axes) for axes in tested)
    found = []
    for axes in tested:
        rest = (parts[axes] + residual).ravel()
        orders = np.argsort(rng.random((draws, rest.size)), axis=1)
        shuffled = rest[orders].reshape(draws, *values.shape)
        null = _statistic(shuffled, axes, tested, df_residual)
        f = float(_statistic((parts[axes] + residual)[None], axes, tested, df_residual)[0])
        own, left = float((parts[axes] ** 2).sum()), float((residual**2).sum())
        eta = own / (own + left) if own + left > 0 else float("nan")
        found.append(Effect(axes, f, eta, float(p_value(null, f)) if draws else float("nan")))
    return found


def eta_squared(values: NDArray[Any], axes: Axes) -> Floats:
    """Return the partial eta squared of an effect, (..., cells) -> (...).

    Parameters
    ----------
    values
        As for :func:`anova`, with one axis of draws in front.
    axes
        The effect, by the axes of its factors (the axis of draws isn't counted).
    """
    values = np.asarray(values, dtype=np.float64)
    tested = effects_of(values.shape[1:])
    parts = {one: component(values, one, lead=1) for one in tested}
    residual = values - _mean(values, (), 1) - sum(parts.values())
    cells = tuple(range(1, values.ndim))
    own, left = (parts[axes] ** 2).sum(cells), (residual**2).sum(cells)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(own / (own + left))


def component(values: Floats, axes: Axes, lead: int = 0) -> Floats:
    """Return what an effect adds to each cell, what smaller effects add taken off.

    Parameters
    ----------
    values
        Numbers of cells, after ``lead`` axes of draws.
    axes
        The effect, by the axes of its factors (axes in front aren't counted).
    lead
        Axes in front.
    """
    total = np.zeros_like(values)
    for size in range(len(axes) + 1):
        for kept in combinations(axes, size):
            total = total + (-1) ** (len(axes) - size) * _mean(values, kept, lead)
    return total


def _mean(values: Floats, kept: Axes, lead: int) -> Floats:
    over = tuple(i for i in range(lead, values.ndim) if i - lead not in kept)
    return np.asarray(values.mean(over, keepdims=True))


def _df(shape: tuple[int, ...], axes: Axes) -> int:
    return int(np.prod([shape[axis] - 1 for axis in axes]))


def _statistic(values: Floats, axes: Axes, tested: list[Axes], df_residual: int) -> Floats:
    """Return F of each draw, (draw, cells...) -> (draw,)."""
    shape, cells = values.shape[1:], tuple(range(1, values.ndim))
    parts = {one: component(values, one, lead=1) for one in tested}
    residual = values - _mean(values, (), 1) - sum(parts.values())
    own, left = (parts[axes] ** 2).sum(cells), (residual**2).sum(cells)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((own / _df(shape, axes)) / (left / df_residual))
