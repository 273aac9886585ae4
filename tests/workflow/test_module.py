"""Fornix as a workflow among others: linted, found, used as a module, called anywhere."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

BIN = Path(sys.executable).parent
MODULE = """
module fornix:
    snakefile: "Snakefile"
    config: {"study": "small.yaml"}

use rule * from fornix as fornix_*

rule paper:
    default_target: True
    input: rules.fornix_all.input
    output: PAPER
    shell: "cp results/small/scores.csv {output}"
"""
STORAGE = """
storage archive:
    provider="fs"
"""
APPTAINER = """#!/bin/bash
# Runs a command where `python` is the image's, and says so.
case "$1" in
  --version) echo apptainer version 1.3.0 ;;
  exec) echo "$@" >> calls.txt; PATH="$PWD/image:$PATH" exec bash -c "${@: -1}" ;;
esac
"""


def lines(done) -> list[str]:
    return [line.strip() for line in (done.stdout + done.stderr).splitlines()]


def without_report(project):
    """Lose the last artifact of a finished project."""
    (folder,) = project.root.glob("cache/reports/small-*")
    shutil.rmtree(folder)


def test_the_workflow_passes_snakemakes_lint(finished):
    done = finished.snakemake("--lint")
    assert "Congratulations, your workflow is in a good condition!" in lines(done)


def test_the_catalogs_snakefile_is_the_same_workflow(finished):
    call = ["--snakefile", "workflow/Snakefile", "--dry-run"]
    jobs = {line.split()[0] for line in lines(finished.snakemake(*call, "--forceall")) if line}
    assert {"study", "ingest", "preprocess", "features", "fit", "evaluate", "report"} <= jobs
    assert any(line.startswith("Nothing to be done") for line in lines(finished.snakemake(*call)))


def test_another_python_makes_nothing_anew(finished, tmp_path):
    """The call of a job holds the path of the Python that runs it, and isn't compared."""
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    code = "import sys; sys.path.insert(2, sys.argv[1]); "  # behind the project's code
    code += "assert sys.executable == sys.argv[2]; "
    code += "from fornix.cli import main; main(['plan', 'small.yaml'])"
    packages = Path(find_spec("snakemake").origin).parents[1]
    done = finished.call(str(python), "-c", code, str(packages), str(python))
    assert "nothing to do" in done.stdout


def test_as_a_module_it_shares_all_with_a_direct_run(finished):
    path = finished.root / "module.smk"
    path.write_text(MODULE.replace("PAPER", '"paper/scores.csv"'))
    call = [str(BIN / "snakemake"), "--cores", "2", "--snakefile", "module.smk"]
    try:
        done = finished.call(*call, "--dry-run")
        named = [line.split()[0] for line in lines(done) if line.startswith(("fornix_", "paper"))]
        assert set(named) == {"paper"}
        without_report(finished)
        finished.call(*call)
        assert (finished.root / "paper/scores.csv").read_bytes() == (
            finished.root / "results/small/scores.csv"
        ).read_bytes()
    finally:
        path.unlink()
        shutil.rmtree(finished.root / "paper", ignore_errors=True)
    assert finished.plan() == {}


def test_results_go_to_a_storage(finished, tmp_path):
    if find_spec("snakemake_storage_plugin_fs") is None:
        pytest.skip("no snakemake-storage-plugin-fs (pip install '.[storage]')")
    if shutil.which("rsync") is None:
        pytest.skip("no rsync, which snakemake-storage-plugin-fs calls")
    path, stored = finished.root / "module.smk", tmp_path / "stored.csv"
    path.write_text(STORAGE + MODULE.replace("PAPER", f'storage.archive("{stored}")'))
    call = [str(BIN / "snakemake"), "--cores", "2", "--snakefile", "module.smk"]
    try:
        finished.call(*call)
    finally:
        path.unlink()
    assert stored.read_bytes() == (finished.root / "results/small/scores.csv").read_bytes()


def test_a_cache_in_a_storage_is_refused(finished, tmp_path):
    if find_spec("snakemake_storage_plugin_fs") is None:
        pytest.skip("no snakemake-storage-plugin-fs (pip install '.[storage]')")
    words = ["--default-storage-provider", "fs", "--default-storage-prefix", str(tmp_path)]
    done = finished.snakemake("--dry-run", *words, check=False)
    assert done.returncode == 2
    assert "artifacts are folders" in done.stderr


def test_in_a_container_jobs_are_called_by_its_own_python(finished):
    """The container is a stand-in: what Snakemake calls in it is what counts."""
    image, calls = finished.root / "image", finished.root / "calls.txt"
    image.mkdir()
    binary = image / "apptainer"
    binary.write_text(APPTAINER)
    binary.chmod(0o755)
    (image / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (image / "python").chmod(0o755)
    (finished.root / "fornix.sif").touch()
    without_report(finished)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{image}:{before}"
    try:
        finished.snakemake("--software-deployment-method", "apptainer")
        (call,) = calls.read_text().splitlines()
    finally:
        os.environ["PATH"] = before
        shutil.rmtree(image)
        calls.unlink(missing_ok=True)
        (finished.root / "fornix.sif").unlink()
    assert " fornix.sif bash -c " in call
    assert " python -m fornix report cache/studies/small-" in call
    assert sys.executable not in call
    assert finished.plan() == {}
