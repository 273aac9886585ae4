"""Digests: the same for the same meaning, another for another one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fornix.study.base import Section, digest_of
from fornix.study.compute import Compute
from fornix.study.features.gabor import GaborFeatures
from fornix.study.features.huggingface import HuggingFaceFeatures
from fornix.study.fits.ridge import RidgeFit
from fornix.study.load import parse_study
from fornix.study.responses import EegResponses
from fornix.study.study import Study

LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
LEAVES |= st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


def shuffled(value, order):
    """Return the same JSON-like value with the keys of its mappings in another order."""
    if isinstance(value, dict):
        keys = list(value)
        order.shuffle(keys)
        return {key: shuffled(value[key], order) for key in keys}
    return [shuffled(one, order) for one in value] if isinstance(value, list) else value


@given(VALUES, st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_count(value, order):
    assert digest_of(value) == digest_of(shuffled(value, order))


@given(VALUES, VALUES)
def test_another_value_has_another_digest(one, other):
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest_of(one) == digest_of(other)) == same


@given(st.lists(st.integers(), min_size=2, max_size=4, unique=True))
def test_the_order_of_a_list_counts(values):
    assert digest_of(values) != digest_of(values[::-1])


def test_a_digest_is_short_hex_and_never_changes():
    """Paths in everybody's caches hold it: another algorithm would throw all of them away."""
    assert digest_of({"b": [1, 2.5, None], "a": "é"}) == "3d49b3500f21"
    assert len(digest_of({}, length=20)) == 20
    with pytest.raises(ValueError, match="JSON"):
        digest_of(float("nan"))


@given(
    size=st.integers(512, 2048),
    n_levels=st.integers(1, 8),
    n_orientations=st.integers(1, 8),
    grid=st.integers(1, 16),
)
def test_each_setting_of_a_section_is_part_of_its_identity(**settings):
    one = GaborFeatures(kind="gabor", dataset="data", **settings)
    assert GaborFeatures.model_validate(one.identity()) == one
    for key, value in settings.items():
        other = one.model_copy(update={key: value + 1})
        assert digest_of(other.identity()) != digest_of(one.identity())


def test_defaults_written_out_are_the_same_section():
    short = GaborFeatures(kind="gabor", dataset="data")
    long = GaborFeatures.model_validate(short.model_dump())
    assert digest_of(short.identity()) == digest_of(long.identity())


@given(st.integers(-100, 100))
def test_a_number_may_be_written_as_an_integer(number):
    """``tmin: -1`` and ``tmin: -1.0`` are one study."""
    one, other = (
        EegResponses(kind="eeg", dataset="data", tmin=value, tmax=1000)
        for value in (number, float(number))
    )
    assert digest_of(one.identity()) == digest_of(other.identity())


@given(st.integers(1, 1024))
def test_the_batch_size_is_not_part_of_the_identity(size):
    one = HuggingFaceFeatures(kind="huggingface", dataset="data", model="gpt2")
    other = one.model_copy(update={"batch_size": size})
    assert other.identity() == one.identity()
    assert "batch_size" not in one.identity()


@given(threads=st.integers(1, 64), memory=st.integers(500, 10**6))
def test_resources_are_not_part_of_a_study(threads, memory):
    plain = study()
    other = plain.model_copy(update={"compute": Compute(threads=threads, memory_mb=memory)})
    assert other.identity() == plain.identity()


def test_variants_that_were_not_taken_are_not_part_of_a_study():
    assert study(variants={"fast": {"seed": 1}}).identity() == study().identity()
    assert study(seed=1).identity() != study().identity()


def study(**changes) -> Study:
    raw = {
        "name": "small",
        "datasets": {"data": {"source": "local", "path": "/nowhere"}},
        "responses": {"betas": {"kind": "fmri", "dataset": "data"}},
        "features": {"gabor": {"kind": "gabor", "dataset": "data"}},
        "fits": {"encoding": {"kind": "ridge", "responses": "betas", "features": ["gabor"]}},
    }
    return parse_study(raw | changes)


def test_a_section_never_changes_and_has_no_other_keys():
    fit = RidgeFit(kind="ridge", responses="betas", features=["gabor"])
    with pytest.raises(ValidationError, match="frozen"):
        fit.shuffle = True
    with pytest.raises(ValidationError, match="Extra inputs"):
        RidgeFit(kind="ridge", responses="betas", features=["gabor"], shufle=True)


def test_an_identity_is_json_and_comes_back_the_same():
    class Odd(Section):
        pair: tuple[float, float] = (1, 2)
        words: dict[str, list[str]]

    odd = Odd(words={"a": ["b"]})
    text = json.dumps(odd.identity(), allow_nan=False)
    assert Odd.model_validate_json(text) == odd
