"""The world plants what it says: layers, ceiling, and nothing in the control region."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pandas as pd
import pytest
from bids import BIDSLayout
from pydantic import ValidationError
from scipy.stats import pearsonr

from fornix.features.gabor import energy, filter_bank
from fornix.simulate import shapes
from fornix.simulate.bold import series
from fornix.simulate.drawing import draw_all
from fornix.simulate.layers import layer
from fornix.store.digests import part_digest
from fornix.study.worlds.shapes import ShapesWorld

SMALL = {"n_subjects": 2, "n_sessions": 2, "n_runs": 2, "n_images": 32, "n_voxels": 10}


def world(**settings):
    return ShapesWorld(name="shapes", image_size=32, **{**SMALL, **settings})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world") / "bids"
    truth = shapes.write(world(), folder)
    return folder, truth


def betas(folder, subject, repetition_time=2.0):
    """Return least-squares single-trial responses, (run, picture, voxel), and the regions."""
    regions = folder / f"derivatives/regions/sub-{subject}/func"
    labels = nibabel.load(regions / f"sub-{subject}_task-shapes_desc-regions_dseg.nii.gz")
    labels = np.asarray(labels.dataobj)
    names = pd.read_csv(
        regions / f"sub-{subject}_task-shapes_desc-regions_dseg.tsv", sep="\t", index_col="index"
    )["name"]
    found = []
    for path in sorted((folder / f"sub-{subject}").rglob("*_bold.nii.gz")):
        image = nibabel.load(path)
        data = np.asarray(image.dataobj)[labels > 0].T
        events = pd.read_csv(str(path).replace("_bold.nii.gz", "_events.tsv"), sep="\t")
        one = np.eye(len(events))
        design = series(one, events["onset"].to_numpy(), 2.0, len(data), repetition_time)
        time = np.linspace(-1, 1, len(data))[:, None]
        nuisance = np.hstack([np.ones_like(time), time, np.cos(np.pi * time)])
        fit = np.linalg.lstsq(np.hstack([design, nuisance]), data, rcond=None)[0]
        order = np.argsort(events["stim_file"].to_numpy())
        found.append(fit[: len(events)][order])
    roi = np.array([names[label] for label in labels[labels > 0]])
    return np.array(found), roi


def test_pybids_sees_a_dataset(dataset):
    folder, _ = dataset
    layout = BIDSLayout(folder)
    assert layout.get_subjects() == ["01", "02"]
    assert layout.get_sessions() == ["01", "02"]
    assert len(layout.get(suffix="bold", extension=".nii.gz")) == 2 * 2 * 2
    assert layout.get(suffix="bold", extension=".nii.gz")[0].get_metadata()["RepetitionTime"] == 2.0
    assert json.loads((folder / "dataset_description.json").read_text())["DatasetType"] == "raw"


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(dataset, tmp_path):
    folder, _ = dataset
    shapes.write(world(), tmp_path / "again")
    shapes.write(world(seed=1), tmp_path / "other")
    assert part_digest(tmp_path / "again") == part_digest(folder)
    assert part_digest(tmp_path / "other") != part_digest(folder)


def test_every_run_shows_every_picture_once(dataset):
    folder, _ = dataset
    for path in folder.rglob("*_events.tsv"):
        shown = pd.read_csv(path, sep="\t")["stim_file"]
        assert sorted(shown) == sorted(p.name for p in folder.glob("stimuli/*.png"))


def test_air_is_zero_and_stays_so(dataset):
    folder, _ = dataset
    data = np.asarray(nibabel.load(next(folder.rglob("*_bold.nii.gz"))).dataobj)
    assert not data[0].any()
    assert data[1:-1, 1:-1, 1].any()


def test_planted_responses_are_recovered(dataset):
    folder, truth = dataset
    settings = world()
    pictures = draw_all(settings.n_images, settings.image_size, settings.seed)
    layers = {name: layer(name, pictures) for name in truth["planted"].values()}
    planted = shapes.signals(settings, "01", layers)
    measured, roi = betas(folder, "01")
    mean = measured.mean(0)
    n = settings.n_voxels
    for i, region in enumerate(truth["planted"]):
        columns = planted[:, i * n : (i + 1) * n]
        found = mean[:, roi == region]
        r = np.mean([pearsonr(a, b)[0] for a, b in zip(columns.T, found.T, strict=True)])
        # r of a mean of four repeats with its own signal is the square root of the ceiling.
        assert r == pytest.approx(np.sqrt(settings.noise_ceiling), abs=0.08), region
    assert not planted[:, -n:].any()


def test_the_ceiling_is_the_planted_one(dataset):
    folder, truth = dataset
    for subject in ("01", "02"):
        measured, roi = betas(folder, subject)
        inside = roi != truth["control"]
        noise = measured.var(0, ddof=1).mean(0)[inside]
        total = measured.mean(0).var(0, ddof=1)[inside]
        ceiling = 1 - noise.mean() / truth["n_repeats"] / total.mean()
        assert ceiling == pytest.approx(truth["noise_ceiling"], abs=0.06)


def test_the_control_region_answers_to_nothing(dataset):
    folder, truth = dataset
    measured, roi = betas(folder, "01")
    halves = measured[:2].mean(0), measured[2:].mean(0)
    agreement = {
        region: np.mean(
            [
                pearsonr(a, b)[0]
                for a, b in zip(*(half[:, roi == region].T for half in halves), strict=True)
            ]
        )
        for region in set(roi)
    }
    # Ten voxels of 32 pictures: the standard error of a mean correlation is about 0.06.
    assert abs(agreement[truth["control"]]) < 0.2
    assert all(agreement[region] > 0.25 for region in truth["planted"])


def test_a_planted_layer_is_not_that_of_another_region():
    pictures = draw_all(96, 64, 0)
    layers = [layer(name, pictures) for name in world().planted.values()]
    distances = [np.linalg.norm(one[:, None] - one[None], axis=-1) for one in layers]
    upper = np.triu_indices(96, 1)
    r = np.corrcoef([distance[upper] for distance in distances])
    assert np.abs(r - np.eye(len(r))).max() < 0.2


def test_categories_come_in_equal_numbers_anywhere():
    pictures = draw_all(96, 32, 3)
    counts = pd.Series([picture.category for picture in pictures]).value_counts()
    assert set(counts) == {16}
    places = np.array([(picture.x, picture.y) for picture in pictures])
    assert np.abs(places).max() <= 1
    assert np.ptp(places, axis=0).min() > 1.8


def nsd_ceiling(measured):
    """Return NSD's ceiling of the mean, of responses (repeat, picture, voxel), by its paper."""
    scored = (measured - measured.mean(1, keepdims=True)) / measured.std(1, keepdims=True)
    noise = scored.var(0, ddof=1).mean(0)
    ncsnr2 = np.maximum(0, 1 - noise) / noise
    return ncsnr2 / (ncsnr2 + 1 / len(scored))


