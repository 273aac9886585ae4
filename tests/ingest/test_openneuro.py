import sys
from pathlib import Path
from types import ModuleType

import pytest

from builders import fmri_dataset
from fornix.errors import FornixError
from fornix.ingest.openneuro import fetch
from fornix.study.datasets import OpenNeuroDataset


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Put a stand-in for openneuro-py in place, which serves a folder as its pattern rules say."""
    root = fmri_dataset(tmp_path / "server")

    def download(*, dataset, tag, target_dir, include, verify_hash):
        module.calls.append({"dataset": dataset, "tag": tag, "include": include})
        assert verify_hash == "auto"
        if module.failure is not None:
            raise module.failure
        for pattern in include:
            files = [path for path in root.glob(pattern.removeprefix("/")) if path.is_file()]
            if pattern.endswith("/**"):
                files = [p for p in root.glob(pattern.removeprefix("/") + "/*") if p.is_file()]
            if not files:
                text = f"Could not find path in the dataset:\n- {pattern}\nPlease check"
                raise RuntimeError(text)
            for path in files:
                copy = Path(target_dir) / path.relative_to(root)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())

    module = ModuleType("openneuro")
    module.download, module.calls, module.failure, module.root = download, [], None, root
    monkeypatch.setitem(sys.modules, "openneuro", module)
    return module


def section(**settings):
    values = {"accession": "ds000105", "tag": "3.0.0", "subjects": ["01"]}
    return OpenNeuroDataset(source="openneuro", **{**values, **settings})


def test_fetches_subjects_root_files_and_stimuli(server, tmp_path):
    fetch(section(), tmp_path / "bids")
    (call,) = server.calls
    assert (call["dataset"], call["tag"]) == ("ds000105", "3.0.0")
    assert (tmp_path / "bids/dataset_description.json").is_file()
    assert (tmp_path / "bids/task-look_bold.json").is_file()
    assert (tmp_path / "bids/stimuli/image3.png").is_file()
    assert (tmp_path / "bids/sub-01/func/sub-01_task-look_run-02_bold.nii.gz").is_file()
    assert not (tmp_path / "bids/sub-02").exists()


def test_dataset_without_stimuli_is_fetched_all_the_same(server, tmp_path):
    (server.root / "stimuli").rename(tmp_path / "gone")
    fetch(section(), tmp_path / "bids")
    assert len(server.calls) == 2
    assert (tmp_path / "bids/sub-01").is_dir()


def test_unknown_subject_and_file(server, tmp_path):
    with pytest.raises(FornixError, match="no subject '09'") as caught:
        fetch(section(subjects=["09"]), tmp_path / "bids")
    assert caught.value.where == "ds000105: subjects"
    with pytest.raises(FornixError, match=r"no file that matches 'derivatives/\*'") as caught:
        fetch(section(include=["derivatives/*"]), tmp_path / "bids")
    assert caught.value.where == "ds000105: include"


def test_offline(server, tmp_path):
    server.failure = RuntimeError("Error when retrieving metadata.")
    with pytest.raises(FornixError, match="Error when retrieving metadata") as caught:
        fetch(section(), tmp_path / "bids")
    assert "network" in caught.value.mend


def test_not_installed(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "openneuro", None)
    with pytest.raises(FornixError, match="isn't installed") as caught:
        fetch(section(), tmp_path / "bids")
    assert "fornix[openneuro]" in caught.value.mend
