"""Simulated MEG: a field like MNE's, planted ceilings and latencies, the same bytes every time."""

from __future__ import annotations

import mne
import numpy as np
import pandas as pd
import pytest
from bids import BIDSLayout
from pydantic import ValidationError

from fornix.evaluation.ceilings import noise_ceiling
from fornix.simulate import hierarchy
from fornix.simulate.helmet import radial_field, region_dipoles, sensor_places
from fornix.simulate.hierarchy import answers_of, levels_of
from fornix.simulate.meg import region_fields, sensor_info, time_course
from fornix.simulate.scenery import draw
from fornix.store.digests import part_digest
from fornix.study.worlds.hierarchy import HierarchyWorld

STRENGTHS = (0.5, 1.0)
SMALL = {"n_subjects": 1, "n_runs": 3, "n_images": 80, "modality": "meg"}
SMALL |= {"meg": {"strengths": STRENGTHS}}


def world(**settings):
    return HierarchyWorld(name="hierarchy", **{**SMALL, **settings})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world") / "bids"
    return folder, hierarchy.write(world(), folder)


@pytest.fixture(scope="module")
def epochs(dataset):
    """Return epochs (trial, sensor, time) from onset, and the picture of each."""
    folder, _ = dataset
    found, shown = [], []
    for path in sorted(folder.rglob("*_meg.fif")):
        raw = mne.io.read_raw_fif(path, verbose="ERROR").get_data()
        table = pd.read_csv(str(path).replace("_meg.fif", "_events.tsv"), sep="\t")
        starts = np.rint(table["onset"].to_numpy() * 100).astype(int)
        found.append(np.stack([raw[:, start : start + 80] for start in starts]))
        shown.append(table["stim_file"].to_numpy())
    return np.concatenate(found), np.concatenate(shown)


def test_pybids_and_mne_see_recordings(dataset):
    folder, _ = dataset
    recordings = BIDSLayout(folder).get(suffix="meg", extension=".fif")
    assert len(recordings) == 3
    assert recordings[0].get_metadata()["SamplingFrequency"] == 100
    raw = mne.io.read_raw_fif(recordings[0].path, verbose="ERROR")
    assert raw.get_channel_types() == ["mag"] * 48
    assert raw.info["meas_date"] is None


def test_the_same_seed_writes_the_same_bytes_on_any_machine(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("uuid.getnode", lambda: 0x123456789ABC)
    hierarchy.write(world(), tmp_path / "again")
    assert part_digest(tmp_path / "again") == part_digest(dataset[0])


@pytest.mark.parametrize(("modality", "kinds"), [("fmri", {"bold"}), ("both", {"bold", "meg"})])
def test_what_is_recorded_can_be_chosen(modality, kinds, tmp_path):
    hierarchy.write(world(modality=modality, n_runs=1, n_images=16), tmp_path)
    found = {one.name.split(".")[0].rpartition("_")[2] for one in tmp_path.glob("sub-*/**/*.*")}
    assert {"bold", "meg"} & found == kinds


def test_field_of_a_dipole_is_mnes():
    sensors = sensor_places(32)
    dipoles = region_dipoles(0.3, 4, np.random.default_rng(0))
    sphere = mne.make_sphere_model((0, 0, 0), None, verbose="ERROR")
    one = np.ones(4)
    dipole = mne.Dipole(np.arange(4), dipoles.places, one, dipoles.moments, one)
    info = sensor_info(sensors, 100.0)
    forward, _ = mne.make_forward_dipole(dipole, sphere, info, verbose="ERROR")
    theirs = forward["sol"]["data"]
    ours = radial_field(sensors, dipoles)
    assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-4 * float(np.abs(theirs).max()))


def test_sensors_stand_around_the_head():
    places = sensor_places(48)
    assert np.linalg.norm(places, axis=1) == pytest.approx(0.12)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)[np.triu_indices(48, 1)]
    assert apart.min() > 0.02
    front = []
    for along in (0.0, 0.5, 1.0):
        dipoles = region_dipoles(along, 6, np.random.default_rng(1))
        assert np.linalg.norm(dipoles.places, axis=1).max() < 0.09
        assert (dipoles.places * dipoles.moments).sum(1) == pytest.approx(0, abs=1e-12)
        assert (np.sign(dipoles.places[:, 0]) == [-1, 1, -1, 1, -1, 1]).all()
        front.append(dipoles.places[:, 1].mean())
    assert front[0] < -0.04 < front[1] < 0.04 < front[2]


def test_ceiling_over_time_is_the_planted_one(dataset, epochs):
    _, truth = dataset
    values, shown = epochs
    found = noise_ceiling(values.reshape(len(values), -1), shown).reshape(values.shape[1:])
    planted = np.array(truth["meg"]["ceiling"])
    assert len(planted) == found.shape[1]
    # 80 pictures and 3 repeats: a sensor's ceiling has a standard error of 0.1, and sensors share
    # their signals: the mean of them, 0.03. Small ceilings are biased: none is below 0.
    high = planted > 0.3
    assert high.any()
    assert found.mean(0)[high] == pytest.approx(planted[high], abs=0.1)
    assert found.mean(0)[:6].mean() < 0.12


def test_regions_answer_in_turn_and_as_planted(dataset, epochs):
    """Fields of all regions at once, fitted to the recorded means at each time."""
    _, truth = dataset
    values, shown = epochs
    scenes = draw("objects", 80, 32, 0)
    answers = answers_of(
        world(), "01", levels_of(scenes), hierarchy.MIXTURES, what="dipoles", n=hierarchy.N_DIPOLES
    )
    fields = region_fields(world(), "01", sensor_places(48), answers)
    means = np.stack([values[shown == scene.name].mean(0) for scene in scenes])
    design = fields.reshape(len(fields), -1).T
    courses = np.linalg.lstsq(design, means.reshape(-1, means.shape[2]), rcond=None)[0]
    times = np.arange(means.shape[2]) / 100
    strengths = np.geomspace(*STRENGTHS, 8)
    for found, onset, strength in zip(courses, truth["latencies"].values(), strengths, strict=True):
        planted = strength * time_course(times, onset)
        assert np.corrcoef(found, planted)[0, 1] > 0.95
        # What lasts from the trial before adds a little.
        assert found.max() == pytest.approx(planted.max(), abs=0.2)
        assert abs(times[found.argmax()] - times[planted.argmax()]) < 0.025


def test_a_response_begins_at_its_onset_and_fades():
    times = np.arange(0, 0.8, 0.01)
    course = time_course(times, 0.1)
    assert not course[times <= 0.1].any()
    assert 0.12 <= times[course.argmax()] <= 0.15
    assert course[-1] < 0.05 * course.max()


def test_without_hierarchy_all_answer_at_once():
    assert len(set(world(hierarchy=False).latencies.values())) == 1
    planted = list(world().latencies.values())
    assert planted == sorted(planted)
    assert (planted[0], planted[-1]) == world().meg.latencies


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"latencies": [0.2, 0.06]}, "must go up"),
        ({"latencies": [0.1, 0.7]}, "must go up"),
        ({"strengths": [0.0, 1.0]}, "must be above 0"),
        ({"n_sensors": 3}, "greater than or equal to 16"),
    ],
    ids=str,
)
def test_recordings_that_could_not_be_made_are_refused(settings, words):
    with pytest.raises(ValidationError, match=words):
        world(meg=settings)
