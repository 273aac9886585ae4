"""The world of objects at random places: what is planted is there, and only that."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import ValidationError

from fornix.simulate import routing
from fornix.store.digests import part_digest
from fornix.study.worlds.routing import RoutingWorld


def world(**changes):
    settings = {"n_subjects": 1, "n_images": 60, "n_runs": 1, "n_voxels": 8, "cell": 8}
    return RoutingWorld(name="routing", **(settings | changes))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("routing") / "bids"
    return folder, routing.write(world(), folder)


def pictures(folder):
    table = pd.read_csv(folder / "stimuli/stimuli.tsv", sep="\t")
    found = [np.asarray(Image.open(folder / "stimuli" / name)) for name in table["stim_file"]]
    return table, np.stack(found) / 255.0


def cells(pixels, grid=6, side=8):
    """Return (picture, cell, row, column, colour)."""
    shape = (len(pixels), grid, side, grid, side, 3)
    return pixels.reshape(shape).transpose(0, 1, 3, 2, 4, 5).reshape(-1, grid**2, side, side, 3)


def test_it_is_a_bids_dataset_with_truth(written):
    folder, truth = written
    assert truth["regions"] == {"V1": "field", "FFA": "face", "PPA": "place", "EBA": "body"}
    assert truth["n_repeats"] == 1
    described = json.loads((folder / "dataset_description.json").read_text())
    assert described["DatasetType"] == "raw"
    events = pd.read_csv(
        folder / "sub-01/ses-01/func/sub-01_ses-01_task-routing_run-01_events.tsv", sep="\t"
    )
    assert sorted(events["stim_file"]) == sorted(pictures(folder)[0]["stim_file"])


def test_textures_and_objects_can_be_read_off_the_pictures(written):
    """By regression on the gratings, and by the colour of cells, not by the code that drew them."""
    folder, _ = written
    table, pixels = pictures(folder)
    scenes = routing.compose(world())
    one = cells(pixels)
    grey = one @ np.array([1.0, 1.0, 1.0]) / 3
    waves = routing.gratings(8).reshape(4, -1)
    assert np.allclose(waves @ waves.T / 64, np.eye(4), atol=1e-9)
    found = (grey - 0.5).reshape(*grey.shape[:2], -1) @ waves.T / 64 / routing.CONTRAST
    assert np.corrcoef(found.ravel(), scenes.textures.ravel())[0, 1] > 0.99
    for number, (category, channel) in enumerate(
        zip(("face", "place", "body"), range(3), strict=True)
    ):
        others = [c for c in range(3) if c != channel]
        colour = (one[..., channel] - one[..., others].mean(-1)).mean((2, 3))
        looked = colour.argmax(1)
        assert (looked == scenes.objects[:, number]).all()
        rows = np.floor(table[f"{category}_row"] * 6).astype(int)
        columns = np.floor(table[f"{category}_column"] * 6).astype(int)
        assert (looked == rows * 6 + columns).all()


def test_a_category_region_reads_its_object_and_a_field_its_place():
    settings = world(n_images=400)
    scenes = routing.compose(settings)
    signals = routing.signals(settings, scenes, "01")
    assert signals.shape == (400, 5 * 8)
    assert signals[:, :32].std(0) == pytest.approx(1)
    assert not signals[:, 32:].any()
    at_object = scenes.textures[np.arange(400), scenes.objects[:, 0]]

    def explained(features, voxels):
        design = np.c_[np.ones(400), features]
        weights = np.linalg.lstsq(design, signals[:, voxels], rcond=None)[0]
        left = signals[:, voxels] - design @ weights
        return 1 - left.var(0) / signals[:, voxels].var(0)

    assert explained(at_object, slice(8, 16)) == pytest.approx(1)
    assert explained(at_object, slice(0, 8)).max() < 0.05  # V1 reads a place, not the object
    seen = routing.field(settings, "V1")
    assert seen.sum() == pytest.approx(1)
    at_place = np.einsum("pck,c->pk", scenes.textures, seen)
    assert explained(at_place, slice(0, 8)) == pytest.approx(1)
    # No fixed place tells what is at the object.
    assert explained(scenes.textures[:, 7], slice(8, 16)).max() < 0.1


def test_the_same_world_is_the_same_bytes_and_another_seed_another(written, tmp_path):
    folder, _ = written
    routing.write(world(), tmp_path / "again")
    routing.write(world(seed=1), tmp_path / "other")
    assert part_digest(tmp_path / "again") == part_digest(folder)
    assert part_digest(tmp_path / "other") != part_digest(folder)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"regions": {"FFA": "dog"}}, "FFA reads 'dog'; there are field and face, place, body"),
        ({"regions": {"Control": "face"}}, "answers to nothing; rename yours"),
        ({"categories": ["face", "face"]}, "must differ"),
        ({"trial_interval": 3, "repetition_time": 4}, "fewer volumes than trials"),
    ],
)
def test_worlds_that_make_no_sense_are_refused(changes, complaint):
    with pytest.raises(ValidationError, match=complaint):
        world(**changes)
