"""Rows of the brain-likeness scores: each model's layers together, from their encoding scores.

What a model is comes from its targets, ``<features>/<layer>``: all layers of one section of
features (``<features>@<checkpoint>/<layer>`` for one checkpoint), in the order of the fit. Where
layers have several readouts, ``<layer>@<readout>``, each readout is a model of its own,
``<features>@<readout>``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fornix.errors import did_you_mean
from fornix.evaluation.blocks import Places
from fornix.evaluation.brain_likeness import (
    MIN_PLACES,
    best_layers,
    best_times,
    permuted_correlation,
    relative_depth,
    spatial_score,
    temporal_score,
)
from fornix.evaluation.corrections import Row
from fornix.evaluation.metrics import Floats
from fornix.evaluation.permutation import null_interval, p_value
from fornix.evaluation.regions import Judged
from fornix.evaluation.resampling import Place, place_of
from fornix.evaluation.statistics.bootstrap import percentiles
from fornix.evaluation.table import ALL, GROUP, score_row
from fornix.evaluation.unique import JOINT
from fornix.seeds import generator
from fornix.study.scores import Scores

METRIC = "pearson_r"
OF_LAYER = "layer_encoding_score"

HOW = {
    OF_LAYER: "mean over units and times of Pearson's r of held-out predictions from a layer",
    "encoding_score": "that of the model's best layer (chance and p: the best layer of each "
    "permutation)",
    "spatial_score": "correlation over regions between the layer that predicts a region best and "
    "the region's position in the hierarchy; p: regions permuted",
    "temporal_score": "correlation over layers between a layer's index and the time at which it "
    "predicts best; p: layers permuted",
}


@dataclass(frozen=True)
class Profile:
    """How well each layer of a model predicts each region at each time.

    Attributes
    ----------
    model
        Its name.
    layers
        Targets, in the model's order.
    places
        Regions and times with their units.
    value
        float64 (layer, place).
    null, draws
        float64 (permutation, layer, place) and (draw, layer, place); no rows without any.
    n
        Test items that the scores rest on.
    """

    model: str
    layers: list[str]
    places: Places
    value: Floats
    null: Floats
    draws: Floats
    n: int


def models_of(targets: Sequence[str]) -> dict[str, list[str]]:
    """Return model -> its layers, in order.

    Examples
    --------
    >>> models_of(["a/x@cls", "a/x@mean", "a/y@cls", "b@10/x", "joint", "joint-a/x"])
    {'a@cls': ['a/x@cls', 'a/y@cls'], 'a@mean': ['a/x@mean'], 'b@10': ['b@10/x']}
    """
    found: dict[str, list[str]] = {}
    for target in targets:
        features, slash, layer = target.partition("/")
        if slash and not features.startswith(f"{JOINT}-"):
            _, at, readout = layer.rpartition("@")
            found.setdefault(f"{features}@{readout}" if at else features, []).append(target)
    return found


def profiles_of(judged: Sequence[Judged], scores: Scores) -> list[Profile]:
    """Return a profile of each model from one subject's scores, within ``scores.window``."""
    of_target = {one.target: one for one in judged if one.metric == METRIC}
    found = []
    for model, layers in models_of(list(of_target)).items():
        first = of_target[layers[0]]
        counted = [k for k, place in enumerate(first.places) if _counts(place, scores)]
        if not counted:
            continue
        places = [first.places[k] for k in counted]
        members = [of_target[layer] for layer in layers]
        found.append(
            Profile(
                model,
                layers,
                places,
                np.stack([one.value[counted] for one in members]),
                np.stack([one.null[:, counted] for one in members], axis=1),
                np.stack([one.draws[:, counted] for one in members], axis=1),
                n=max((int(row["n"]) for row in first.rows), default=0),
            )
        )
    return found


