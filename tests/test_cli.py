"""The command line: every command helps, and bad input ends with 2 and one message."""

from __future__ import annotations

import os
import subprocess
import sys
from types import ModuleType

import pytest

from fornix import __version__
from fornix.cli import STAGES, THREAD_VARIABLES, main
from fornix.dag.graph import STAGES as GRAPH_STAGES
from fornix.dag.graph import Graph
from fornix.store import Recipe, Target, adopt, create, open_artifact
from fornix.study.load import load_study

COMMANDS = ["new", "check", "plan", *STAGES, "studies", "show", "schema"]
COMMANDS += ["diff", "gc", "export", "import"]


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """Work in an empty folder, and leave the environment as it was."""
    monkeypatch.chdir(tmp_path)
    for variable in THREAD_VARIABLES:
        monkeypatch.setenv(variable, "1")
    return tmp_path


@pytest.fixture
def fornix(capsys):
    """Return a function that runs a command: (exit status, stdout, stderr)."""

    def run(*words: str) -> tuple[int, str, str]:
        status = 0
        try:
            main(words)
        except SystemExit as end:
            status = int(end.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_help_lists_every_command(fornix):
    status, out, _ = fornix("--help")
    assert status == 0
    for name in COMMANDS:
        assert f"\n    {name}" in out
    assert "snakemake --cores 2 --configfile" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_helps(fornix, name):
    status, out, _ = fornix(name, "--help")
    assert status == 0
    assert out.startswith(f"usage: fornix {name}")
    assert len(out.splitlines()) > 4


def test_every_stage_is_a_command():
    assert tuple(STAGES) == GRAPH_STAGES


def test_the_version_is_said(fornix):
    assert fornix("--version") == (0, f"fornix {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("fti",), "invalid choice: 'fti'"),
        (("check",), "required: STUDY"),
        (("preprocess", "study.yaml", "betas"), "required: --subject"),
        (("report", "study.yaml", "small", "--subject", "01"), "unrecognized arguments"),
    ],
)
def test_a_wrong_call_is_refused(fornix, words, complaint):
    status, _, err = fornix(*words)
    assert status == 2
    assert complaint in err


def test_a_new_study_is_written_once(fornix, project):
    status, out, _ = fornix("new", "mine")
    assert status == 0
    assert (project / "config" / "studies" / "mine.yaml").exists()
    assert "wrote config/studies/mine.yaml" in out
    assert "fornix check config/studies/mine.yaml" in out
    status, out, err = fornix("new", "mine")
    assert (status, out) == (2, "")
    assert err.startswith("fornix: the study is there already\n  where: config/studies/mine.yaml")
    status, _, err = fornix("new", "my-study", "--folder", "elsewhere")
    assert status == 2
    assert "can't name a study" in err
    assert not (project / "elsewhere").exists()


@pytest.mark.parametrize("command", [("check",), ("plan",), ("fit", "encoding", "--subject", "01")])
def test_a_bad_study_ends_with_2_and_one_message(fornix, project, command):
    fornix("new", "mine")
    path = project / "config" / "studies" / "mine.yaml"
    path.write_text(path.read_text().replace("method: lsa", "methd: lsa"), encoding="utf-8")
    status, out, err = fornix(command[0], "config/studies/mine.yaml", *command[1:])
    assert (status, out) == (2, "")
    assert err.startswith("fornix: one problem in the study file\n")
    assert "samples.methd: unknown key; did you mean 'method'?" in err
    assert "Traceback" not in err
    assert sorted(one.name for one in project.iterdir()) == ["config"], "nothing was half-written"


def test_a_missing_study_or_variant_ends_with_2(fornix):
    status, _, err = fornix("check", "nowhere.yaml")
    assert status == 2
    assert "can't read the study file" in err
    fornix("new", "mine")
    status, _, err = fornix("check", "config/studies/mine.yaml", "--variant", "full")
    assert status == 2
    assert "no variant 'full'" in err


def test_a_good_study_passes_the_check(fornix):
    fornix("new", "mine")
    status, out, _ = fornix("check", "config/studies/mine.yaml")
    assert status == 0
    assert "datasets.data: not made yet" in out
    assert out.endswith("config/studies/mine.yaml: no problem found\n")


def test_a_plan_needs_the_project(fornix):
    fornix("new", "mine")
    status, _, err = fornix("plan", "config/studies/mine.yaml")
    assert status == 2
    assert "there is no Snakefile here" in err


