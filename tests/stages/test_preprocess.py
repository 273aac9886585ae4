from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from fornix.errors import FornixError
from fornix.ingest.index import Index
from fornix.stages import ingest, preprocess
from fornix.store import Target, open_artifact
from fornix.study.base import EventSelect, Select
from fornix.study.compute import Compute
from fornix.study.datasets import LocalDataset, RdmDataset
from fornix.study.responses import EegResponses, FmriResponses, FmriSamples, RdmResponses

TR, N = 2.0, 60


@pytest.fixture
def bids(tmp_path):
    """Write two subjects with two runs of faces, houses and rest."""
    root = tmp_path / "bids"
    rng = np.random.default_rng(0)
    for subject in ("01", "02"):
        folder = root / f"sub-{subject}/func"
        folder.mkdir(parents=True)
        for run in ("01", "02"):
            stem = f"{folder}/sub-{subject}_task-t_run-{run}"
            data = rng.normal(100, 1, (4, 4, 3, N)).astype(np.float32)
            image = nib.Nifti1Image(data, np.diag([3.0, 3.0, 3.0, 1.0]))
            image.header.set_zooms((3, 3, 3, TR))
            nib.save(image, f"{stem}_bold.nii.gz")
            trial_type = ["face", "house", "rest"] * 3
            onset = 6.0 + 11 * np.arange(9)
            table = pd.DataFrame({"onset": onset, "duration": 2.0, "trial_type": trial_type})
            table.to_csv(f"{stem}_events.tsv", sep="\t", index=False)
    description = {"Name": "small", "BIDSVersion": "1.9.0"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    metadata = {"TaskName": "t", "RepetitionTime": TR}
    (root / "task-t_bold.json").write_text(json.dumps(metadata))
    (root / "participants.tsv").write_text("participant_id\nsub-01\nsub-02\n")
    (root / "README").write_text("A small dataset.\n")
    return root


@pytest.fixture
def indexed(bids, tmp_path):
    return lambda: {"root": bids, "ingest": index(bids, tmp_path / "ingest")}


def index(root, path, section=None):
    section = section or LocalDataset(source="local", path=str(root))
    ingest.run(section, {"root": root}, Target(path), Compute())
    return path


def fmri(**settings):
    samples = FmriSamples(method=settings.pop("method", "block"))
    return FmriResponses(kind="fmri", dataset="d", mask="all", samples=samples, **settings)


def run(section, inputs, path, subject="01"):
    preprocess.run(section, inputs, Target(path), Compute(), subject=subject)
    return open_artifact(path)


def test_a_subjects_responses_with_their_provenance(indexed, tmp_path):
    artifact = run(fmri(), indexed(), tmp_path / "out", subject="02")
    dataset = artifact.dataset("responses")
    assert dataset["responses"].shape == (12, 48)
    assert dataset.attrs["subject"] == "02"
    assert set(dataset["trial_type"].values) == {"face", "house"}
    assert all("sub-02" in name for name in dataset["recording"].values)
    assert artifact.manifest["notes"]["n_samples"] == 12
    assert artifact.manifest["recipe"]["section"]["subject"] == "02"
    artifact.verify()


def test_a_second_run_adopts_and_what_is_not_read_does_not_matter(indexed, bids, tmp_path):
    path = tmp_path / "out"
    first = run(fmri(), indexed(), path)
    made = (path / "responses.zarr").stat().st_mtime_ns
    other = bids / "sub-02/func/sub-02_task-t_run-01_events.tsv"
    other.write_text(other.read_text().replace("house", "chair"))
    (path / "manifest.json").unlink()
    again = run(fmri(), indexed(), path)
    assert (path / "responses.zarr").stat().st_mtime_ns == made
    assert again.manifest["recipe"]["inputs"] == first.manifest["recipe"]["inputs"]


@pytest.mark.parametrize("what", ["events", "recordings", "companions"])
def test_what_is_read_changes_the_recipe(indexed, bids, tmp_path, what):
    before = run(fmri(), indexed(), tmp_path / "a").manifest["recipe"]["inputs"]
    stem = bids / "sub-01/func/sub-01_task-t_run-02"
    if what == "events":
        path = stem.with_name(f"{stem.name}_events.tsv")
        path.write_text(path.read_text().replace("6.0", "6.5"))
    elif what == "recordings":
        data = np.random.default_rng(9).normal(100, 1, (4, 4, 3, N)).astype(np.float32)
        image = nib.Nifti1Image(data, np.diag([3.0, 3.0, 3.0, 1.0]))
        image.header.set_zooms((3, 3, 3, TR))
        nib.save(image, f"{stem}_bold.nii.gz")
    else:
        folder = bids / "derivatives/p/sub-01/func"
        folder.mkdir(parents=True)
        mask = nib.Nifti1Image(np.ones((4, 4, 3), np.int16), np.diag([3.0, 3.0, 3.0, 1.0]))
        nib.save(mask, folder / f"{stem.name}_desc-brain_mask.nii.gz")
    after = run(fmri(), indexed(), tmp_path / "b").manifest["recipe"]["inputs"]
    assert {key for key in after if after[key] != before[key]} == {what}


def test_events_left_out_by_include_are_modelled_and_those_by_exclude_are_not(indexed):
    inputs = indexed()
    found = Index.read(open_artifact(inputs["ingest"]))
    section = fmri(method="lss", events=EventSelect(include=["face"]))
    material = preprocess.gather(
        section, found, inputs["root"], "01", suffix="bold", companions=frozenset()
    )
    assert set(material.events["trial_type"]) == {"face"}
    assert set(material.others["trial_type"]) == {"house"}
    assert set(material.recordings["subject"]) == {"01"}


def test_errors_name_what_there_is(indexed, tmp_path):
    inputs = indexed()
    with pytest.raises(FornixError, match="no bold recording of sub-07") as caught:
        run(fmri(), inputs, tmp_path / "out", subject="07")
    assert "01, 02" in caught.value.mend
    with pytest.raises(FornixError, match="no eeg recordings"):
        run(EegResponses(kind="eeg", dataset="d"), inputs, tmp_path / "out")
    with pytest.raises(FornixError, match="no recording has run 9"):
        run(fmri(select=Select(run=["9"])), inputs, tmp_path / "out")
    with pytest.raises(FornixError, match="one subject"):
        run(fmri(), inputs, tmp_path / "out", subject=None)
    assert not (tmp_path / "out").exists()


@pytest.mark.real
def test_eeg_by_way_of_the_index(real_data, tmp_path):
    root = real_data("visual-eeg")
    inputs = {"root": root, "ingest": index(root, tmp_path / "ingest")}
    section = EegResponses(kind="eeg", dataset="d")
    dataset = run(section, inputs, tmp_path / "out").dataset("responses")
    assert dataset["responses"].dims == ("sample", "channel", "time")
    # The button presses are left out by default.
    assert dataset.sizes["sample"] == 80


@pytest.mark.real
def test_rdms_by_way_of_the_index(real_data, tmp_path):
    root = real_data("objects92")
    section = RdmDataset(source="rdms", path=str(root))
    inputs = {"root": root, "ingest": index(root, tmp_path / "ingest", section)}
    section = RdmResponses(kind="rdms", dataset="d")
    dataset = run(section, inputs, tmp_path / "out", subject="04").dataset("responses")
    with np.load(root / "human_it_rdms.npz") as archive:
        np.testing.assert_array_equal(dataset["rdm"], archive["rdm"][3])
    assert dataset["stimulus"].values[0]


def test_volumes_come_with_their_events(indexed, tmp_path):
    settings = fmri(method="volumes", events=EventSelect(include=["face"]))
    found = run(settings, indexed(), tmp_path / "volumes")
    assert found.dataset("responses").sizes["sample"] == 2 * N
    events = found.table("events")
    assert set(events["trial_type"]) == {"face"}
    assert list(events.groupby("recording").size()) == [3, 3]
