"""Pictures of three kinds, and regions in a row that answer to what is planted."""

from __future__ import annotations

import numpy as np
import pytest

from fornix.ingest.index import build_index
from fornix.simulate import hierarchy, scenery, scenes
from fornix.study.datasets import SimulatedDataset
from fornix.study.worlds.hierarchy import REGIONS, HierarchyWorld
from fornix.study.worlds.scenes import ScenesWorld


@pytest.mark.parametrize("kind", ["objects", "aerial", "cells"])
def test_pictures_follow_from_the_seed(kind):
    first, again, other = (scenery.draw(kind, 6, 32, seed) for seed in (1, 1, 2))
    assert all((a.pixels == b.pixels).all() for a, b in zip(first, again, strict=True))
    assert not any((a.pixels == b.pixels).all() for a, b in zip(first, other, strict=True))
    assert first[0].pixels.shape == (32, 32, 3)
    assert len({one.name for one in first}) == 6


def test_no_part_alone_tells_the_category():
    content = [one.content for one in scenery.draw("objects", 30, 32, 0)]
    assert sorted(one["category"] for one in content) == sorted(2 * list(scenery.CATEGORIES))
    for one in content:
        ours = {scenery.PARTS[part] for part in scenery.CATEGORIES[one["category"]]}
        assert set(one["parts"]) - {"."} <= ours
        assert len(one["parts"]) == scenery.PLACES**2
    pairs = list(scenery.CATEGORIES.values())
    assert len(set(pairs)) == 15
    assert all(sum(part in pair for pair in pairs) == 5 for part in scenery.PARTS)


def test_pixels_tell_nothing_of_parts():
    """A part is light as often as dark: the mean over pictures that have it is grey."""
    scenes = scenery.draw("objects", 1500, 32, 0)
    corner = np.stack([one.luminance[:8, :8] for one in scenes])
    part = np.array([one.content["parts"][0] for one in scenes])
    for letter in scenery.PARTS.values():
        mine = corner[part == letter]
        error = mine.std(0) / np.sqrt(len(mine))
        assert (np.abs(mine.mean(0) - corner.mean(0)) / error).max() < 5
        assert mine.std() > 3 * corner[part == "."].std()


def test_kinds_share_their_light_but_not_their_content():
    mean = {k: np.mean([s.luminance for s in scenery.draw(k, 60, 32, 0)]) for k in scenery.KINDS}
    assert np.ptp(list(mean.values())) < 0.05
    assert all(not one.content for k in ("aerial", "cells") for one in scenery.draw(k, 3, 32, 0))


def test_a_part_that_no_picture_has_drives_nothing():
    few = hierarchy.levels_of(scenery.draw("objects", 16, 32, 0))
    assert (few["parts"].std(0) == 0).any()
    found = hierarchy.signals(
        HierarchyWorld(name="hierarchy", n_images=16, n_voxels=8), "01", few, hierarchy.MIXTURES
    )
    assert np.isfinite(found).all()


@pytest.fixture(scope="module")
def levels():
    return hierarchy.levels_of(scenery.draw("objects", 300, 32, 0))


def explained(features, answers):
    """Return the share of the answers' variance that a linear map of features explains."""
    x = np.column_stack([np.ones(len(features)), features])
    left = answers - x @ np.linalg.lstsq(x, answers, rcond=None)[0]
    return 1 - (left**2).sum() / (answers**2).sum()


def test_each_region_answers_to_its_levels_in_their_shares(levels):
    world = HierarchyWorld(name="hierarchy", n_images=300, n_voxels=30)
    found = hierarchy.signals(world, "01", levels, hierarchy.MIXTURES)
    answers = dict(zip((*REGIONS, "control"), np.split(found, 9, axis=1), strict=True))
    assert not answers["control"].any()
    assert explained(levels["simple"], answers["V1"]) == pytest.approx(1)
    assert explained(levels["parts"], answers["LO"]) == pytest.approx(1)
    assert explained(levels["category"], answers["PFC"]) == pytest.approx(1)
    # Which part is where goes with the category in part; nothing of it is in the edges.
    assert 0.2 < explained(levels["category"], answers["LO"]) < 0.5
    assert explained(levels["category"], answers["V1"]) < 0.15


def test_the_control_has_one_drive_for_all_regions(tmp_path):
    world = HierarchyWorld(name="hierarchy", n_subjects=1, n_images=16, n_runs=1, hierarchy=False)
    truth = hierarchy.write(world, tmp_path / "bids")
    assert {tuple(one) for one in truth["mixtures"].values()} == {("pixels",)}
    index = build_index(SimulatedDataset(source="simulate", world=world), tmp_path / "bids")
    assert list(index.stimuli["category"].value_counts()) == [2] + [1] * 14


def test_pictures_alone_are_indexed(tmp_path):
    world = ScenesWorld(name="scenes", kind="cells", n_images=20)
    assert world.subjects() == []
    scenes.write(world, tmp_path / "bids")
    index = build_index(SimulatedDataset(source="simulate", world=world), tmp_path / "bids")
    assert len(index.stimuli) == 20
    assert set(index.stimuli["modality"]) == {"image"}
    assert index.stimuli["digest"].notna().all()
    assert index.recordings.empty
    assert index.events.empty
    assert index.dataset["kind"] == "stimuli"
