"""Bad input: one message that names file, row or field and the mend; exit code 2; nothing run."""

from __future__ import annotations

import copy
import shutil

import nibabel
import numpy as np
import pandas as pd
import pytest

from fornix.dag.check import check
from fornix.dag.graph import Graph
from fornix.errors import FornixError
from fornix.study.load import load_study


@pytest.fixture(scope="module")
def pristine(tmp_path_factory, project_factory):
    return project_factory(tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def project(pristine, tmp_path, monkeypatch):
    """Return a project of one's own to spoil."""
    shutil.copytree(pristine.root, tmp_path / "project", symlinks=True)
    monkeypatch.chdir(tmp_path / "project")
    return type(pristine)(tmp_path / "project", copy.deepcopy(pristine.raw))


def first(project, pattern):
    return sorted((project.root / "data/shapes").rglob(pattern))[0]


def edit_events(project, change):
    path = first(project, "sub-02*_events.tsv")
    table = pd.read_csv(path, sep="\t")
    table = change(table)
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")


def set_cell(row, column, value):
    def change(table):
        table[column] = table[column].astype(object)
        table.loc[row, column] = value
        return table

    return change


def truncate(path, share=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def spoil_shape(project):
    path = first(project, "sub-02*_bold.nii.gz")
    image = nibabel.load(path)
    data = np.asarray(image.dataobj)[:-1]
    nibabel.save(nibabel.Nifti1Image(data, image.affine, image.header), path)


def study(project, **sections):
    for section, value in sections.items():
        project.raw[section] = value
    project.write()


def one_class(project):
    for path in (project.root / "data/shapes").rglob("*_events.tsv"):
        table = pd.read_csv(path, sep="\t").assign(trial_type="same")
        table.to_csv(path, sep="\t", index=False)
    fit = {"kind": "classifier", "responses": "betas"}
    study(project, fits={"decoding": fit}, claims=[])


def missing_model(project):
    section = {"kind": "huggingface", "dataset": "shapes", "model": "nobody/no-such-model"}
    project.raw["features"]["vit"] = section
    project.write()


def hide(project, pattern):
    for path in sorted((project.root / "data/shapes").rglob(pattern)):
        path.unlink()


CASES = {
    "unknown key": (
        lambda p: study(p, feature={}),
        ["small.yaml", "feature", "did you mean 'features'?"],
    ),
    "wrong type": (
        lambda p: study(p, seed="many"),
        ["small.yaml:", "seed", "many"],
    ),
    "folder missing": (
        lambda p: shutil.rmtree(p.root / "data/shapes"),
        ["data/shapes", "doesn't exist", "mend"],
    ),
    "not BIDS": (
        lambda p: (p.root / "data/shapes/dataset_description.json").unlink(),
        ["data/shapes", "dataset_description.json"],
    ),
    "nothing matches": (
        lambda p: p.raw["responses"]["betas"].update(select={"task": ["shape"]}) or p.write(),
        ["responses.betas", "shape", "shapes"],
    ),
    "no events": (lambda p: hide(p, "sub-02*_events.tsv"), ["sub-02", "events.tsv"]),
    "no onset column": (
        lambda p: edit_events(p, lambda t: t.rename(columns={"onset": "start"})),
        ["sub-02", "events.tsv", "onset", "start"],
    ),
    "onset NaN": (
        lambda p: edit_events(p, set_cell(3, "onset", "n/a")),
        ["sub-02", "events.tsv", "row", "onset"],
    ),
    "onset beyond the end": (
        lambda p: edit_events(p, set_cell(3, "onset", 99999.0)),
        ["sub-02", "events.tsv", "99999"],
    ),
    "stimulus missing": (
        lambda p: edit_events(p, set_cell(3, "stim_file", "nowhere.png")),
        ["events.tsv", "nowhere.png"],
    ),
    "stimulus outside": (
        lambda p: edit_events(p, set_cell(3, "stim_file", "../../../etc/passwd")),
        ["events.tsv", "../../../etc/passwd", "outside"],
    ),
    "stimulus unreadable": (
        lambda p: first(p, "stimuli/*.png").write_bytes(b"not a picture"),
        [".png", "mend"],
    ),
    "truncated NIfTI": (
        lambda p: truncate(first(p, "sub-02*_bold.nii.gz")),
        ["sub-02", "bold.nii.gz", "mend"],
    ),
    "corrupt NIfTI": (
        lambda p: first(p, "sub-02*_bold.nii.gz").write_bytes(b"\x00" * 4000),
        ["sub-02", "bold.nii.gz", "mend"],
    ),
    "shapes differ": (spoil_shape, ["sub-02", "run-01", "run-02", "shape"]),
    "one class": (one_class, ["fits.decoding", "trial_type", "same"]),
    "model not here": (missing_model, ["nobody/no-such-model", "mend"]),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_message_before_any_work(project, name):
    spoil, words = CASES[name]
    spoil(project)
    with pytest.raises(FornixError) as caught:
        list(check(Graph(load_study("small.yaml"))))
    message = str(caught.value)
    assert caught.value.mend
    missing = [word for word in words if word.lower() not in message.lower()]
    assert not missing, message


@pytest.mark.parametrize("name", ["unknown key", "onset beyond the end"])
def test_exit_code_2_and_nothing_written(project, name):
    CASES[name][0](project)
    for call in (
        project.fornix("check", "small.yaml", check=False),
        project.snakemake(check=False),
    ):
        assert call.returncode == 2, call.stderr
        assert "Traceback" not in call.stderr
        assert "mend:" in call.stderr
    kept = {path.name for path in (project.root / "cache").glob("*")} - {
        "code",
        "listings",
        "studies",
    }
    assert not kept
    assert not (project.root / "results").exists()


def test_a_study_that_passed_is_not_checked_again(project, monkeypatch):
    from fornix.dag import check as module

    graph = Graph(load_study("small.yaml"))
    module.check_cached(graph)
    monkeypatch.setattr(module, "check", lambda graph: pytest.fail("checked again"))
    module.check_cached(graph)
    edit_events(project, set_cell(3, "trial_type", "other"))
    with pytest.raises(BaseException, match="checked again"):
        module.check_cached(Graph(load_study("small.yaml")))
