from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pydantic import ValidationError

from fornix.errors import FornixError
from fornix.study.fits.encoding import Align
from fornix.study.fits.ridge import RidgeFit
from fornix.training.designs import features_of_samples, features_of_stimuli, targets_of

LAYERS = ["words/rate", "words/length", "net/block1", "net/block2"]


def fit(**settings):
    return RidgeFit(kind="ridge", responses="r", features=["words"], **settings)


def features(values, stimuli, **coords):
    data = {"layer": ((("frame" if "time" in coords else "stimulus"), "feature:layer"), values)}
    if "time" in coords:
        named = {"stimulus": ("frame", stimuli), "time": ("frame", coords["time"])}
    else:
        named = {"stimulus": stimuli}
    return xr.Dataset(data, coords=named, attrs={"layers": json.dumps(["layer"])})


def test_without_joint_each_layer_is_a_target():
    assert targets_of(fit(), LAYERS) == ({layer: [layer] for layer in LAYERS}, [])


def test_joint_puts_all_layers_together_and_leaves_each_out():
    targets, spaces = targets_of(fit(joint=True), LAYERS[:3])
    assert spaces == LAYERS[:3]
    assert targets["joint"] == LAYERS[:3]
    assert targets["joint-words/rate"] == ["words/length", "net/block1"]


def test_spaces_name_layers_by_patterns():
    named = {"word": ["words/*"], "net": ["net/block2"]}
    targets, spaces = targets_of(fit(joint=True, spaces=named), LAYERS)
    assert spaces == ["word", "net"]
    assert targets["word"] == ["words/rate", "words/length"]
    assert targets["joint"] == ["words/rate", "words/length", "net/block2"]
    assert targets["joint-word"] == ["net/block2"]
    assert set(LAYERS) <= set(targets)


@pytest.mark.parametrize("spaces", [{"one": ["words/*"]}, {"one": ["words/rat"], "two": ["net/*"]}])
def test_spaces_that_cannot_be_joined_are_errors(spaces):
    with pytest.raises(FornixError) as caught:
        targets_of(fit(joint=True, spaces=spaces), LAYERS)
    assert caught.value.mend


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"spaces": {"one": ["words/*"]}}, "joint: true"),
        ({"joint": True, "spaces": {"joint": ["words/*"]}}, "'joint' has the name"),
        ({"joint": True, "spaces": {"words": ["words/*"]}}, "'words' has the name"),
    ],
)
def test_spaces_that_mean_nothing_are_told_before_anything_runs(settings, word):
    with pytest.raises(ValidationError, match=word):
        fit(**settings)


def test_samples_get_the_features_of_their_time():
    samples = pd.DataFrame({"recording": "a", "onset": 2.0 * np.arange(5), "duration": 2.0})
    events = pd.DataFrame(
        {
            "recording": "a",
            "onset": [0.5, 4.5, 6.0],
            "duration": 0.2,
            "stimulus": ["x", "y", None],
        }
    )
    given = {"f": features(np.array([[3.0], [5.0]]), ["y", "x"])}
    found = features_of_samples(given, events, samples, Align(method="sum"))
    np.testing.assert_array_equal(found["f/layer"][:, 0], [5, 0, 3, 0, 0])


def test_a_stimulus_that_is_never_shown_may_be_unknown():
    samples = pd.DataFrame({"recording": "a", "onset": 2.0 * np.arange(3), "duration": 2.0})
    events = pd.DataFrame({"recording": ["a"], "onset": 1.0, "duration": 1.0, "stimulus": "x"})
    values = np.array([[np.nan], [2.0]])
    found = features_of_samples({"f": features(values, ["y", "x"])}, events, samples, None)
    assert np.isfinite(found["f/layer"]).all()
    with pytest.raises(FornixError, match="aren't finite"):
        features_of_samples({"f": features(values, ["x", "y"])}, events, samples, None)
    with pytest.raises(FornixError, match="doesn't have"):
        features_of_samples({"f": features(values, ["y", "z"])}, events, samples, None)


def test_frames_follow_their_stimulus_and_are_no_features_of_a_trial():
    samples = pd.DataFrame({"recording": "a", "onset": 2.0 * np.arange(4), "duration": 2.0})
    events = pd.DataFrame({"recording": ["a"], "onset": 2.0, "duration": 4.0, "stimulus": "x"})
    frames = features(np.array([[1.0], [2.0]]), ["x", "x"], time=[0.0, 2.0])
    found = features_of_samples({"f": frames}, events, samples, Align(method="mean"))
    np.testing.assert_array_equal(found["f/layer"][:, 0], [0, 1, 2, 0])
    with pytest.raises(FornixError, match="a row a frame"):
        features_of_stimuli({"f": frames}, np.array(["x"]))
