"""The transformer brain encoder finds the planted token; its held-out samples stay unseen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from worlds import SIDE, TOKENS, correlation, routed

from fornix.errors import FornixError
from fornix.models import networks, transformer_encoder
from fornix.models.attention import RegionReadout, sine_position
from fornix.models.interface import Context
from fornix.study.compute import Compute
from fornix.study.fits.transformer_encoder import TransformerEncoderFit

WORLD = routed()
TRAINING = {"epochs": 30, "batch_size": 16, "learning_rate": 4e-3, "clip": 1.0}


def section(**changes):
    training = TRAINING | changes.pop("training", {})
    settings = {"width": 32, "heads": 4, "hidden": 32, "training": training} | changes
    return TransformerEncoderFit(
        kind="transformer_encoder", responses="r", features=["vit"], **settings
    )


def fit(world=WORLD, folder=None, *, n_folds=2, flat=False, **changes):
    context = Context(Compute(), 1, "01", scratch=folder)
    data = world.data(flat=flat, inner=changes.get("inner_splits", 10))
    data = replace(data, folds=data.folds[:n_folds])
    return transformer_encoder.fit(section(**changes), data, context), context


def test_it_reads_the_marked_token_and_says_where_it_was():
    found, _ = fit()
    test = np.arange(len(WORLD.tokens)) % 4 == 0
    r = correlation(found.predicted["vit/tokens"], WORLD.responses, test)
    ceiling = 1 / np.sqrt(1 + 0.3**2)
    assert r[1::2].mean() > ceiling - 0.05  # the category region
    assert r[0::2].mean() > ceiling - 0.1
    attention = found.attention["vit/tokens"]
    assert attention.regions == ["early", "face"]
    assert (attention.rows, attention.columns) == (SIDE, SIDE)
    looked = attention.maps[test].argmax(2)
    assert (looked[:, 1] == WORLD.places[test]).mean() > 0.98
    assert (looked[:, 0] == 5).mean() > 0.9
    assert attention.maps[test].sum(2) == pytest.approx(1, abs=1e-4)
    log = pd.concat(found.logs)
    assert set(log["fold"]) == {"fold0", "fold1"}
    assert set(log["name"]) == {"loss", "r"}


def test_shuffled_features_predict_nothing():
    order = np.random.default_rng(3).permutation(len(WORLD.tokens))
    world = routed()
    world.tokens = world.tokens[order]
    found, _ = fit(world, training={"epochs": 4})
    test = np.arange(len(order)) % 4 == 0
    r = correlation(found.predicted["vit/tokens"], world.responses, test)
    assert abs(r.mean()) < 4 / np.sqrt(test.sum())


def test_test_samples_decide_nothing_in_training():
    """Early stopping and scaling look at training samples alone: NaN elsewhere changes nothing."""
    expected, _ = fit(n_folds=1, training={"epochs": 3, "patience": 1})
    world = routed()
    test = np.arange(len(world.tokens)) % 4 == 0
    world.responses[test] = np.nan
    spoilt = world.tokens.copy()
    spoilt[np.flatnonzero(test)[0]] = 1e6
    world.tokens = spoilt
    found, _ = fit(world, n_folds=1, training={"epochs": 3, "patience": 1})
    a, b = (one.predicted["vit/tokens"][test][1:] for one in (expected, found))
    assert np.array_equal(a, b)


def test_a_killed_fit_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    """Killed in the second fold: the first isn't trained again, and nothing differs."""
    settings = {"training": {"epochs": 3}, "dropout": 0.2}
    expected, _ = fit(**settings)
    step, calls = networks.Learner._step, []

    def dying(self, network, batch):
        calls.append(batch.step)
        if len(calls) == 70:
            raise KeyboardInterrupt
        return step(self, network, batch)

    monkeypatch.setattr(networks.Learner, "_step", dying)
    with pytest.raises(KeyboardInterrupt):
        fit(folder=tmp_path, **settings)
    before = len(calls)
    found, _ = fit(folder=tmp_path, **settings)
    assert len(calls) - before < 60
    assert np.array_equal(found.predicted["vit/tokens"], expected.predicted["vit/tokens"],
                          equal_nan=True)  # fmt: skip
    assert all(np.array_equal(found.weights[key], one) for key, one in expected.weights.items())
    assert pd.concat(found.logs).equals(pd.concat(expected.logs))


