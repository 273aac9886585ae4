from __future__ import annotations

import numpy as np
import pytest

from fornix.errors import FornixError
from fornix.preprocess.rdms import prepare
from fornix.study.responses import RdmResponses

SECTION = RdmResponses(kind="rdms", dataset="d")


def matrices(*shape, seed=0):
    found = np.random.default_rng(seed).uniform(0, 1, shape)
    found = found + found.swapaxes(-1, -2)
    found[..., np.arange(shape[-1]), np.arange(shape[-1])] = 0
    return found.astype(np.float32)


@pytest.fixture
def stored(tree):
    def store(rdm, key="rdm", subject="01", stimuli=("a", "b", "c")):
        np.savez(tree.root / "rdms.npz", **{key: rdm})
        tree.stimuli = list(stimuli)
        tree.recordings = [{"recording": "rdms.npz", "subject": subject}]
        material = tree.material()
        return type(material)(**vars(material) | {"subject": subject})

    return store


def test_a_subjects_matrices_are_taken_as_they_are(stored, compute):
    rdm = matrices(4, 2, 3, 3)
    dataset, notes = prepare(SECTION, stored(rdm, subject="03"), compute)
    np.testing.assert_array_equal(dataset["rdm"], rdm[2])
    assert dataset["rdm"].dims == ("session", "stimulus", "stimulus_2")
    assert dataset["stimulus"].values.tolist() == ["a", "b", "c"]
    assert dataset["stimulus_2"].values.tolist() == ["a", "b", "c"]
    assert dataset.attrs["kind"] == "rdms"
    assert notes["n_sessions"] == 2


def test_without_sessions_there_is_one(stored, compute):
    rdm = matrices(2, 3, 3)
    dataset, _ = prepare(SECTION, stored(rdm, subject="02"), compute)
    np.testing.assert_array_equal(dataset["rdm"][0], rdm[1])


def test_missing_pairs_are_counted(stored, compute, excluded):
    rdm = matrices(1, 1, 3, 3)
    rdm[..., 0, 2] = rdm[..., 2, 0] = np.nan
    dataset, _ = prepare(SECTION, stored(rdm), compute)
    assert excluded(dataset)[0][1:3] == ("pair", 1)


def test_errors(stored, compute, tree):
    with pytest.raises(FornixError, match=r"no array 'rdm'; it has \['matrix'\]"):
        prepare(SECTION, stored(matrices(1, 3, 3), key="matrix"), compute)
    with pytest.raises(FornixError, match="no subject 09: the archive has 2"):
        prepare(SECTION, stored(matrices(2, 3, 3), subject="09"), compute)
    with pytest.raises(FornixError, match="3 x 3 for 4 stimuli"):
        prepare(SECTION, stored(matrices(1, 3, 3), stimuli="abcd"), compute)
    with pytest.raises(FornixError, match="has the shape"):
        prepare(SECTION, stored(np.zeros((3, 4))), compute)
    with pytest.raises(FornixError, match="aren't dissimilarities"):
        prepare(SECTION, stored(1 - matrices(1, 3, 3)), compute)
    with pytest.raises(FornixError, match="asymmetry"):
        prepare(SECTION, stored(np.triu(matrices(1, 3, 3))), compute)
    objects = np.array([[["a"]]], dtype=object)
    with pytest.raises(FornixError, match="can't be read"):
        prepare(SECTION, stored(objects), compute)
    (tree.root / "rdms.npz").write_bytes(b"PK\x03\x04 cut short")
    material = stored(matrices(1, 3, 3))
    (tree.root / "rdms.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(FornixError, match="can't be read"):
        prepare(SECTION, material, compute)


@pytest.mark.real
def test_the_92_objects(real_data, tree, compute):
    tree.root = real_data("objects92")
    tree.recordings = [{"recording": "human_it_rdms.npz", "subject": "01"}]
    tree.stimuli = [f"object-{i:02d}" for i in range(92)]
    dataset, _ = prepare(SECTION, tree.material(), compute)
    assert dataset.sizes == {"session": 2, "stimulus": 92, "stimulus_2": 92}
