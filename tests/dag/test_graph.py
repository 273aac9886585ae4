"""Jobs, their folders and what they need, from the study alone."""

from __future__ import annotations

import copy

import pytest

from fornix.dag.graph import Graph
from fornix.errors import FornixError
from fornix.ingest.listing import Listing
from fornix.study.load import parse_study

STUDY = {
    "name": "small",
    "datasets": {"shapes": {"source": "simulate", "world": {"name": "shapes", "n_subjects": 2}}},
    "responses": {"betas": {"kind": "fmri", "dataset": "shapes"}},
    "features": {
        "gabor": {"kind": "gabor", "dataset": "shapes"},
        "pixels": {"kind": "pixels", "dataset": "shapes"},
    },
    "fits": {
        "one": {"kind": "ridge", "responses": "betas", "features": ["gabor"]},
        "both": {"kind": "ridge", "responses": "betas", "features": ["gabor", "pixels"]},
        "classes": {"kind": "classifier", "responses": "betas"},
    },
}


def graph(**changes):
    raw = copy.deepcopy(STUDY)
    for path, value in changes.items():
        here = raw
        *steps, last = path.split("__")
        for step in steps:
            here = here[step]
        here[last] = value
    return Graph(parse_study(raw))


def folders(found):
    return {key: job.folder for key, job in found.jobs.items()}


def test_a_job_is_made_for_every_dataset_model_fit_and_subject():
    found = graph()
    counts = {stage: len(list(found.of(stage))) for stage in ("simulate", "ingest", "features")}
    assert counts == {"simulate": 1, "ingest": 1, "features": 2}
    assert len(list(found.of("preprocess"))) == 2
    assert len(list(found.of("fit"))) == 6
    assert len(list(found.of("evaluate"))) == 3
    assert found.report.needs["scores/one"] is found.find("evaluate", "one")


def test_a_fit_needs_its_own_features_only():
    found = graph()
    assert set(found.find("fit", "one", "01").needs) == {"responses", "features/gabor"}
    assert set(found.find("fit", "classes", "01").needs) == {"responses"}


def test_whoever_reads_a_datasets_files_needs_the_job_that_makes_them():
    found = graph()
    maker = found.find("simulate", "shapes")
    for stage, name, subject in [
        ("ingest", "shapes", None),
        ("preprocess", "betas", "01"),
        ("features", "gabor", None),
    ]:
        assert maker in found.find(stage, name, subject).needs.values()


@pytest.mark.parametrize(
    ("path", "value", "moved"),
    [
        ("title", "Another", {"report"}),
        ("compute", {"memory_mb": 2000}, set()),
        ("scores", {"permutations": 7}, {"evaluate", "report"}),
        ("seed", 5, {"fit", "evaluate", "report"}),
        ("responses__betas__high_pass", 0.1, {"preprocess", "fit", "evaluate", "report"}),
    ],
)
def test_a_setting_moves_its_own_folders_and_those_below(path, value, moved):
    before, after = folders(graph()), folders(graph(**{path: value}))
    assert {key[0] for key in before if before[key] != after[key]} == moved


def test_one_models_setting_leaves_the_others_alone():
    before, after = folders(graph()), folders(graph(features__pixels__size=16))
    changed = {key[:2] for key in before if before[key] != after[key]}
    expected = {("features", "pixels"), ("fit", "both"), ("evaluate", "both"), ("report", "small")}
    assert changed == expected


def test_subjects_share_a_digest():
    found = graph()
    one, two = (found.find("fit", "one", label).folder for label in ("01", "02"))
    assert one.parent == two.parent
    assert (one.name, two.name) == ("sub-01", "sub-02")


def test_a_selection_leaves_subjects_out():
    found = graph(responses__betas__select={"subject": ["02"]})
    assert [job.subject for job in found.of("preprocess")] == ["02"]


def test_params_name_what_they_are():
    params = graph().find("fit", "one", "01").params
    assert params["section"].startswith("section: ")
    assert "features/gabor@" in params["inputs"]
    assert "fornix.models.ridge=" in params["code"]
    assert "numpy==" in params["code"]
    assert "fornix.models.rsa=" not in params["code"]


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (("fit", "on", None), ["no fit job 'on'", "one"]),
        (("fit", "one", "99"), ["subject 99", "01, 02"]),
        (("features", "gabor", "01"), ["drop --subject"]),
    ],
)
def test_a_job_that_is_not_there_says_which_are(job, words):
    with pytest.raises(FornixError) as caught:
        graph().find(*job)
    assert all(word in str(caught.value) for word in words)


def test_a_local_folder_of_a_model_counts_by_its_content(tmp_path):
    section = {"kind": "huggingface", "dataset": "shapes", "model": str(tmp_path)}
    (tmp_path / "config.json").write_text("{}")
    first = graph(features__vit=section).find("features", "vit")
    before = first.params["inputs"]  # read when it is asked for
    (tmp_path / "config.json").write_text('{"a": 1}')
    second = graph(features__vit=section).find("features", "vit")
    assert first.folder == second.folder
    assert before != second.params["inputs"]


VIT = {"kind": "huggingface", "dataset": "shapes", "model": "vit", "init": "random"}


def test_checkpoints_are_an_axis():
    section = VIT | {"model": "org/model", "init": "pretrained", "checkpoint": ["step1", "step-20"]}
    found = graph(features__vit=section, fits__one__features=["gabor", "vit"])
    assert {"vit_step1", "vit_step_20"} < {job.name for job in found.of("features")}
    needs = set(found.find("fit", "one", "01").needs)
    assert needs == {"responses", "features/gabor", "features/vit_step1", "features/vit_step_20"}
    sections = [found.find("features", name).section for name in ("vit_step1", "vit_step_20")]
    assert [one.checkpoint for one in sections] == ["step1", "step-20"]
    assert len({job.folder for job in found.of("features")}) == 4


