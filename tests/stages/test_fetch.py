import sys
from pathlib import Path
from types import ModuleType

import pytest

from builders import fmri_dataset
from fornix.errors import FornixError
from fornix.stages.fetch import run
from fornix.store import Target, open_artifact
from fornix.study.compute import Compute
from fornix.study.datasets import OpenNeuroDataset

SECTION = OpenNeuroDataset(
    source="openneuro", accession="ds000105", tag="3.0.0", subjects=["01", "02"]
)


@pytest.fixture
def openneuro(monkeypatch):
    """Put a stand-in for openneuro-py in place; it fails half-way as often as it is told."""

    def download(*, dataset, tag, target_dir, include, verify_hash):
        resumed = Path(target_dir, "begun").exists()
        module.resumed.append(resumed)
        Path(target_dir).mkdir(exist_ok=True)
        Path(target_dir, "begun").touch()
        if len(module.resumed) <= module.failures:
            msg = "Error when retrieving metadata."
            raise RuntimeError(msg)
        fmri_dataset(Path(target_dir))

    module = ModuleType("openneuro")
    module.download, module.resumed, module.failures = download, [], 0
    monkeypatch.setitem(sys.modules, "openneuro", module)
    return module


def test_fetched_once(openneuro, tmp_path):
    target = Target(tmp_path / "data")
    run(SECTION, {}, target, Compute())
    assert (open_artifact(target.path).part("bids") / "dataset_description.json").is_file()
    run(SECTION, {}, target, Compute())
    assert len(openneuro.resumed) == 1
    assert not list(tmp_path.glob(".*.download"))


def test_failed_download_goes_on_where_it_stopped(openneuro, tmp_path):
    openneuro.failures = 1
    target = Target(tmp_path / "data")
    with pytest.raises(FornixError, match="metadata"):
        run(SECTION, {}, target, Compute())
    assert not target.path.exists()
    run(SECTION, {}, target, Compute())
    assert openneuro.resumed == [False, True]
    assert open_artifact(target.path).damage() == []
