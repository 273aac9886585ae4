"""Every setting is documented where editors, error messages and the docs find it."""

from __future__ import annotations

import re
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fornix.study.scores import Evaluation
from fornix.study.study import Study

UNITS = re.compile(
    r"\b(s|Hz|mm|MB|µV|fT|pixels|cycles/pixel|deg|dB|tokens|bins)\b|units of|share of"
)
"""A unit as a word of its own: ``cut-off, Hz``, ``share of variance``."""

PURE_NUMBERS = {
    # seeds and names of things that are counted in themselves
    "seed", "permutations", "batch_size", "parts", "inner_splits", "grid", "threads",
    "layers", "ranks", "k", "epochs", "resample", "directions", "pca", "lobes", "context",
    "degree", "layer", "devices", "gpu_jobs", "cluster_workers",
    "l1_ratio", "smallest", "most_hours",
    # sizes of a network and lengths of a training
    "steps", "checkpoints", "width", "depth", "heads", "hidden", "registers", "prototypes",
    "head_width", "bottleneck", "patience", "resamples", "hierarchy",
    # probabilities, exponents, strengths
    "momentum", "centre_momentum", "student_temperature", "teacher_temperature", "koleo",
    "jitter", "grey", "solarize", "initializer_range", "weight_decay", "clip", "final_rate",
    "alpha", "alphas", "confidence", "power", "regularization", "l1", "learning_rate",
}  # fmt: skip
"""Numeric settings without a unit; counts (``n_*``) needn't be listed."""


def models(kind: Any, found: dict[type[BaseModel], None] | None = None) -> list[type[BaseModel]]:
    """Return every section that a type can hold, at any depth."""
    found = {} if found is None else found
    if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in found:
        found[kind] = None
        for field in kind.model_fields.values():
            models(field.annotation, found)
    for inner in get_args(kind):
        models(inner, found)
    return list(found)


SECTIONS = models(Study)
EVERY_SECTION = pytest.mark.parametrize("model", SECTIONS, ids=lambda model: model.__name__)


def numeric(field: FieldInfo) -> bool:
    """Return whether a setting is a number, or holds numbers, possibly beside other types."""
    queue, leaves = [field.annotation], set()
    while queue:
        kind = queue.pop()
        inner = [one for one in get_args(kind) if not isinstance(one, str)]
        queue += inner
        leaves |= set() if inner else {kind}
    return bool(leaves & {int, float})


def test_the_walk_finds_the_sections():
    names = {model.__name__ for model in SECTIONS}
    assert {"Study", "ShapesWorld", "FmriSamples", "EegResponses", "RidgeFit", "Near"} <= names
    assert Evaluation not in SECTIONS


@EVERY_SECTION
def test_every_section_says_what_it_is(model):
    assert model.__doc__, f"{model.__name__} has no docstring"
    assert model.__doc__.strip().splitlines()[0].endswith((".", ":"))
    assert model.model_config["extra"] == "forbid"
    assert model.model_config["frozen"]


@EVERY_SECTION
def test_every_setting_has_a_description(model):
    for name, field in model.model_fields.items():
        text = field.description
        assert text, f"{model.__name__}.{name} has no description"
        assert text == text.strip()
        assert not text.endswith("."), f"{name}: a description is a phrase"
        assert text.lower() != name.replace("_", " "), f"{name}: say more than the name"


@EVERY_SECTION
def test_every_physical_number_has_a_unit(model):
    for name, field in model.model_fields.items():
        if numeric(field) and name not in PURE_NUMBERS and not name.startswith("n_"):
            assert UNITS.search(field.description or ""), (
                f"{model.__name__}.{name} states no unit: '{field.description}'. Give it one, or "
                "list it in PURE_NUMBERS if it has none"
            )


def test_pure_numbers_are_all_in_use():
    fields = [(name, field) for model in SECTIONS for name, field in model.model_fields.items()]
    assert {name for name, field in fields if numeric(field)} >= PURE_NUMBERS


@EVERY_SECTION
def test_descriptions_explain_no_choice_that_is_gone(model):
    """``auto: file if ...`` explains the value auto, which must exist."""
    for field in model.model_fields.values():
        choices = {str(one) for one in literals(field.annotation)}
        explained = re.findall(r"(?:^|; )(auto|none|random): ", field.description or "")
        assert not choices or set(explained) <= choices


def literals(kind: Any) -> list[Any]:
    """Return the values that a type names."""
    inner = get_args(kind)
    if get_origin(kind) is Literal:
        return list(inner)
    return [one for part in inner for one in literals(part)]
