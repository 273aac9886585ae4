"""Judge identification: whether the nearest mean matrix is that of the same region."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import rankdata

from fornix.errors import FornixError
from fornix.evaluation.comparisons import n_stimuli, square_places
from fornix.evaluation.metrics import Floats
from fornix.evaluation.permutation import null_interval, p_value
from fornix.evaluation.rdm_bootstrap import (
    Resampled,
    Spread,
    interval,
    spread,
    two_sided,
)
from fornix.evaluation.rdms import read_subject, share_stimuli
from fornix.evaluation.table import ALL, GROUP, Evaluated, score_row
from fornix.progress import track
from fornix.seeds import generator
from fornix.study.fits.identification import IdentificationFit, regime
from fornix.study.scores import Evaluation

RANK = "rank"
METRIC = "accuracy"

_HOW = {
    METRIC: "share of a left-out subject's regions (or session's subjects) whose ranked and "
    "transformed dissimilarities correlate best with the mean of the others' of the same one",
    "targets": "rank: ranks alone; l..-u..: quantiles of the transform; others: mean over cells",
    "p": "the left-out regions permuted; the group's: mean over subjects of independent draws",
    "interval": "central interval of that null distribution",
}


class Matrices(NamedTuple):
    """What is told apart.

    Attributes
    ----------
    groups
        What is left out in turn: subjects, or sessions.
    classes
        What is identified: regions, or subjects.
    rdms
        float64 (group, class, pair).
    """

    groups: list[str]
    classes: list[str]
    rdms: Floats


def evaluate(
    section: Evaluation, fits: Mapping[str, xr.Dataset], samples: object = None, *, seed: int
) -> Evaluated:
    """Score every transform in every left-out subject (or session), and in their mean.

    Parameters
    ----------
    section
        The fit and how it is judged.
    fits
        Subject -> ``rdms.zarr``.
    samples
        Unused.
    seed
        The study's seed.
    """
    fit, scores = section.fit, section.scores
    assert isinstance(fit, IdentificationFit)  # noqa: S101 - what the stage chose this module by
    found = Evaluated(how=dict(_HOW))
    loaded = {name: one.load() for name, one in fits.items()}
    data = _regions(loaded, found.notes) if fit.what == "regions" else _sessions(loaded)
    names, cells = [RANK, *fit.cells()], list(fit.cells().values())
    predicted = identify(transforms(data.rdms, cells), np.ones(len(data.groups)))
    right = predicted == np.arange(len(data.classes))
    values, targets = _with_regimes(right.mean(2).T, names, cells)
    nulls: dict[str, Floats] = {}
    for g, group in enumerate(data.groups):
        rng = generator(seed, "evaluate", "identification", group)
        labels = np.argsort(rng.random((scores.permutations, len(data.classes))), axis=1)
        hits = (predicted[:, g] == labels[:, None]).mean(2)
        nulls[group] = _with_regimes(hits, names, cells)[0]
    rows = [(group, values[g], nulls[group]) for g, group in enumerate(data.groups)]
    rows.append((GROUP, values.mean(0), np.mean(list(nulls.values()), axis=0)))
    whose = {"regions": "subject", "subjects": "session"}[fit.what]
    for group, value, null in rows:
        low, high = null_interval(null, scores.confidence)
        for t, target in enumerate(targets):
            row = score_row(
                subject=group if whose == "subject" else GROUP if group == GROUP else ALL,
                session=ALL if whose == "subject" or group == GROUP else group,
                target=target,
                unit=ALL,
                metric=METRIC,
                value=float(value[t]),
                chance=1 / len(data.classes),
                p=float(p_value(null[:, t], value[t])),
                n=len(data.classes) * (len(data.groups) if group == GROUP else 1),
                interval=(float(low[t]), float(high[t])),
            )
            found.rows.append(row)
    found.facts["confusion"] = _confusion(predicted[0], data.classes)
    if fit.bootstrap.over != "none":
        rng = generator(seed, "evaluate", "identification", "bootstrap")
        drawn = _draws(fit, data, rng)
        n = n_stimuli(data.rdms.shape[2])
        over = "both" if fit.bootstrap.over == "auto" else fit.bootstrap.over
        se = spread(drawn, len(data.groups), n)
        shown = {"subject": GROUP, "unit": ALL, "metric": METRIC, "over": over}
        value, confidence = values.mean(0), scores.confidence
        found.tables["bootstrap"] = [shown | one for one in _each(value, targets, se, confidence)]
        found.tables["differences"] = [
            shown | one for one in _pairs(value, targets, se, confidence)
        ]
    return found


def transforms(rdms: Floats, cells: list[tuple[float, float]]) -> Floats:
    """Return matrices as ranks, and after each transform, centred and of length 1.

    Parameters
    ----------
    rdms
        (group, class, pair).
    cells
        Lower and upper quantile of each transform.

    Returns
    -------
    float32 (1 + transform, group, class, pair), which is enough to tell correlations apart, at
    half the time; 0 where a transform levels everything.
    """
    n = rdms.shape[2]
    ranks = (rankdata(rdms, axis=2) - 1) / max(n - 1, 1)
    bounds = sorted({bound for cell in cells for bound in cell})
    quantiles = dict(zip(bounds, np.quantile(ranks, bounds, axis=2, keepdims=True), strict=True))
    ranks32 = ranks.astype(np.float32)
    found = np.empty((1 + len(cells), *ranks.shape), dtype=np.float32)
    found[0] = ranks32
    for k, (lower, upper) in enumerate(cells, start=1):
        low, high = (quantiles[bound].astype(np.float32) for bound in (lower, upper))
        if lower == upper:
            found[k] = ranks32 > high
        else:
            span = np.where(high > low, high - low, 1)
            np.clip((ranks32 - low) / span, 0, 1, out=found[k])
    found -= found.mean(3, keepdims=True)
    norm = np.sqrt(np.einsum("tgcp,tgcp->tgc", found, found))
    found /= np.where(norm > 1e-4, norm, 1)[..., None]
    return found


def identify(matrices: Floats, copies: NDArray[Any]) -> NDArray[np.intp]:
    """Return the class whose mean matrix, over the other groups, is nearest.

    Parameters
    ----------
    matrices
        (transform, group, class, pair), centred and of length 1.
    copies
        How often each group counts in the means; a group is never in its own.

    Returns
    -------
    intp (transform, group, class).
    """
    n_transforms, n_groups, n_classes, n_pairs = matrices.shape
    found = np.empty((n_transforms, n_groups, n_classes), dtype=np.intp)
    weights = np.asarray(copies, dtype=np.float32)
    for t, one in enumerate(matrices):
        # Inner products of everything with everything: means are sums of these.
        flat = one.reshape(-1, n_pairs)
        gram = (flat @ flat.T).reshape(n_groups, n_classes, n_groups, n_classes)
        for g in range(n_groups):
            others = np.where(np.arange(n_groups) == g, 0, weights)
            match = np.einsum("cod,o->cd", gram[g], others)
            size = np.einsum("ocpc,o,p->c", gram, others, others)
            with np.errstate(divide="ignore", invalid="ignore"):
                match = match / np.sqrt(size)
            found[t, g] = np.nan_to_num(match, nan=-np.inf).argmax(1)
    return found


def _with_regimes(
    values: Floats, names: list[str], cells: list[tuple[float, float]]
) -> tuple[Floats, list[str]]:
    """Return (..., target) with the means over the cells of each regime after the ranks."""
    of_cell = np.array([regime(*cell) for cell in cells])
    kinds = [kind for kind in ("geometry", "intermediate", "topology", "local", "global")
             if (of_cell == kind).any()]  # fmt: skip
    means = [values[..., 1:][..., of_cell == kind].mean(-1) for kind in kinds]
    joined = np.concatenate([values[..., :1], *(one[..., None] for one in means), values[..., 1:]],
                            axis=-1)  # fmt: skip
    return joined, [names[0], *kinds, *names[1:]]


def _regions(fits: Mapping[str, xr.Dataset], notes: list[str]) -> Matrices:
    if len(fits) < 2:
        problem = "there is one subject only: regions are identified by those of the others"
        mend = "select more subjects, or set what: subjects"
        raise FornixError(problem, where="evaluate: identification", mend=mend)
    subjects = {name: read_subject(one) for name, one in fits.items()}
    if not share_stimuli(subjects, notes):
        problem = "subjects have too few stimuli in common to be compared"
        raise FornixError(problem, where="evaluate: identification", mend="select others")
    first = next(iter(subjects.values()))
    regions = [name for name in first.brain if all(name in one.brain for one in subjects.values())]
    rdms = [[one.brain[name] for name in regions] for one in subjects.values()]
    return Matrices(list(subjects), regions, np.array(rdms))


def _sessions(fits: Mapping[str, xr.Dataset]) -> Matrices:
    each = [list(map(str, one["session"].values)) for one in fits.values()]
    common = [name for name in each[0] if all(name in one for one in each)]
    if len(common) < 2 or len(fits) < 2:
        problem = f"{len(fits)} subjects have {len(common)} sessions in common: subjects are "
        problem += "identified across sessions"
        mend = "select two or more subjects with two or more sessions"
        raise FornixError(problem, where="evaluate: identification", mend=mend)
    stimuli = [tuple(one["stimulus_b"].values.astype(str)) for one in fits.values()]
    if len(set(stimuli)) > 1:
        problem = "subjects saw other stimuli, so that they could be told by these"
        raise FornixError(problem, where="evaluate: identification", mend="select others")
    rdms = [
        [one["brain"].isel(unit=0).sel(session=name).values for one in fits.values()]
        for name in common
    ]
    return Matrices(common, list(fits), np.array(rdms, dtype=np.float64))


def _confusion(predicted: NDArray[np.intp], classes: list[str]) -> dict[str, Any]:
    """Return how often each class was taken for each, by ranks: (true, taken for)."""
    counts = np.zeros((len(classes),) * 2, dtype=int)
    for row in predicted:
        np.add.at(counts, (np.arange(len(classes)), row), 1)
    return {"classes": classes, "counts": counts.tolist()}


def _draws(fit: IdentificationFit, data: Matrices, rng: np.random.Generator) -> Resampled:
    """Return the accuracy of every target, with groups and stimuli drawn with replacement.

    Pairs of a stimulus with its own copy are left out; ranks and quantiles are those of what was
    drawn.
    """
    cells, names = list(fit.cells().values()), [RANK, *fit.cells()]
    n_groups, n = len(data.groups), n_stimuli(data.rdms.shape[2])
    places, whole = square_places(n), transforms(data.rdms, cells)
    draws: dict[str, list[Floats]] = {"both": [], "subjects": [], "stimuli": []}
    for _ in track(range(fit.bootstrap.n_draws), "bootstrap"):
        copies = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups))
        chosen = np.sort(rng.integers(0, n, n))
        if fit.bootstrap.over != "stimuli":
            draws["subjects"].append(_accuracy(whole, copies, names, cells))
        if fit.bootstrap.over != "subjects":
            a, b = (chosen[axis] for axis in np.triu_indices(n, 1))
            drawn = transforms(data.rdms[..., places[a, b][a != b]], cells)
            draws["stimuli"].append(_accuracy(drawn, np.ones(n_groups), names, cells))
            if fit.bootstrap.over != "stimuli":
                draws["both"].append(_accuracy(drawn, copies, names, cells))
    return Resampled(**{name: np.array(one) if one else None for name, one in draws.items()})


def _each(
    value: Floats, targets: list[str], se: Spread, confidence: float
) -> Iterator[dict[str, Any]]:
    """Yield the interval of every target."""
    low, high = interval(value, se.error, se.degrees, confidence)
    for t, target in enumerate(targets):
        line = {"value": value[t], "se": se.error[t], "low": low[t], "high": high[t]}
        yield {"target": target} | {name: float(one) for name, one in line.items()}


def _pairs(
    value: Floats, targets: list[str], se: Spread, confidence: float
) -> Iterator[dict[str, Any]]:
    """Yield the differences of each two regimes, and of the ranks and each cell."""
    whole = [t for t, target in enumerate(targets) if "-u" not in target]
    cells = [t for t in range(len(targets)) if t not in whole]
    for i, j in [*combinations(whole, 2), *((0, t) for t in cells)]:
        difference, error = value[i] - value[j], se.difference[i, j]
        low, high = interval(difference, error, se.degrees, confidence)
        line = {"difference": difference, "se": error, "low": low, "high": high}
        line |= {"p": two_sided(difference, error, se.degrees)}
        pair = {"target": targets[i], "other": targets[j]}
        yield pair | {name: float(one) for name, one in line.items()}


def _accuracy(
    matrices: Floats, copies: NDArray[Any], names: list[str], cells: list[tuple[float, float]]
) -> Floats:
    """Return the accuracy of every target, groups weighted; NaN if one group was drawn alone."""
    predicted = identify(matrices, copies)
    right = (predicted == np.arange(predicted.shape[2])).mean(2)
    if (copies > 0).sum() < 2:
        return np.full(len(_with_regimes(right[:, 0], names, cells)[1]), np.nan)
    return _with_regimes(right @ (copies / copies.sum()), names, cells)[0]
