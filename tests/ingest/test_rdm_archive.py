import numpy as np
import pytest

from builders import rdm_dataset, write_tsv
from fornix.errors import FornixError
from fornix.ingest.index import build_index
from fornix.ingest.rdms import load_rdms, rdm_shape
from fornix.study.datasets import RdmDataset


def index(root, **settings):
    return build_index(RdmDataset(source="rdms", path=str(root), **settings), root, digests=True)


def complaint(root, **settings):
    with pytest.raises(FornixError) as caught:
        index(root, **settings)
    assert caught.value.where
    assert caught.value.mend
    return caught.value


def rewrite(root, change):
    path = root / "some_rdms.npz"
    rdm = np.load(path)["rdm"]
    np.savez(path, rdm=change(rdm))


def test_archive_becomes_tables(tmp_path):
    root = rdm_dataset(tmp_path / "data")
    found = index(root)
    assert found.recordings["subject"].tolist() == ["01", "02", "03"]
    assert set(found.recordings["shape"]) == {"2x6x6"}
    assert set(found.recordings["suffix"]) == {"rdm"}
    assert found.stimuli["stimulus"].tolist() == [f"z{6 - i}.png" for i in range(6)]
    assert found.stimuli["animate"].tolist() == [0, 1] * 3
    assert found.dataset["kind"] == "rdms"
    assert found.events.empty
    assert "stimulus" in found.events


def test_without_sessions_there_is_one(tmp_path):
    root = rdm_dataset(tmp_path / "data")
    rewrite(root, lambda rdm: rdm[:, 0])
    assert rdm_shape(root, "*rdm*.npz") == (3, 1, 6, 6)
    assert load_rdms(root, "*rdm*.npz").shape == (3, 1, 6, 6)


def test_stimuli_without_files_are_labels(tmp_path):
    root = rdm_dataset(tmp_path / "data")
    write_tsv(root / "stimuli.tsv", {"stimulus_id": list("fedcba"), "size": range(6)})
    stimuli = index(root).stimuli
    assert stimuli["stimulus"].tolist() == list("fedcba")
    assert set(stimuli["modality"]) == {"label"}


def nan_diagonal(rdm):
    rdm[1, 1, 2, 2] = np.nan
    return rdm


def asymmetric(rdm):
    rdm[2, 0, 1, 3] += 0.1
    return rdm


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (nan_diagonal, "diagonal cell 3 is nan"),
        (asymmetric, "isn't symmetric: cell (2, 4)"),
        (lambda rdm: rdm[:, :, :5], "3x2x5x6"),
        (lambda rdm: rdm[0, 0], "6x6"),
        (lambda rdm: rdm.astype(str), "not numbers"),
        (np.ones_like, "equally dissimilar"),
        (lambda rdm: rdm[..., :5, :5], "6 stimuli, the matrices of some_rdms.npz have 5 rows"),
    ],
)
def test_bad_matrices(tmp_path, change, says):
    root = rdm_dataset(tmp_path / "data")
    rewrite(root, change)
    assert says in complaint(root).problem


def test_bad_matrix_names_subject_and_session(tmp_path):
    root = rdm_dataset(tmp_path / "data")
    rewrite(root, nan_diagonal)
    assert complaint(root).where.endswith("subject 2, session 2")


def test_missing_or_broken_archive(tmp_path):
    root = rdm_dataset(tmp_path / "data")
    error = complaint(root, rdms="other*.npz")
    assert "some_rdms.npz" in error.mend
    raw = (root / "some_rdms.npz").read_bytes()
    (root / "more_rdms.npz").write_bytes(raw)
    assert "2 files match" in complaint(root).problem
    (root / "more_rdms.npz").unlink()
    (root / "some_rdms.npz").write_bytes(raw[:300])
    assert "cut short" in complaint(root).problem
    np.savez(root / "some_rdms.npz", dissimilarity=np.zeros((2, 3, 3)))
    assert "no array 'rdm'" in complaint(root).problem


def test_pickled_array_is_not_opened(tmp_path):
    root = rdm_dataset(tmp_path / "data")
    np.savez(root / "some_rdms.npz", rdm=np.array([{}, {}], dtype=object))
    assert "not numbers" in complaint(root).problem


def test_missing_table_and_doubled_stimulus(tmp_path):
    root = rdm_dataset(tmp_path / "data")
    table = root / "stimuli.tsv"
    text = table.read_text()
    table.write_text(text.replace("z5.png", "z6.png"))
    assert "named twice" in complaint(root).problem
    table.unlink()
    assert "no stimulus table" in complaint(root).problem


@pytest.mark.real
def test_real_archive(real_data):
    root = real_data("objects92")
    found = index(root)
    assert len(found.recordings) == 4
    assert set(found.recordings["shape"]) == {"2x92x92"}
    assert found.stimuli["stimulus"].tolist() == [f"object-{i + 1:02d}.png" for i in range(92)]
    np.testing.assert_array_equal(
        load_rdms(root, "*rdm*.npz"), np.load(root / "human_it_rdms.npz")["rdm"]
    )
