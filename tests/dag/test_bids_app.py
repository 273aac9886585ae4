"""A study over another folder: which recordings, which jobs, and what is refused."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import yaml

from builders import fmri_dataset
from fornix.cli import main
from fornix.commands.bids_app import meant, parser
from fornix.dag.bids_app import Request, prepare, profile, project_files
from fornix.errors import FornixError

PROJECT = Path(__file__).parents[2]


def study(**datasets):
    fit = {"kind": "ridge", "responses": "betas", "features": ["pixels"], "cv": {"n_splits": 2}}
    return {
        "name": "small",
        "datasets": datasets or {"pictures": {"source": "local", "path": "nowhere"}},
        "responses": {"betas": {"kind": "fmri", "dataset": "pictures", "rois": {}}},
        "features": {"pixels": {"kind": "pixels", "dataset": "pictures", "size": 8}},
        "fits": {"encoding": {**fit, "inner_splits": 2}},
        "variants": {"quick": {"scores": {"permutations": 7}}},
    }


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a folder with a dataset ``data`` and a study ``small.yaml``."""
    monkeypatch.chdir(tmp_path)
    fmri_dataset(tmp_path / "data", subjects=("01", "02", "03"), runs=("01",))
    Path("small.yaml").write_text(yaml.safe_dump(study()))
    return tmp_path


def run(*, group=False, bids="data", output="out", work="work", **settings):
    request = Request(**{"study": "small.yaml", **settings})
    return prepare(request, bids=Path(bids), output=Path(output), work=Path(work), group=group)


def config(found):
    return yaml.safe_load(Path(found.words[found.words.index("--configfile") + 1]).read_text())


def test_the_study_is_over_the_folder_by_a_link_in_the_work_dir(place):
    found = run()
    assert found.work == place / "work"
    assert (place / "work/bids").resolve() == place / "data"
    dataset = config(found)["datasets"]["pictures"]
    assert (dataset["source"], dataset["path"]) == ("local", "bids")
    assert str(place) not in yaml.safe_dump(config(found))


def test_participants_are_what_belongs_to_one_person(place):
    everyone = run().targets
    assert {Path(one).parent.name for one in everyone} == {"sub-01", "sub-02", "sub-03"}
    assert {Path(one).parts[1] for one in everyone} == {"responses", "fits"}
    some = run(subjects=("sub-03", "01")).targets
    assert {Path(one).parent.name for one in some} == {"sub-01", "sub-03"}
    assert set(some) < set(everyone), "their artifacts are those of the whole study"


def test_a_group_of_some_people_is_a_study_of_them(place):
    found = run(subjects=("02", "01"), group=True)
    assert found.targets == []
    assert config(found)["datasets"]["pictures"]["select"]["subject"] == ["02", "01"]
    assert found.report.is_relative_to(place / "work/cache/reports")
    assert found.report != run(group=True).report
    assert "subject" not in config(run(group=True))["datasets"]["pictures"]["select"]


def test_options_are_put_into_the_study(place):
    found = config(run(tasks=("task-look",), threads=3, seed=5, variant="quick"))
    assert found["datasets"]["pictures"]["select"] == {"task": ["look"]}
    assert (found["compute"]["threads"], found["seed"]) == (3, 5)
    assert (found["scores"]["permutations"], found["variant"]) == (7, "quick")
    assert run(variant="quick").label == "small-quick"


def test_a_filter_file_chooses_recordings_by_suffix(place):
    filters = {"bold": {"run": "01", "desc": ["preproc"], "datatype": "func"}, "t1w": {"ses": 1}}
    Path("filter.json").write_text(json.dumps(filters))
    Path("none.json").write_text('{"bold": {"task": "rest"}}')
    select = config(run(filters=Path("filter.json"), group=True))["responses"]["betas"]["select"]
    assert select == {"run": ["01"], "description": ["preproc"]}
    with pytest.raises(FornixError, match="nothing that belongs to one person"):
        run(filters=Path("none.json"))