def note_unknown_regions(
    profiles: Sequence[Sequence[Profile]], scores: Scores, notes: list[str]
) -> None:
    """Say which regions of ``scores.hierarchy`` nobody has, where others are there.

    A fit without any of them (of MEG sensors, say) isn't what the hierarchy is about.
    """
    known = {region for one in profiles for profile in one for region, _, _ in profile.places}
    named = scores.positions()
    absent = [name for name in named if name not in known]
    if absent and len(absent) < len(named):
        mend = did_you_mean(absent[0], known)
        notes.append(f"no region is named {', '.join(absent)} (scores.hierarchy); {mend}")


def mean_profiles(
    subjects: Sequence[Sequence[Profile]], draws: Mapping[Place, Floats]
) -> list[Profile]:
    """Return the mean over subjects of what all of them have: models, layers, regions, times.

    Parameters
    ----------
    subjects
        Profiles of each subject.
    draws
        Place -> means over subjects in bootstrap samples; may be empty.
    """
    named = [{profile.model: profile for profile in one} for one in subjects]
    found = []
    for model, first in named[0].items():
        if any(model not in one or one[model].layers != first.layers for one in named):
            continue
        keys = [{_key(place): k for k, place in enumerate(one[model].places)} for one in named]
        common = [key for key in keys[0] if all(key in one for one in keys)]
        if not common:
            continue
        columns = [[one[key] for key in common] for one in keys]
        places = [first.places[k] for k in columns[0]]
        values = [one[model].value[:, k] for one, k in zip(named, columns, strict=True)]
        drawn = [[draws.get(_place(layer, place)) for place in places] for layer in first.layers]
        known = all(one is not None for row in drawn for one in row)
        shape = (0, len(first.layers), len(places))
        found.append(
            Profile(
                model,
                first.layers,
                places,
                np.mean(values, axis=0),
                np.empty(shape),
                np.moveaxis(np.array(drawn, dtype=np.float64), 2, 0) if known else np.empty(shape),
                n=len(named),
            )
        )
    return found


def likeness_rows(
    subject: str, profiles: Sequence[Profile], scores: Scores, notes: list[str], *, seed: int
) -> list[Row]:
    """Return the brain-likeness rows of a subject, or of the mean profile of the group.

    Parameters
    ----------
    subject
        A label, or ``group``, which has no encoding scores here: those are means of subjects'.
    profiles
        One a model.
    scores
        Hierarchy, confidence and draws.
    notes
        Gets a sentence where a score isn't defined.
    seed
        The study's seed.
    """
    rows: list[Row] = []
    for profile in profiles:
        if subject != GROUP:
            rows += _encoding(subject, profile, scores)
        rng = generator(seed, "evaluate", "brain-likeness", subject, profile.model)
        rows += _spatial(subject, profile, scores, notes, rng)
        rows += _temporal(subject, profile, scores, notes, rng)
    return rows


def _encoding(subject: str, profile: Profile, scores: Scores) -> list[Row]:
    """Return the encoding score of each layer, and the best layer's of the model, by region."""
    regions = list(dict.fromkeys(region for region, _, _ in profile.places))
    rows = []
    for unit in [ALL, *(region for region in regions if region != ALL)]:
        here = [k for k, (region, _, _) in enumerate(profile.places) if unit in (ALL, region)]
        value, null, draws = (
            _over_units(part, profile.places, here)
            for part in (profile.value, profile.null, profile.draws)
        )
        if np.isnan(value).all():
            continue
        keys: Row = {"subject": subject, "unit": unit, "n": profile.n}
        if unit == ALL:
            for k, layer in enumerate(profile.layers):
                parts = float(value[k]), null[:, k], draws[:, k]
                rows.append(_row(scores, *parts, target=layer, metric=OF_LAYER, **keys))
        known = ~np.isnan(value)
        largest = null[:, known].max(1)
        chance = float(largest.mean()) if len(largest) else 0.0
        best = int(np.nanargmax(value))
        parts = float(value[best]), largest, draws[:, best]
        keys |= {"target": profile.model, "metric": "encoding_score", "chance": chance}
        rows.append(_row(scores, *parts, **keys))
    return rows