def test_a_section_that_reads_anothers_texts_needs_it():
    captions = {"kind": "captions", "dataset": "shapes", "model": "org/blip"}
    reader = VIT | {"model": "bert", "source": "captions"}
    found = graph(features__reader=reader, features__captions=captions)
    job = found.find("features", "reader")
    assert job.needs["source/captions"] is found.find("features", "captions")
    other = graph(features__reader=reader, features__captions=captions | {"prompt": "a photo of"})
    assert other.find("features", "reader").folder != job.folder
    with pytest.raises(FornixError, match="no features named 'caption'"):
        graph(features__reader=reader | {"source": "caption"}, features__captions=captions)


def test_parts_share_the_stimuli_and_change_no_folder():
    whole = graph(features__vit=VIT)
    split = graph(features__vit=VIT | {"parts": 3})
    job = split.find("features", "vit")
    assert job.folder == whole.find("features", "vit").folder
    parts = [one for key, one in job.needs.items() if key.startswith("part/")]
    assert [one.section.part for one in parts] == ["1/3", "2/3", "3/3"]
    assert [one.name for one in parts] == ["vit.1of3", "vit.2of3", "vit.3of3"]
    assert len({one.folder for one in [job, *parts]}) == 4


def test_a_model_file_counts_by_its_content(tmp_path):
    path = tmp_path / "net.onnx"
    (tmp_path / "beside.onnx").write_bytes(b"another")
    path.write_bytes(b"one")
    section = {"kind": "onnx", "dataset": "shapes", "model": str(path)}
    first = graph(features__net=section).find("features", "net").params["inputs"]
    (tmp_path / "beside.onnx").write_bytes(b"a change that is no business of this job")
    assert graph(features__net=section).find("features", "net").params["inputs"] == first
    (tmp_path / "net.onnx_data").write_bytes(b"weights of its own")
    second = graph(features__net=section).find("features", "net").params["inputs"]
    path.write_bytes(b"two")
    third = graph(features__net=section).find("features", "net").params["inputs"]
    assert len({first, second, third}) == 3


def test_a_cohorts_fit_is_one_job_that_everybody_has_scores_from():
    """Its responses are everybody's; evaluation and report know it as the fit of each."""
    both = {"kind": "shared_trunk", "responses": "betas", "features": ["gabor"]}
    found = graph(fits__together=both)
    fit = found.find("fit", "together")
    assert fit.subject is None
    assert set(fit.needs) == {"responses/01", "responses/02", "features/gabor"}
    assert len(list(found.of("fit", "together"))) == 1
    needs = found.find("evaluate", "together").needs
    assert needs["fit/01"] is needs["fit/02"] is fit
    assert found.report.needs["fit/together/01"] is found.report.needs["fit/together/02"] is fit
    # The other fits are what they were.
    assert folders(graph())["fit", "one", "01"] == found.find("fit", "one", "01").folder


def test_a_fit_needs_the_features_that_say_where_to_look():
    looks = {"kind": "transformer_encoder", "responses": "betas", "features": ["gabor"]}
    found = graph(fits__looks=looks | {"places": "pixels"})
    assert set(found.find("fit", "looks", "01").needs) == {
        "responses", "features/gabor", "features/pixels",
    }  # fmt: skip
    with pytest.raises(FornixError, match="no features named 'places'"):
        graph(fits__looks=looks | {"places": "places"})


def test_the_weights_that_a_fit_starts_from_are_an_input(tmp_path):
    learns = {"kind": "backbone", "responses": "betas", "features": ["pixels"]}
    learns["model"] = str(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    before = graph(fits__learns=learns).find("fit", "learns", "01").params
    (tmp_path / "config.json").write_text("{ }")
    after = graph(fits__learns=learns).find("fit", "learns", "01").params
    assert before["section"] == after["section"]
    assert before["inputs"] != after["inputs"]


def test_a_job_that_is_made_alone_is_the_same():
    """A job's own process makes it and what is above it, and nothing of the others."""
    more = {
        "fits__together": {"kind": "shared_trunk", "responses": "betas", "features": ["gabor"]},
        "features__vit": VIT | {"parts": 2},
        "analyses": {"probe": {"kind": "effective_dimension", "features": ["vit"]}},
    }
    whole = graph(**more)
    for key, job in whole.jobs.items():
        one = graph(**more)
        mine = one.alone(*key)
        assert (mine.folder, mine.params, mine.paths()) == (job.folder, job.params, job.paths())
        assert ("fit", "both", "02") not in one._made or key[0] == "report" or key[1] == "both"


@pytest.mark.parametrize("job", [("fit", "one", "99"), ("fit", "one", None), ("evaluate", "on")])
def test_a_job_alone_that_is_not_there_says_which_are(job):
    with pytest.raises(FornixError, match="no"):
        graph().alone(*job)


def test_a_subjects_job_walks_through_its_own_dataset_alone_and_once(tmp_path, monkeypatch):
    for name in ("mine", "other"):
        (tmp_path / name / "sub-01").mkdir(parents=True)
    paths = {name: {"source": "local", "path": str(tmp_path / name)} for name in ("mine", "other")}
    found = graph(datasets__shapes=paths["mine"], datasets__other=paths["other"])
    walked = []

    def scan(root, *_, **__):
        walked.append(root.name)
        return Listing(root, {})

    monkeypatch.setattr("fornix.dag.sources.scan", scan)
    job = found.alone("fit", "one", "01")
    assert job.paths()
    assert not walked
    assert job.identity
    assert walked == ["mine"]
    with pytest.raises(FornixError, match="no fit job 'one'"):  # there are no recordings
        found.alone("fit", "one", "01x")
