"""A vision model learns with its readout, or stays as it is."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from pydantic import ValidationError
from worlds import correlation

from fornix.errors import FornixError
from fornix.models import backbone
from fornix.models.interface import Context, EncodingData
from fornix.study.compute import Compute
from fornix.study.fits.backbone import BackboneFit

CONFIG = {"image_size": 8, "patch_size": 4, "num_channels": 3, "hidden_size": 32,
          "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
          "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}  # fmt: skip


def data(n=240, seed=0):
    """Units answer to the contrast between the picture's halves, whichever is brighter."""
    rng = np.random.default_rng(seed)
    pictures = rng.uniform(0.3, 0.7, size=(n, 8, 8, 3)).astype(np.float32)
    side = rng.normal(size=n).astype(np.float32)
    pictures[:, :, :4] += 0.1 * side[:, None, None, None]
    pictures[:, :, 4:] -= 0.1 * side[:, None, None, None]
    Y = np.abs(side)[:, None] * rng.normal(size=(1, 5)) + 0.1 * rng.normal(size=(n, 5))
    train, test = np.arange(n)[n // 4 :], np.arange(n // 4)
    units = pd.DataFrame({"unit": range(5), "roi": "all"})
    return EncodingData(
        {"seen/pixels": pictures}, Y.astype(np.float32), units, [(train, test)],
        lambda rows: np.arange(len(rows)) % 6, {"seen/pixels": ["seen/pixels"]},
    )  # fmt: skip


def section(**changes):
    training = {"epochs": 40, "batch_size": 16, "learning_rate": 3e-3, "weight_decay": 0.0}
    settings = {"model": "vit", "init": "random", "config": CONFIG, "backbone_rate": 1.0}
    settings |= {"training": training | changes.pop("training", {})} | changes
    return BackboneFit(kind="backbone", responses="r", features=["seen"], **settings)


def score(found, given):
    return correlation(found.predicted["seen/pixels"], given.responses, given.folds[0][1]).mean()


def test_training_end_to_end_beats_a_frozen_backbone_drawn_at_random():
    given = data()
    learnt = backbone.fit(section(), given, Context(Compute()))
    frozen = backbone.fit(section(freeze=["*"]), given, Context(Compute()))
    assert score(learnt, given) > 0.7
    assert score(learnt, given) > score(frozen, given) + 0.4
    # Of a frozen model only the readout is stored.
    assert {key.split("/")[4] for key in frozen.weights} == {
        "linear.weight",
        "linear.bias",
        "scale",
    }
    assert any("attention" in key for key in learnt.weights)


def test_what_is_frozen_stays_and_the_rest_learns():
    given = data(80)
    part = section(freeze=["embeddings*"], training={"epochs": 1})
    found = backbone.fit(part, given, Context(Compute()))
    assert not any("embeddings" in key for key in found.weights)
    assert any("layer" in key for key in found.weights)


def test_a_checkpoint_folder_is_read_with_its_own_scaling(tmp_path):
    model = transformers.ViTModel(transformers.ViTConfig(**CONFIG))
    model.save_pretrained(tmp_path)
    settings = section(model=str(tmp_path), init="pretrained", config={}, training={"epochs": 1})
    with pytest.raises(FornixError, match="doesn't say how its pictures are scaled"):
        backbone.fit(settings, data(80), Context(Compute()))
    scaling = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(scaling))
    found = backbone.fit(settings, data(80), Context(Compute()))
    place = "seen/pixels/fold0/0/scale/features"
    assert found.weights[f"{place}/mean"] == pytest.approx([0.5, 0.4, 0.3])
    before = backbone.fingerprint(settings, 0)
    torch.nn.init.zeros_(model.embeddings.cls_token)
    model.save_pretrained(tmp_path)
    assert backbone.fingerprint(settings, 0) != before


def test_pictures_must_be_pictures_of_the_models_size():
    given = data(80)
    given.features["seen/pixels"] = given.features["seen/pixels"][:, :4, :4]
    with pytest.raises(FornixError, match="vit takes pictures of 8 by 8; seen/pixels has 4 by 4"):
        backbone.fit(section(), given, Context(Compute()))
    given.features["seen/pixels"] = given.features["seen/pixels"].reshape(80, -1)
    with pytest.raises(FornixError, match="holds no pictures") as error:
        backbone.fit(section(), given, Context(Compute()))
    assert "grid: true" in error.value.mend


def test_a_pattern_that_freezes_nothing_is_told():
    with pytest.raises(FornixError, match=r"no parameter like 'encoder.layers"):
        backbone.fit(section(freeze=["encoder.layers.9*"]), data(80), Context(Compute()))
    with pytest.raises(ValidationError, match="config overrides need init: random"):
        section(init="pretrained")