def _spatial(
    subject: str, profile: Profile, scores: Scores, notes: list[str], rng: np.random.Generator
) -> list[Row]:
    position = scores.positions()
    regions = [
        name
        for name in dict.fromkeys(region for region, _, _ in profile.places)
        if name in position
    ]
    if not position:
        return []
    if len(regions) < MIN_PLACES or len(profile.layers) < 2:
        notes.append(
            f"{_whose(subject)}: no spatial score of {profile.model}: {len(regions)} regions "
            f"are in scores.hierarchy ({MIN_PLACES} are needed), and the model has "
            f"{len(profile.layers)} layers (2 are needed)"
        )
        return []
    known = np.array([position[name] for name in regions])
    value, draws = _by(profile, [place[0] for place in profile.places], regions)
    p, null = permuted_correlation(best_layers(value), known, scores.permutations, rng)
    score, drawn = float(spatial_score(value, known)), spatial_score(draws, known)
    keys = {"subject": subject, "target": profile.model, "n": len(regions)}
    return [_row(scores, score, null, drawn, metric="spatial_score", **keys) | {"p": p}]


def _temporal(
    subject: str, profile: Profile, scores: Scores, notes: list[str], rng: np.random.Generator
) -> list[Row]:
    times = np.unique([time for _, time, _ in profile.places if not np.isnan(time)])
    if len(times) < 2:
        return []
    if len(profile.layers) < MIN_PLACES:
        notes.append(
            f"{_whose(subject)}: no temporal score of {profile.model}, which has "
            f"{len(profile.layers)} layers ({MIN_PLACES} are needed)"
        )
        return []
    depth = relative_depth(len(profile.layers))
    value, draws = _by(profile, [place[1] for place in profile.places], list(times))
    p, null = permuted_correlation(best_times(value, times), depth, scores.permutations, rng)
    score, drawn = float(temporal_score(value, times)), temporal_score(draws, times)
    keys = {"subject": subject, "target": profile.model, "n": len(profile.layers)}
    return [_row(scores, score, null, drawn, metric="temporal_score", **keys) | {"p": p}]


def _by(profile: Profile, of_place: Sequence[Any], wanted: Sequence[Any]) -> tuple[Floats, Floats]:
    """Return value and draws by region or by time: (..., layer, region or time)."""
    here = [[k for k, one in enumerate(of_place) if one == each] for each in wanted]
    value, draws = (
        np.stack([_over_units(part, profile.places, k) for k in here], axis=-1)
        for part in (profile.value, profile.draws)
    )
    return value, draws


def _over_units(part: Floats, places: Places, here: Sequence[int]) -> Floats:
    """Return the mean over the units of some places, (..., layer, place) -> (..., layer).

    Regions weigh by their units; places without a score are left out.
    """
    weights = np.array([len(places[k][2]) for k in here], dtype=np.float64)
    values = part[..., here]
    known = ~np.isnan(values)
    total = (known * weights).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((np.where(known, values, 0) * weights).sum(-1) / total)


def _row(scores: Scores, value: float, null: NDArray[Any], draws: NDArray[Any], **keys: Any) -> Row:
    interval = null_interval(null, scores.confidence)
    between = percentiles(draws, scores.confidence)
    return score_row(
        value=value,
        p=float(p_value(null, value)),
        interval=(float(interval[0]), float(interval[1])),
        between=(float(between[0]), float(between[1])),
        **{"unit": ALL, **keys},
    )


def _counts(place: tuple[str, float, NDArray[np.intp]], scores: Scores) -> bool:
    _, time, units = place
    inside = scores.window is None or np.isnan(time)
    if not inside and scores.window is not None:
        low, high = scores.window
        inside = low - 1e-9 <= time <= high + 1e-9
    return bool(inside and len(units))


def _key(place: tuple[str, float, NDArray[np.intp]]) -> tuple[str, str]:
    return place[0], f"{place[1]:.6f}"


def _place(layer: str, place: tuple[str, float, NDArray[np.intp]]) -> Place:
    row = {"session": ALL, "target": layer, "unit": place[0], "time": place[1], "metric": METRIC}
    return place_of(row)


def _whose(subject: str) -> str:
    return subject if subject == GROUP else f"sub-{subject}"