@pytest.mark.parametrize(
    "settings",
    [
        {"noise_ceiling": 0.9},
        {"noise_ceiling": 0.3, "n_sessions": 3},
        {"trial_interval": 3.0},
        {"repetition_time": 3.0, "trial_interval": 3.0},
    ],
    ids=str,
)
def test_the_ceiling_holds_for_other_settings(settings, tmp_path):
    large = world(n_subjects=1, n_images=64, n_voxels=30, **settings)
    shapes.write(large, tmp_path)
    measured, roi = betas(tmp_path, "01", large.repetition_time)
    ceilings = nsd_ceiling(measured)
    # 120 voxels of 64 pictures: the standard error of the mean is below 0.01 to 0.02.
    assert ceilings[roi != "control"].mean() == pytest.approx(large.noise_ceiling, abs=0.05)
    assert np.median(ceilings[roi == "control"]) < 0.15


def test_energy_by_convolution_is_that_by_filters_in_the_spectrum():
    pictures = draw_all(48, 64, 0)
    grey = np.array([picture.luminance for picture in pictures], dtype=np.float32)
    features = energy(grey, filter_bank(64, 4, 4, 8))
    for level in (1, 2, 3):
        ours = layer(f"gabor/level{level}", pictures)
        places = (48, 4, 8, 8)
        # Angles turn the other way round, and pictures go on differently beyond their borders.
        theirs = features[f"level{level}"].reshape(places)[:, [0, 3, 2, 1], 1:-1, 1:-1]
        inner = ours.reshape(places)[:, :, 1:-1, 1:-1]
        r = [
            pearsonr(a, b)[0]
            for a, b in zip(inner.reshape(48, -1).T, theirs.reshape(48, -1).T, strict=True)
        ]
        assert np.mean(r) > 0.9, level


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"trial_interval": 1.0}, "greater than or equal to 3"),
        ({"repetition_time": 8.0}, "fewer volumes than trials"),
        ({"planted": {"V4": "gabor/level5"}}, "V4 answers to gabor/level5.*room for 4 levels"),
        ({"planted": {"Control": "content/position"}}, "answers to nothing"),
        ({"planted": {"V4": "gabor/level7"}}, "pattern"),
    ],
    ids=str,
)
def test_a_world_that_could_not_be_recovered_is_refused(settings, words):
    with pytest.raises(ValidationError, match=words):
        world(**settings)
