"""Models that learn: they find what was planted, and nothing on what they learned from."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls
from scipy.spatial.distance import pdist, squareform
from sklearn.linear_model import Ridge

from fornix.errors import FornixError
from fornix.evaluation.rdm_models import held_out_models, networks, nonnegative
from fornix.evaluation.rdms import Subject, pairs_of
from fornix.evaluation.stimulus_folds import stimulus_folds
from fornix.models.reweighting import held_out_rdm, reweight
from fornix.study.fits.rsa import RsaFit

N = 40


def planted(mixture, subjects=4, noise=0.3):
    """Return subjects whose brain is a mixture of a network's layers."""
    rng = np.random.default_rng(0)
    layers = [pdist(rng.normal(size=(N, 6)), "sqeuclidean") for _ in mixture]
    truth = np.tensordot(mixture, layers, axes=1)
    found = {}
    for k in range(subjects):
        brain = truth + noise * truth.std() * rng.normal(size=truth.shape)
        models = {f"net/{i}": one for i, one in enumerate(layers)}
        found[f"{k:02d}"] = Subject([f"s{i}" for i in range(N)], {"V1": brain}, models)
    return found, layers, truth


def learn(subjects, kind, **options):
    fit = RsaFit(kind="rsa", responses="r", features=["net"], models=[kind])
    folds = stimulus_folds(N, 5, np.random.default_rng(0), where="here")
    return held_out_models(fit, "V1", subjects, **{"over_subjects": True, "folds": folds} | options)


def test_the_planted_layer_is_selected():
    subjects, layers, _ = planted([0.0, 1.0, 0.0])
    one = learn(subjects, "selected")["00"]
    assert one.chosen["net:selected"] == {"net/0": 0, "net/1": 1, "net/2": 0}
    predicted = one.models["net:selected"]
    known = np.isfinite(predicted)
    assert np.array_equal(predicted[known], layers[1][known])
    # Pairs within the folds' test stimuli only.
    assert known.sum() == sum(len(b) * (len(b) - 1) // 2 for b in one.blocks)


def test_the_planted_weights_are_found():
    subjects, _, truth = planted([0.2, 1.0, 0.0])
    one = learn(subjects, "weighted")["01"]
    weights = np.array(list(one.chosen["net:weighted"].values()))
    assert weights / weights[1] == pytest.approx([0.2, 1, 0], abs=0.05)
    known = np.isfinite(one.models["net:weighted"])
    assert np.corrcoef(one.models["net:weighted"][known], truth[known])[0, 1] > 0.98


def test_a_model_knows_nothing_of_its_test_subject_and_stimuli():
    subjects, _, _ = planted([0.2, 1.0, 0.0])
    before = learn(subjects, "weighted")["00"]
    test = before.blocks[0]
    subjects["00"].brain["V1"] = -subjects["00"].brain["V1"]
    touching = np.setdiff1d(
        np.arange(N * (N - 1) // 2), pairs_of(np.setdiff1d(np.arange(N), test), N)
    )
    for name in ("01", "02", "03"):
        subjects[name].brain["V1"] = subjects[name].brain["V1"].copy()
        order = np.random.default_rng(0).permutation(touching)
        subjects[name].brain["V1"][touching] = subjects[name].brain["V1"][order]
    after = learn(subjects, "weighted")["00"]
    pairs = pairs_of(test, N)
    # Ranks of the training pairs move a little when others change places with them.
    key = "net:weighted"
    assert np.corrcoef(before.models[key][pairs], after.models[key][pairs])[0, 1] > 0.999


def test_over_subjects_alone_all_pairs_are_predictions():
    subjects, _, _ = planted([0.2, 1.0])
    found = learn(subjects, "selected", folds=None)
    assert np.isfinite(found["00"].models["net:selected"]).all()


def test_weights_are_scipys():
    rng = np.random.default_rng(0)
    X, w = rng.random((200, 6)), np.array([0, 1, 0.5, 0, 0, 2.0])
    y = X @ w + 0.1 * rng.normal(size=200)
    assert nonnegative(X, y, offset=False) == pytest.approx(nnls(X, y)[0], abs=1e-6)
    A, b = X - X.mean(0), y + 100 - (y + 100).mean()
    assert nonnegative(X, y + 100, offset=True) == pytest.approx(nnls(A, b)[0], abs=1e-6)
    assert np.isfinite(nonnegative(np.repeat(X[:, :1], 2, axis=1), y, offset=False)).all()


def test_networks_have_several_layers():
    assert networks(["a/1", "a/2", "b/1"]) == {"a": ["a/1", "a/2"]}


def test_few_stimuli_make_fewer_folds_or_an_error():
    rng = np.random.default_rng(0)
    assert [len(f) for f in stimulus_folds(9, 5, rng, where="here")] == [5, 4]
    with pytest.raises(FornixError, match="7 stimuli are too few"):
        stimulus_folds(7, 5, rng, where="here")


def test_reweighting_is_ridge_on_the_pairs():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 7))
    X -= X.mean(0)
    y = pdist(X * rng.random(7), "sqeuclidean") + rng.normal(size=190)
    rows, columns = np.triu_indices(20, 1)
    design = (X[rows] - X[columns]) ** 2
    centred = design - design.mean(0)
    for penalty in (0.01, 1.0):
        strength = penalty * (centred**2).sum() / 7
        expected = Ridge(alpha=strength).fit(design, y)
        weights, offset = reweight(X, squareform(y), [penalty])
        assert weights[:, 0] == pytest.approx(expected.coef_)
        assert offset[0] == pytest.approx(expected.intercept_)


def test_reweighted_features_predict_other_stimuli():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 30))
    weights = np.zeros(30)
    weights[:3] = 1
    y = pdist(X * np.sqrt(weights), "sqeuclidean")
    y += 0.5 * y.std() * rng.normal(size=y.shape)
    folds = stimulus_folds(60, 5, rng, where="here")
    predicted = held_out_rdm(X, y, folds)
    known = np.isfinite(predicted)
    assert known.sum() == sum(len(f) * (len(f) - 1) // 2 for f in folds)
    plain = np.corrcoef(pdist(X, "sqeuclidean")[known], y[known])[0, 1]
    assert np.corrcoef(predicted[known], y[known])[0, 1] > plain + 0.3
    # Of noise nothing is predicted: 5 folds of 66 pairs, standard error of r about 1 / sqrt(59).
    nothing = held_out_rdm(X, rng.normal(size=y.shape), folds)
    assert abs(np.corrcoef(nothing[known], y[known])[0, 1]) < 4 / np.sqrt(59)
