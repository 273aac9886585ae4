"""The factorised readout finds the planted field; scikit-learn agrees where the field is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from worlds import SIDE, correlation, routed

from fornix.errors import FornixError
from fornix.models import factorised
from fornix.models.interface import Context
from fornix.study.compute import Compute
from fornix.study.fits.factorised import FactorisedFit

WORLD = routed()


def section(**changes):
    training = {"epochs": 20, "batch_size": 16, "learning_rate": 0.02, "weight_decay": 0.0}
    settings = {"training": training | changes.pop("training", {})} | changes
    return FactorisedFit(kind="factorised", responses="r", features=["vit"], **settings)


@pytest.mark.parametrize("field", ["softmax", "gaussian"])
@pytest.mark.parametrize("fields", ["unit", "region"])
def test_it_reads_the_fixed_place_and_not_the_marked_token(field, fields):
    found = factorised.fit(
        section(field=field, fields=fields), WORLD.data(), Context(Compute(), 0, "01")
    )
    test = np.arange(len(WORLD.tokens)) % 4 == 0
    r = correlation(found.predicted["vit/tokens"], WORLD.responses, test)
    # What a regression on the one place itself reaches.
    place = WORLD.tokens.reshape(len(WORLD.tokens), -1, 16)[:, 5]
    best = LinearRegression().fit(place[~test], WORLD.responses[~test]).predict(place[test])
    top = correlation(best, WORLD.responses[test], slice(None))
    assert r[0::2].mean() > top[0::2].mean() - 0.03
    assert r[1::2].mean() < 0.4
    weights = found.weights["vit/tokens/fold0/0/field"]
    assert weights.shape == (12 if fields == "unit" else 2, SIDE**2 if field == "softmax" else 3)
    if field == "softmax":
        assert (weights.argmax(1)[:: 2 if fields == "unit" else 12] == 5).all()


def test_fields_sum_to_one_and_weigh_features():
    owner = np.array([0, 1, 1])
    for gaussian in (False, True):
        model = factorised.Factorised((2, 3), 4, owner, gaussian=gaussian)
        torch.nn.init.normal_(model.field)
        fields = model.fields()
        assert torch.allclose(fields.sum(1), torch.ones(2))
        maps = torch.randn(5, 2, 3, 4)
        expected = torch.stack(
            [(maps.reshape(5, 6, 4) * fields[o][:, None] * model.weight[u]).sum((1, 2))
             for u, o in enumerate(owner)], 1,
        ) + model.bias  # fmt: skip
        assert torch.allclose(model(maps), expected, atol=1e-5)


def test_a_layer_without_places_is_refused():
    world = routed()
    world.tokens = world.tokens.reshape(len(world.tokens), -1)
    with pytest.raises(FornixError, match="one vector a stimulus, and factorised reads tokens"):
        factorised.fit(section(), world.data(), Context(Compute()))
