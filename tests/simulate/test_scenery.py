"""Scenery: the same from the same seed, balanced, and known by its parts, not by its pixels."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifierCV
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fornix.simulate import objects
from fornix.simulate.canvas import coverage
from fornix.simulate.parts import PARTS
from fornix.simulate.scenery import KINDS, draw, part_names

CHANCE = 1 / 7


@pytest.fixture(scope="module")
def scenes():
    return draw("objects", 700, 32, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_depends_on_its_seed_and_number_alone(kind):
    few, many = draw(kind, 3, 32, 5), draw(kind, 12, 32, 5)
    for one, same in zip(few, many, strict=False):
        assert np.array_equal(one.pixels, same.pixels)
        assert one.category == same.category
    assert not np.array_equal(few[0].pixels, draw(kind, 1, 32, 6)[0].pixels)
    assert many[0].pixels.shape == (32, 32, 3)
    assert len({one.pixels.tobytes() for one in many}) == len(many)


@pytest.mark.parametrize("kind", KINDS)
def test_categories_come_in_equal_numbers_and_name_their_parts(kind):
    drawn = draw(kind, 12, 32, 1) if kind != "objects" else draw(kind, 14, 32, 1)
    counts = {
        name: sum(one.category == name for one in drawn) for name in {d.category for d in drawn}
    }
    assert set(counts.values()) == {2}
    assert all(len(one.parts) == len(part_names(kind)) for one in drawn)


def test_every_two_parts_make_one_category():
    lines = [set(parts) for parts in objects.CATEGORIES.values()]
    for two in combinations(PARTS, 2):
        assert sum(set(two) <= line for line in lines) == 1


@pytest.mark.parametrize("name", PARTS)
def test_parts_have_the_same_area(name):
    along = np.linspace(-2, 2, 801)
    x, y = np.meshgrid(along, along)
    assert (PARTS[name](x, y) < 0).mean() * 16 == pytest.approx(1.0, abs=0.02)


def test_coverage_of_an_outline_is_its_area():
    along = (2 * np.arange(64) + 1) / 64 - 1
    x, y = np.meshgrid(along, along)
    assert coverage(np.hypot(x, y) - 0.5).mean() * 4 == pytest.approx(np.pi / 4, rel=0.01)


def decoded(features, scenes):
    """Return the accuracy of a linear classifier of categories, on held-out pictures."""
    classifier = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-1, 5, 7)))
    categories = [one.category for one in scenes]
    return cross_val_score(classifier, np.array(features), categories, cv=5).mean()


# Accuracy at chance on 700 pictures has a standard error of 0.013; over folds, a little more.
def test_pixels_and_their_statistics_do_not_tell_the_category(scenes):
    colours = [one.pixels.reshape(-1, 3) for one in scenes]
    moments = [np.concatenate([c.mean(0), c.std(0)]) for c in colours]
    histograms = [np.histogram(one.luminance, 16, (0, 1))[0] for one in scenes]
    pixels = [one.luminance.ravel() for one in scenes]
    for features in (moments, histograms, pixels):
        assert decoded(features, scenes) < CHANCE + 4 * 0.015


def test_parts_tell_the_category_and_no_single_part_does(scenes):
    parts = np.array([one.parts for one in scenes])
    assert decoded(parts, scenes) > 0.95
    for column in parts.T:
        assert decoded(column[:, None], scenes) < 0.35


def test_bindings_are_the_three_parts_of_the_object(scenes):
    for one in scenes[:50]:
        table = one.bindings.reshape(7, 3)
        assert (table.sum(0) == 1).all()
        named = [name for name, there in zip(PARTS, table.sum(1), strict=True) if there]
        assert set(named) == set(objects.CATEGORIES[one.category])
        assert 3 <= one.parts.sum() <= 4
