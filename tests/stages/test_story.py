"""A story, from the dataset's folder to scores: every stage, with a planted answer."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from nilearn.glm.first_level import compute_regressor

from fornix.stages import evaluate, features, fit, ingest, preprocess
from fornix.store import Target, open_artifact
from fornix.study.compute import Compute
from fornix.study.datasets import LocalDataset
from fornix.study.features.words import WordFeatures
from fornix.study.fits.ridge import RidgeFit
from fornix.study.responses import TimeseriesResponses
from fornix.study.scores import Evaluation, Scores

TR, N = 2.0, 150
SUBJECTS = ("01", "02", "03")
TEXT = [
    *("I", "unquestionably", "saw", "a", "remarkable", "crocodile", "by", "it", "and", "he"),
    *("is", "chameleon", "to", "me", "a"),
]


@pytest.fixture(scope="module")
def bids(tmp_path_factory):
    """Write a story: one region follows the words' length, one nothing; onsets are irregular."""
    root = tmp_path_factory.mktemp("story")
    rng = np.random.default_rng(0)
    words = rng.choice(TEXT, 400)
    onset = np.sort(rng.uniform(0, N * TR - 15, 400))
    table = pd.DataFrame({"onset": onset, "duration": 0.2, "trial_type": "word", "word": words})
    table.to_csv(root / "task-story_events.tsv", sep="\t", index=False)
    (root / "dataset_description.json").write_text(json.dumps({"Name": "s", "BIDSVersion": "1.9"}))
    (root / "task-story_timeseries.json").write_text(json.dumps({"RepetitionTime": TR}))
    condition = np.stack([onset, np.full(400, 0.2), [len(word) for word in words]])
    heard = compute_regressor(condition, "spm", TR * np.arange(N))[0][:, 0]
    for subject in SUBJECTS:
        folder = root / f"sub-{subject}/func"
        folder.mkdir(parents=True)
        noise = rng.normal(size=(N, 2))
        reads = (heard - heard.mean()) / heard.std() + noise[:, 0]
        courses = pd.DataFrame({"reads": 100 + reads, "rests": 100 + noise[:, 1]})
        name = f"sub-{subject}_task-story_timeseries.tsv"
        courses.round(4).to_csv(folder / name, sep="\t", index=False)
    return root


def judged(root, out, subjects, section, **responses):
    """Run every stage; return the scores by metric, target, unit and subject."""
    source = {"column": "word", "modality": "word"}
    dataset = LocalDataset(source="local", path=str(root), stimuli=source)
    ingest.run(dataset, {"root": root}, Target(out / "ingest"), Compute())
    given = {"root": root, "ingest": out / "ingest"}
    words = WordFeatures(kind="words", dataset="story")
    features.run(words, given, Target(out / "words"), Compute())
    prepare = TimeseriesResponses(kind="timeseries", dataset="story", **responses)
    inputs = {}
    for subject in subjects:
        prepared, fitted = out / f"r{subject}", out / f"f{subject}"
        preprocess.run(prepare, given, Target(prepared), Compute(), subject=subject)
        read = {"responses": prepared, "features/words": out / "words"}
        fit.run(section, read, Target(fitted), Compute(), subject=subject)
        inputs |= {f"responses/{subject}": prepared, f"fit/{subject}": fitted}
    evaluation = Evaluation(fit=section, scores=Scores(permutations=100))
    target = Target(out / "main-0123456789ab")
    evaluate.run(evaluation, inputs, target, Compute())
    keys = ["metric", "target", "unit", "subject"]
    return open_artifact(target.path).table("scores").set_index(keys)["value"].sort_index()


@pytest.fixture(scope="module")
def scores(bids, tmp_path_factory):
    section = RidgeFit(kind="ridge", responses="r", features=["words"], joint=True)
    return judged(bids, tmp_path_factory.mktemp("out"), SUBJECTS, section, high_pass=None)


def test_the_length_of_words_is_found_where_it_was_planted(scores):
    # Signal and noise have one variance: r = 1 / sqrt(2) at best.
    reads = scores["pearson_r", "words/length", "reads"]
    assert (reads[list(SUBJECTS)] > 0.55).all()
    assert reads["group"] > 0.7
    rests = scores["pearson_r", "words/length", "rests"]
    assert rests[list(SUBJECTS)].abs().mean() < 0.2


def test_length_adds_to_rate_and_frequency_and_they_do_not_add_to_it(scores):
    own = scores["unique_r2"].drop(index="rests", level="unit").groupby("target").mean()
    assert own["words/length"] > 0.02
    assert own["words/length"] > 5 * max(own["words/rate"], own["words/frequency"], 0)


def test_subjects_predict_one_another_where_they_follow_the_story(scores):
    assert scores["isc", "others", "reads"].mean() == pytest.approx(1 / np.sqrt(3), abs=0.1)
    assert abs(scores["isc", "others", "rests"].mean()) < 0.2


@pytest.mark.real
@pytest.mark.long
def test_alice_reaches_what_a_plain_analysis_gives(real_data, tmp_path):
    """Reference: scipy and scikit-learn on the same files, with more regressors than here."""
    root = real_data("alice-fmri")
    subjects = sorted(path.name.removeprefix("sub-") for path in root.glob("sub-*"))
    align = {"method": "lanczos", "delays": [2, 4, 6, 8]}
    section = RidgeFit(kind="ridge", responses="r", features=["words"], align=align)
    found = judged(root, tmp_path, subjects, section, high_pass=0.01, confounds=[])
    regions = ("LATL", "RATL", "LPTL", "LIPL", "LPreM", "LIFG")
    between = {region: found["isc", "others", region].mean() for region in regions}
    expected = dict(zip(regions, (0.25, 0.20, 0.38, 0.23, 0.22, 0.18), strict=True))
    assert between == pytest.approx(expected, abs=0.03)
    plain = dict(zip(regions, (0.26, 0.07, 0.38, 0.35, 0.33, 0.29), strict=True))
    for region, r in plain.items():
        assert found["pearson_r", "words/rate", region, "group"] > r - 0.03