@pytest.mark.parametrize(
    ("filters", "complaint"),
    [
        ("[", "can't be read"),
        ('["bold"]', "a filter file is a mapping"),
        ('{"bolt": {}}', "did you mean 'bold'"),
        ('{"bold": {"sesion": "1"}}', "did you mean 'session'"),
        ('{"bold": {"run": 1}}', "not a label"),
        ('{"bold": {"run": []}}', "not a label"),
    ],
)
def test_a_wrong_filter_file_is_refused(place, filters, complaint):
    Path("filter.json").write_text(filters)
    with pytest.raises(FornixError) as error:
        run(filters=Path("filter.json"))
    assert complaint in str(error.value)
    assert error.value.where == "filter.json"


def test_a_work_dir_is_of_one_dataset_which_may_be_moved(place):
    before = run().targets
    fmri_dataset(place / "other")
    with pytest.raises(FornixError, match="belongs to another dataset"):
        run(bids="other")
    (place / "data").rename(place / "moved")
    assert run(bids="moved").targets == before


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"bids": "nowhere"}, "doesn't exist"),
        ({"output": "data"}, "OUTPUT_DIR is inside BIDS_DIR"),
        ({"work": "data/work"}, "--work-dir is inside BIDS_DIR"),
        ({"study": "dem"}, "did you mean 'demo'"),
        ({"subjects": ["04"]}, "no participant '04'"),
        ({"dataset": "picture"}, "did you mean 'pictures'"),
        ({"variant": "quik"}, "did you mean 'quick'"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_written(place, settings, complaint):
    with pytest.raises(FornixError) as error:
        run(**settings)
    assert complaint in str(error.value)
    assert not (place / "out").exists()
    assert not (place / "work/studies").exists()


def test_of_several_datasets_the_one_on_disk_or_the_one_that_is_named(place):
    world = {"source": "simulate", "world": {"name": "shapes"}}
    local = {"source": "local", "path": "elsewhere"}
    Path("small.yaml").write_text(yaml.safe_dump(study(pictures=local, other=world)))
    assert config(run())["datasets"]["pictures"]["path"] == "bids"
    Path("small.yaml").write_text(yaml.safe_dump(study(pictures=world, other=world)))
    with pytest.raises(FornixError, match="several datasets"):
        run()
    found = config(run(dataset="pictures"))["datasets"]
    assert (found["pictures"]["path"], found["other"]) == ("bids", world)


def test_the_names_are_fmripreps():
    for words in (
        "--participant_label 01 sub-02 --n_cpus 2 --omp_nthreads 1 --mem_mb 900 --work_dir w",
        "--participant-label 01 sub-02 --nprocs 2 --omp-nthreads 1 --mem-mb 900 -w w",
        "--participant-label 01 sub-02 --nthreads 2 --omp-nthreads 1 --mem 900 --work-dir w",
    ):
        call = ["in", "out", "participant", "--study", "demo", *words.split()]
        found = vars(parser().parse_args(call))
        wanted = {"participant_label": ["01", "sub-02"], "cores": 2, "memory": 900}
        assert found.items() >= {**wanted, "omp_nthreads": 1, "work_dir": Path("w")}.items()


def test_a_level_makes_it_a_bids_app_unless_a_command_comes_first():
    assert meant(["in", "out", "participant"], {"fit"})
    assert meant(["--participant-label", "01", "--", "in", "out", "group"], {"fit"})
    assert not meant(["fit", "study.yaml", "group"], {"fit"})
    assert not meant([], {"fit"})


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["in", "out", "participant"], "required: --study"),
        (["in", "out", "participant", "--study", "demo", "--fs-no-reconall"], "--fs-no-reconall"),
        (["in", "out", "group", "--study", "demo", "--nprocs", "0"], "0 isn't 1 or more"),
        (["in", "out", "participant", "--study", "demo"], "the dataset's folder doesn't exist"),
    ],
)
def test_a_wrong_call_is_refused(tmp_path, monkeypatch, capsys, words, complaint):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert complaint in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_wheel_brings_what_is_run():
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]
    forced = settings["build"]["targets"]["wheel"]["force-include"]
    assert project_files() == PROJECT
    for source, target in forced.items():
        assert (PROJECT / source).exists()
        assert target == f"fornix/project/{source}"
    assert {"Snakefile", "rules", "config"} <= set(forced)
    assert profile("slurm") == str(PROJECT / "workflow/profiles/slurm")
