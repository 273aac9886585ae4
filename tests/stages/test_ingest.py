import pandas as pd
import pytest

from builders import eeg_dataset, fmri_dataset, rdm_dataset, write_bold
from fornix.errors import FornixError
from fornix.ingest.index import TABLES, Index, build_index
from fornix.stages.ingest import run
from fornix.store import Target, open_artifact
from fornix.study.compute import Compute
from fornix.study.datasets import LocalDataset, RdmDataset

MAKERS = {"fmri": fmri_dataset, "eeg": eeg_dataset, "rdms": rdm_dataset}


def section(root, kind="fmri"):
    if kind == "rdms":
        return RdmDataset(source="rdms", path=str(root))
    return LocalDataset(source="local", path=str(root))


def ingest(root, target, kind="fmri"):
    run(section(root, kind), {"root": root}, Target(target), Compute())
    return open_artifact(target)


@pytest.mark.parametrize("kind", list(MAKERS))
def test_what_is_read_is_what_was_written(tmp_path, kind):
    root = MAKERS[kind](tmp_path / "data")
    artifact = ingest(root, tmp_path / "artifact", kind)
    parts = {f"{name}.parquet" for name in TABLES}
    assert set(artifact.manifest["parts"]) == parts | {"dataset.json", "checks.json"}
    made, read = build_index(section(root, kind), root), Index.read(artifact)
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(made, name), getattr(read, name))
    assert made.dataset == read.dataset
    assert made.digest == read.digest
    assert artifact.manifest["notes"]["n_recordings"] == len(read.recordings)


def test_missing_text_is_none_after_reading(tmp_path):
    artifact = ingest(fmri_dataset(tmp_path / "data"), tmp_path / "artifact")
    read = Index.read(artifact)
    assert read.recordings["session"].tolist() == [None] * 4
    assert read.stimuli["text"].tolist() == [None] * 4


def test_same_dataset_is_adopted_and_a_changed_one_is_not(tmp_path):
    root = fmri_dataset(tmp_path / "data")
    manifest = tmp_path / "artifact" / "manifest.json"
    digest = ingest(root, manifest.parent).digest
    manifest.unlink()  # as Snakemake does before a job
    written = (manifest.parent / "events.parquet").stat().st_mtime_ns
    assert ingest(root, manifest.parent).digest == digest
    assert (manifest.parent / "events.parquet").stat().st_mtime_ns == written
    write_bold(root / "sub-01/func/sub-01_task-look_run-01_bold.nii.gz", seed=5)
    assert ingest(root, manifest.parent).digest != digest


def test_bad_dataset_leaves_nothing(tmp_path):
    root = fmri_dataset(tmp_path / "data")
    (root / "stimuli/image0.png").unlink()
    with pytest.raises(FornixError, match=r"image0\.png"):
        ingest(root, tmp_path / "artifact")
    assert not list(tmp_path.glob("*artifact*/*"))
    assert not list(tmp_path.glob(".*.partial"))
