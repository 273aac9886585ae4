"""The real studies run on other datasets of the same kind: other sizes, labels and people."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pandas as pd
import pytest

from builders import write_brainvision, write_description, write_image, write_tsv
from fornix.seeds import generator

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return a folder laid out as FORNIX_REAL_DATA, with datasets unlike the shared ones."""
    root = tmp_path_factory.mktemp("other data")
    block_fmri(root / "haxby2001-slice")
    oddball_eeg(root / "visual-eeg", subjects=("A1",), labels=("target", "standard"), n_runs=1)
    oddball_eeg(root / "n170-eeg", subjects=("x", "y"), labels=("tool", "animal"), n_runs=3)
    rdms(root / "objects92")
    return root


def block_fmri(root):
    """Two people, five runs, three kinds of music; a pattern a kind, in a 6 x 5 x 4 volume."""
    write_description(root)
    kinds = ["jazz", "folk", "opera"]
    (root / "task-music_bold.json").write_text(json.dumps({"RepetitionTime": 1.5, "TaskName": "m"}))
    for subject in ("anna", "bert"):
        random = generator(0, "blocks", subject)
        patterns = random.standard_normal((3, 6, 5, 4))
        for run in range(1, 6):
            order = random.permutation(3)
            data = 500 + 3 * random.standard_normal((6, 5, 4, 80))
            for i, kind in enumerate(order):
                start = 8 + i * 24
                data[..., start : start + 14] += 2 * patterns[kind][..., None]
            stem = f"sub-{subject}_task-music_run-{run}"
            path = root / f"sub-{subject}/func/{stem}_bold.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = nibabel.Nifti1Image(data.astype(np.float32), np.diag([2.0, 2, 2, 1]))
            image.header.set_zooms((2, 2, 2, 1.5))
            nibabel.save(image, path)
            table = {
                "onset": [(8 + i * 24) * 1.5 for i in range(3)],
                "duration": [21.0] * 3,
                "trial_type": [kinds[kind] for kind in order],
            }
            write_tsv(path.with_name(f"{stem}_events.tsv"), table)


def oddball_eeg(root, *, subjects, labels, n_runs):
    """Noise: these studies have to run and find nothing."""
    write_description(root)
    for subject in subjects:
        for run in range(1, n_runs + 1):
            stem = f"sub-{subject}_task-odd" + (f"_run-{run}" if n_runs > 1 else "")
            path = root / f"sub-{subject}/eeg/{stem}_eeg.vhdr"
            random = generator(0, "oddball", subject, run)
            names = [f"E{i}" for i in range(1, 13)]
            seed = int(random.integers(1 << 30))
            write_brainvision(
                path, names=names, n_samples=200 * 120, sampling_frequency=200.0, seed=seed
            )
            sidecar = {"SamplingFrequency": 200.0, "PowerLineFrequency": 60, "TaskName": "odd"}
            sidecar |= {"EEGReference": "Cz"}
            path.with_suffix(".json").write_text(json.dumps(sidecar))
            onsets = np.arange(2, 115, 1.9)
            kinds = list(random.choice(labels, len(onsets)))
            kinds[5] = "button/left"
            table = {"onset": list(onsets), "duration": [0.1] * len(onsets), "trial_type": kinds}
            write_tsv(path.with_name(f"{stem}_events.tsv"), table)


def rdms(root):
    """Three people, one session each, 20 objects with a property of their own."""
    random = generator(0, "rdms")
    edible = np.arange(20) % 2
    model = (edible[:, None] != edible).astype(float)
    noise = random.standard_normal((3, 1, 20, 20)) * 0.4
    rdm = model + noise + noise.swapaxes(-1, -2)
    rdm[..., np.arange(20), np.arange(20)] = 0
    root.mkdir(parents=True)
    np.savez(root / "it_rdms.npz", rdm=rdm.astype(np.float32))
    for i in range(20):
        write_image(root / f"stimuli/food{i:02d}.png", seed=i)
    table = {"stim_file": [f"food{i:02d}.png" for i in range(20)], "edible": list(edible)}
    write_tsv(root / "stimuli.tsv", table)


def test_another_block_design(run_study, data):
    scores = run_study("haxby2001", data)
    found = scores.query("fit == 'decoding' and metric == 'accuracy' and unit == 'all'")
    assert list(found["subject"]) == ["anna", "bert"]
    assert found["chance"].to_numpy() == pytest.approx(1 / 3)
    assert (found["value"] > 0.9).all()


def test_another_two_eeg_datasets(run_study, data):
    scores = run_study("visual_eeg", data)
    assert set(scores.query("fit == 'category'")["subject"]) == {"x", "y"}
    rows = scores.query("metric == 'auc'")
    assert rows["p"].min() > 0.05 / len(rows), "noise was decoded"


def test_another_set_of_objects(run_study, data):
    intervals = [f"fits.{name}.bootstrap.over=none" for name in ("rsa", "rsa_shuffled")]
    scores = run_study("objects92", data, *intervals)
    group = scores.query("fit == 'rsa' and subject == 'group'").set_index("target")["value"]
    assert group["category/edible"] > 0.3
    assert "category/animate" not in group.index
    claims = pd.read_json(run_study.root / "results/objects92/claims.json")
    assert "not testable here" in set(claims["verdict"])