def test_a_job_that_the_study_does_not_have_is_named(fornix):
    fornix("new", "mine")
    status, _, err = fornix("features", "config/studies/mine.yaml", "gabr")
    assert status == 2
    assert "the study has no features job 'gabr'" in err
    assert "did you mean 'gabor'?" in err
    status, _, err = fornix("preprocess", "config/studies/mine.yaml", "betas", "--subject", "9")
    assert status == 2
    assert "give --subject, one of: 01, 02" in err


def test_a_stage_is_run_with_its_section_and_one_thread(fornix, monkeypatch):
    """The stage is a stand-in: what it is given is what counts."""
    given = {}

    def run(section, inputs, target, resources, *, subject=None, seed=0):
        given.update(section=section, inputs=inputs, subject=subject, seed=seed)
        given["threads"] = [os.environ[variable] for variable in THREAD_VARIABLES]
        recipe = Recipe("features", section.identity(), {})
        if not adopt(target, recipe):
            with create(target, recipe) as draft:
                draft.write_json("a.json", 1)

    stage = ModuleType("fornix.stages.features")
    stage.run = run
    monkeypatch.setitem(sys.modules, "fornix.stages.features", stage)
    for variable in THREAD_VARIABLES:
        monkeypatch.setenv(variable, "8")
    fornix("new", "mine")
    job = Graph(load_study("config/studies/mine.yaml")).find("features", "gabor")
    for need in job.needs.values():  # stand-ins too
        with create(Target(need.folder, identity=need.identity), Recipe(need.stage, {}, {})):
            pass
    status, out, err = fornix("features", "config/studies/mine.yaml", "gabor")
    assert (status, out) == (0, "")
    assert err.startswith(f"features gabor: {job.folder} (")
    assert given["section"].kind == "gabor"
    assert set(given["inputs"]) == {"dataset", "ingest", "root"}
    assert (given["subject"], given["threads"]) == (None, ["1", "1", "1"])
    recipe = open_artifact(job.folder).manifest["recipe"]
    assert recipe["code"] == job.code.modules
    assert recipe["versions"] == job.code.versions


def test_a_models_layers_are_listed(fornix, tmp_path):
    import transformers

    config = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config |= {"intermediate_size": 32, "image_size": 32, "patch_size": 8}
    transformers.ViTConfig(**config).save_pretrained(tmp_path / "vit")
    status, out, err = fornix("features", "--list", str(tmp_path / "vit"), "--untrained")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "layers: all (4)"
    assert lines[2].split()[:5] == ["1", "block1", "17", "x", "16"]
    assert any(line.split()[:4] == ["attention2", "17", "x", "34"] for line in lines)
    (dense,) = [line for line in lines if line.split()[:1] == ["layers.1.mlp.fc1"]]
    assert dense.split()[1:] == ["17", "x", "32", "2.1", "KiB", "Linear", "544", "parameters"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--list", "no/such/folder"], "there is no model folder"),
        (["--list", "vitt", "--untrained"], "did you mean 'vit'"),
        (["--list", "vit", "--kind", "tim"], "timm"),
        ([], "STUDY and NAME are needed"),
    ],
)
def test_models_that_cannot_be_listed(fornix, words, complaint):
    status, out, err = fornix("features", *words)
    assert (status, out) == (2, "")
    assert complaint in err


def test_an_artifact_is_shown(fornix, project):
    with create(Target(project / "made"), Recipe("fit", {"kind": "ridge"}, {})) as draft:
        draft.write_json("a.json", 1)
    status, out, _ = fornix("show", "made")
    assert status == 0
    assert "ridge" in out
    status, _, err = fornix("show", "elsewhere")
    assert status == 2
    assert err.startswith("fornix: no artifact here")


def test_the_schema_is_written_and_checked(fornix, project):
    path = "workflow/schemas/study.schema.json"
    status, _, err = fornix("schema", "--check")
    assert status == 2
    assert "isn't current" in err
    assert not (project / path).exists()
    assert fornix("schema") == (0, f"{path}: written\n", "")
    assert fornix("schema", "--check") == (0, f"{path}: current\n", "")
    assert fornix("schema") == (0, f"{path}: current\n", "")


def test_python_m_and_a_reader_that_leaves_early(project):
    """``fornix ... | head`` ends without a traceback."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}
    with create(Target(project / "made"), Recipe("fit", {"kind": "ridge"}, {})) as draft:
        draft.write_json("a.json", 1)
    environment.pop("PYTHONUNBUFFERED", None)
    read, write = os.pipe()
    os.close(read)
    call = [sys.executable, "-m", "fornix", "show", "made"]
    done = subprocess.run(call, stdout=write, stderr=subprocess.PIPE, check=False, env=environment)
    os.close(write)
    assert done.stderr == b""
    assert done.returncode == 0