def test_networks_of_other_validation_samples_are_averaged():
    found, _ = fit(training={"epochs": 2}, resamples=3, inner_splits=3)
    test = np.flatnonzero(np.arange(len(WORLD.tokens)) % 4 == 0)
    inner = np.arange(300) % 3
    train = WORLD.data().folds[0][0]
    each = []
    for number in range(3):
        part = networks.Part(
            WORLD.tokens, WORLD.responses, train[inner != number], train[inner == number]
        )
        learner = networks.Learner(torch.nn.Identity(), [part])
        weights = {
            key.partition(f"vit/tokens/fold0/{number}/")[2]: torch.from_numpy(one)
            for key, one in found.weights.items()
            if key.startswith(f"vit/tokens/fold0/{number}/") and "/scale" not in key
        }
        names, regions = transformer_encoder.regions_of(["early", "face"] * 6)
        network = transformer_encoder._build(section(), regions, WORLD.tokens)
        network.load_state_dict(weights)
        learner.network = network
        each.append(learner.predict(0, test, torch.device("cpu")))
    assert names == ["early", "face"]
    assert np.allclose(found.predicted["vit/tokens"][test], np.mean(each, 0), atol=1e-5)


def test_refit_stores_the_weights_of_all_samples():
    found, _ = fit(training={"epochs": 1}, refit=True)
    assert all(key.startswith("vit/tokens/all/0/") for key in found.weights)


def test_tokens_in_a_row_are_one_row_of_places():
    found, _ = fit(flat=True, training={"epochs": 1})
    attention = found.attention["vit/tokens"]
    assert (attention.rows, attention.columns) == (1, TOKENS)


def test_threads_of_the_study_decide_and_those_of_the_machine_do_not():
    one, _ = fit(training={"epochs": 2})
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    two, _ = fit(training={"epochs": 2})
    torch.set_num_threads(before)
    assert np.array_equal(one.predicted["vit/tokens"], two.predicted["vit/tokens"], equal_nan=True)


def test_the_readout_is_a_map_to_all_units_of_which_each_keeps_its_regions():
    regions = np.array([2, 0, 1, 1, 0, 2, 2])
    readout = RegionReadout(5, regions)
    tokens = torch.randn(4, 3, 5)
    every = tokens @ readout.weight.T + readout.bias  # (sample, region, unit)
    expected = every[:, torch.from_numpy(regions), torch.arange(7)]
    assert torch.allclose(readout(tokens), expected, atol=1e-6)


def test_places_are_told_apart_by_their_position():
    position = sine_position(3, 4, 10)
    assert position.shape == (12, 10)
    assert len(torch.unique(position, dim=0)) == 12
    # Rows and columns have a half each.
    assert torch.equal(position[0, :5], position[3, :5])
    assert torch.equal(position[0, 5:], position[4, 5:])


@pytest.mark.parametrize("shape", [(400, 16), (400, 0, 8), (400, 0, 4, 8)])
def test_layers_without_tokens_are_refused(shape):
    world = routed()
    world.tokens = np.zeros(shape, np.float32)
    data = world.data()
    with pytest.raises(FornixError, match=r"no token|one vector a stimulus") as error:
        transformer_encoder.fit(section(), data, Context(Compute()))
    if len(shape) == 2:
        assert "set readouts: [tokens] in features.vit" in error.value.mend


def test_heads_must_share_out_the_width():
    with pytest.raises(ValidationError, match="3 can't share out a width of 32"):
        section(heads=3)
    with pytest.raises(FornixError, match="3 can't share out the 16 features of vit/tokens"):
        fit(width=None, heads=3)


def test_too_few_samples_to_choose_the_epoch_are_told():
    data = WORLD.data(inner=1)
    with pytest.raises(FornixError, match="300 samples would choose the epoch, and 0 train"):
        transformer_encoder.fit(section(), data, Context(Compute()))
    data = WORLD.data(inner=200)
    with pytest.raises(FornixError, match="2 samples would choose the epoch"):
        transformer_encoder.fit(section(), data, Context(Compute()))


def test_resamples_need_inner_folds():
    with pytest.raises(ValidationError, match="resamples: 4"):
        section(resamples=4, inner_splits=3)
    _, context = fit(training={"epochs": 1}, resamples=3, inner_splits=3)
    assert not context.notes
