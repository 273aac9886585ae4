"""Linear classifiers from responses to a label, in every region and at every time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from fornix.errors import FornixError
from fornix.models.windows import SLACK, interval, windows
from fornix.progress import track

if TYPE_CHECKING:
    from fornix.study.fits.classifier import ClassifierFit

Floats = NDArray[np.float64]
Folds = Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]
"""(train, test) rows of each fold."""


@dataclass(frozen=True)
class View:
    """What one classifier sees: a region's voxels, or a window of the epoch.

    Attributes
    ----------
    unit
        Region, or ``all``.
    time
        Centre of the window, s from onset; 0 where there is none.
    inputs
        (sample, feature).
    """

    unit: str
    time: float
    inputs: NDArray[Any]


def region_views(responses: NDArray[Any], regions: NDArray[Any]) -> list[View]:
    """Return all voxels together, and each region where there are several.

    Parameters
    ----------
    responses
        (sample, unit).
    regions
        Region of each unit; ``""`` lies in none.
    """
    names = [name for name in dict.fromkeys(map(str, regions)) if name]
    views = [View("all", 0.0, responses)]
    if len(names) > 1:
        views += [View(name, 0.0, responses[:, regions.astype(str) == name]) for name in names]
    return views


def epoch_views(section: ClassifierFit, epochs: NDArray[Any], times: Floats) -> list[View]:
    """Return the windows of epochs without a baseline contrast.

    Parameters
    ----------
    section
        Settings: ``window`` and ``step``, or ``decimate``, or neither for the whole epoch.
    epochs
        (sample, channel, time).
    times
        s from onset.
    """
    if section.window is not None:
        spans = windows(times, section.window, section.step)
        return [View("all", centre, epochs[:, :, inside].mean(2)) for centre, _, _, inside in spans]
    if section.decimate is not None:
        spans = windows(times, section.decimate, section.decimate)
        epochs = np.stack([epochs[:, :, inside].mean(2) for _, _, _, inside in spans], axis=2)
    return [View("all", 0.0, epochs.reshape(len(epochs), -1))]


def contrast_views(
    section: ClassifierFit, epochs: NDArray[Any], times: Floats, notes: list[str]
) -> list[View]:
    """Return windows against the baseline interval: two rows a trial, baseline first.

    What a trial's two patterns have in common is taken off both. Without that, epochs corrected
    by the same interval would put every baseline at the origin, and windows of pure noise around
    it: a plane beside the origin gets three of four right. It also makes the contrast the same
    whether or not the responses are baseline-corrected.

    A window that overlaps the interval is compared with the rest of it, so that no data point is
    on both sides; a window that leaves nothing of it is skipped. Filters with zero phase smear
    what follows onset into the last tens of milliseconds before it (about 0.5 / h_freq s), so a
    window that ends at onset may lie above chance without any foresight of the brain.

    Parameters
    ----------
    section
        Settings with ``baseline`` (s from onset, both ends included) and ``window``.
    epochs
        (trial, channel, time).
    times
        s from onset.
    notes
        Skipped windows are told here.

    Raises
    ------
    FornixError
        If the epochs don't reach the baseline interval.
    """
    first, last = section.baseline or (times[0], 0.0)
    slack = SLACK * interval(times)
    reference = (times >= first - slack) & (times <= last + slack)
    if not reference.any():
        problem = f"no sample lies in the baseline interval, {first} to {last} s; epochs run from "
        problem += f"{times[0]:.3f} to {times[-1]:.3f} s"
        mend = "widen the responses' tmin and tmax, or move fits.<name>.baseline"
        raise FornixError(problem, where="fits.<name>.baseline", mend=mend)
    views = []
    for centre, start, stop, inside in windows(times, section.window or 0.0, section.step):
        rest = reference & ~inside
        if not rest.any():
            notes.append(
                f"the window {start:.3f} to {stop:.3f} s covers the baseline interval: skipped"
            )
            continue
        pairs = np.stack([epochs[:, :, rest].mean(2), epochs[:, :, inside].mean(2)], axis=1)
        pairs -= pairs.mean(1, keepdims=True)
        views.append(View("all", centre, pairs.reshape(2 * len(epochs), -1)))
    return views


@dataclass
class Decoded:
    """What a decoding model hands back.

    Attributes
    ----------
    units, times
        The regions and window centres, in order.
    score
        Held-out decision values, float32 (unit, time, sample, class).
    weights
        Name -> array of the models refitted on all samples: ``<unit>/coef`` (time, row, feature)
        and ``/intercept`` (time, row); a row a class, or one row (positive: second class) for
        two classes. They apply to raw responses.
    """

    units: list[str]
    times: list[float]
    score: NDArray[np.float32]
    weights: dict[str, NDArray[np.float32]]


def fit(
    section: ClassifierFit,
    views: Sequence[View],
    labels: NDArray[np.intp],
    folds: Folds,
    rng: np.random.Generator,
) -> Decoded:
    """Classify every held-out sample in every view, and refit on all samples.

    Parameters
    ----------
    section
        Settings.
    views
        What the classifiers see.
    labels
        Class of each sample, 0 to k - 1.
    folds
        Outer folds.
    rng
        Seeds the solver of ``svm``.
    """
    n_classes = int(labels.max()) + 1
    units = list(dict.fromkeys(view.unit for view in views))
    times = list(dict.fromkeys(view.time for view in views))
    score = np.full((len(units), len(times), len(labels), n_classes), np.nan, dtype=np.float32)
    refits: dict[str, list[tuple[Floats, Floats]]] = {unit: [] for unit in units}
    seed = int(rng.integers(2**31))
    for view in track(views, "classifier: windows and regions"):
        place = units.index(view.unit), times.index(view.time)
        inputs = np.asarray(view.inputs, dtype=np.float64)
        for train, test in folds:
            model = estimator(section, seed).fit(inputs[train], labels[train])
            score[place][test] = _both_sides(model.decision_function(inputs[test]))
        refits[view.unit].append(_raw_weights(estimator(section, seed).fit(inputs, labels)))
    weights = {}
    for unit, found in refits.items():
        for name, values in zip(("coef", "intercept"), zip(*found, strict=True), strict=True):
            weights[f"{unit}/{name}"] = np.stack(values).astype(np.float32)
    return Decoded(units, times, score, weights)


def estimator(section: ClassifierFit, seed: int = 0) -> Pipeline:
    """Return scikit-learn's classifier on standardised features.

    ``lda`` shrinks its covariance (Ledoit-Wolf), since there are often more features than
    samples.
    """
    strength = section.regularization
    models = {
        "logistic": LogisticRegression(C=strength, max_iter=2000),
        "ridge": RidgeClassifier(alpha=strength),
        "svm": LinearSVC(C=strength, dual="auto", max_iter=20_000, random_state=seed),
        "lda": LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    }
    return make_pipeline(StandardScaler(), models[section.estimator])


def _both_sides(decision: Floats) -> Floats:
    """Return one column a class, also for two classes, where scikit-learn returns one."""
    return np.stack([-decision, decision], axis=1) if decision.ndim == 1 else decision


def _raw_weights(model: Pipeline) -> tuple[Floats, Floats]:
    """Return coef (row, feature) and intercept (row,) that apply to features as they come."""
    scaler, linear = model.steps[0][1], model.steps[1][1]
    coef = np.atleast_2d(linear.coef_) / scaler.scale_
    return coef, np.atleast_1d(linear.intercept_) - coef @ scaler.mean_
