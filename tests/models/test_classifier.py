from __future__ import annotations

import warnings

import numpy as np
import pytest

from fornix.errors import FornixError
from fornix.models import classifier
from fornix.study.fits.classifier import ClassifierFit

TIMES = np.arange(-64, 103) / 128


def section(**settings) -> ClassifierFit:
    return ClassifierFit(kind="classifier", responses="r", **settings)


def folds_of(groups):
    return [(np.flatnonzero(groups != g), np.flatnonzero(groups == g)) for g in np.unique(groups)]


@pytest.mark.parametrize("name", ["logistic", "ridge", "svm", "lda"])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_planted_classes_are_found_and_weights_give_the_same_decision(name, n_classes):
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(n_classes), 20)
    centres = rng.normal(size=(n_classes, 10))
    inputs = 50 * (centres[labels] + 0.3 * rng.normal(size=(len(labels), 10))) + 7
    groups = np.arange(len(labels)) // (2 * n_classes) % 5
    found = classifier.fit(
        section(estimator=name),
        [classifier.View("all", 0.0, inputs)],
        labels,
        folds_of(groups),
        np.random.default_rng(1),
    )
    assert found.score.shape == (1, 1, len(labels), n_classes)
    assert (found.score[0, 0].argmax(1) == labels).mean() > 0.95
    decision = inputs @ found.weights["all/coef"][0].T + found.weights["all/intercept"][0]
    direct = classifier.estimator(section(estimator=name), 0).fit(inputs, labels)
    # liblinear's seed moves an SVM's weights in their last digits.
    expected = direct.decision_function(inputs)
    assert np.allclose(decision.squeeze(), expected, rtol=0.05, atol=0.05)


def test_regions_come_beside_all_only_where_there_are_several():
    data = np.arange(12.0).reshape(3, 4)
    several = classifier.region_views(data, np.array(["V1", "V1", "", "V2"]))
    assert [view.unit for view in several] == ["all", "V1", "V2"]
    assert several[1].inputs.tolist() == data[:, :2].tolist()
    assert [v.unit for v in classifier.region_views(data, np.array(["brain"] * 4))] == ["all"]


def test_windows_are_aligned_with_onset_and_lie_in_the_epoch():
    spans = classifier.windows(TIMES, 0.1, 0.05)
    starts = [round(start, 6) for _, start, _, _ in spans]
    assert 0.0 in starts
    assert starts[0] == -0.5
    assert spans[-1][2] <= TIMES[-1] + 1 / 128 + 1e-9
    for _, start, stop, inside in spans:
        assert TIMES[inside].min() >= start - 1e-4
        assert TIMES[inside].max() < stop + 1e-9
    # Windows that don't overlap share no sample and leave none out.
    apart = classifier.windows(TIMES, 0.1, 0.1)
    assert np.array_equal(sum(s[3].astype(int) for s in apart)[:-4] <= 1, np.ones(163, bool))


def test_windows_that_do_not_fit_are_an_error():
    with pytest.raises(FornixError, match="no window of 2"):
        classifier.windows(TIMES, 2.0, None)
    with pytest.raises(FornixError, match="no sample lies in the baseline"):
        classifier.contrast_views(
            section(window=0.1, baseline=(-2, -1.5)), np.zeros((2, 1, len(TIMES))), TIMES, []
        )


def test_views_of_epochs():
    epochs = np.random.default_rng(0).normal(size=(3, 2, len(TIMES)))
    whole = classifier.epoch_views(section(), epochs, TIMES)
    assert whole[0].inputs.shape == (3, 2 * len(TIMES))
    bins = classifier.epoch_views(section(decimate=0.1), epochs, TIMES)
    assert bins[0].inputs.shape == (3, 2 * 13)
    sliding = classifier.epoch_views(section(window=0.1), epochs, TIMES)
    inside = (TIMES >= 0) & (TIMES < 0.1 - 1e-6)
    at_onset = next(view for view in sliding if view.time == 0.05)
    assert np.allclose(at_onset.inputs, epochs[:, :, inside].mean(2))


def contrast(epochs, **settings):
    notes: list[str] = []
    settings = {"window": 0.1, "step": 0.1, "baseline": (-0.2, 0.0)} | settings
    return classifier.contrast_views(section(**settings), epochs, TIMES, notes), notes


def test_a_contrast_does_not_depend_on_baseline_correction():
    rng = np.random.default_rng(0)
    epochs = rng.normal(size=(5, 3, len(TIMES)))
    corrected = epochs - epochs[:, :, (TIMES >= -0.2) & (TIMES <= 0)].mean(2, keepdims=True)
    for one, other in zip(contrast(epochs)[0], contrast(corrected)[0], strict=True):
        assert np.allclose(one.inputs, other.inputs)


def test_no_data_point_is_on_both_sides_of_a_contrast():
    epochs = np.zeros((1, 1, len(TIMES)))
    epochs[0, 0, (TIMES >= -0.1 - 1e-6) & (TIMES < -1e-6)] = 1.0
    views, _ = contrast(epochs)
    inside = next(view for view in views if view.time == -0.05)
    # The window is all ones, and the rest of the interval has none of them.
    assert np.allclose(inside.inputs.ravel(), [-0.5, 0.5])


def test_a_window_that_covers_the_interval_is_skipped_with_a_note():
    views, notes = contrast(np.zeros((2, 1, len(TIMES))), window=0.3, step=0.1)
    assert len(notes) == 1
    assert "-0.200 to 0.100" in notes[0]
    assert all(view.time != pytest.approx(-0.05) for view in views)


@pytest.mark.parametrize("smooth", [1, 20])
def test_noise_before_onset_is_not_told_from_the_baseline(smooth):
    """Baseline-corrected noise: a plane beside the origin would get three of four right."""
    rng = np.random.default_rng(3)
    right = []
    for _ in range(15):
        epochs = rng.normal(size=(60, 8, len(TIMES) + smooth))
        epochs = np.stack([epochs[:, :, k : k + len(TIMES)] for k in range(smooth)]).mean(0)
        epochs -= epochs[:, :, (TIMES >= -0.2) & (TIMES <= 0)].mean(2, keepdims=True)
        views = [view for view in contrast(epochs)[0] if view.time < -0.2]
        labels = np.tile([0, 1], 60)
        folds = folds_of(np.arange(120) // 24)
        found = classifier.fit(section(), views, labels, folds, rng)
        right.append((found.score[0].argmax(2) == labels).mean())
    # 15 data sets x 3 windows of 60 pairs: standard error about 0.015.
    assert abs(np.mean(right) - 0.5) < 0.045


def test_fits_are_silent_and_repeatable():
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(40, 100)), np.tile([0, 1], 20)
    folds = folds_of(np.arange(40) // 8)
    views = [classifier.View("all", 0.0, inputs)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runs = [
            classifier.fit(section(estimator=name), views, labels, folds, np.random.default_rng(5))
            for name in ("svm", "svm", "logistic", "lda", "ridge")
        ]
    assert np.array_equal(runs[0].score, runs[1].score)
