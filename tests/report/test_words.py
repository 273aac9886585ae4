"""Numbers as people write them."""

from __future__ import annotations

import doctest

import pytest

from fornix.report import words
from fornix.study.base import joined


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(words).failed == 0


@pytest.mark.parametrize("missing", [None, float("nan"), float("inf")])
def test_what_is_not_there_is_a_dash(missing):
    for write in (words.number, words.p_value, words.seconds, words.megabytes):
        assert write(missing) == "\N{EN DASH}"


def test_nothing_is_below_zero_by_rounding():
    assert words.number(-0.001, 2) == "0.00"


def test_lists_and_plurals():
    assert joined(["a"]) == "a"
    assert joined(["a", "b", "c"]) == "a, b and c"
    assert words.count(1, "run") == "1 run"
    assert words.count(1152, "run") == "1,152 runs"


def test_a_metric_that_nobody_knows_keeps_its_name():
    assert words.metric("r2") == "R²"
    assert words.metric("my_metric") == "my_metric"
