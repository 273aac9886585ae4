"""Which small studies there are, and how they are run."""

from __future__ import annotations

import sys

import pytest

from fornix.dag import minis
from fornix.dag.minis import run_all, small_studies
from fornix.errors import FornixError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "big.yaml").write_text("name: big\n")
    (tmp_path / "one.yaml").write_text("name: one\nvariants:\n  mini: {}\n  full: {}\n")
    (tmp_path / "two.yaml").write_text("name: two\nvariants:\n  mini: {}\n  mini_control: {}\n")
    return tmp_path


def test_small_variants_and_their_controls_are_found(folder):
    found = [(path.stem, variant) for path, variant in small_studies(folder)]
    assert found == [("one", "mini"), ("two", "mini"), ("two", "mini_control")]
    assert [path.stem for path, _ in small_studies(folder, ["two"])] == ["two", "two"]


def test_a_study_without_a_small_variant_is_refused_by_name(folder):
    with pytest.raises(FornixError, match=r"(?s)no study 'tow'.*two"):
        small_studies(folder, ["tow"])


def test_each_is_run_by_snakemake_and_the_first_failure_ends_it(folder, monkeypatch):
    called = []

    class Ran:
        returncode = 0

    def run(call, check):
        called.append(call)
        ran = Ran()
        ran.returncode = int("variant=mini_control" in call)
        return ran

    monkeypatch.setattr(minis.subprocess, "run", run)
    lines = run_all(small_studies(folder), 3)
    assert next(lines) == "one, mini: done"
    assert next(lines) == "two, mini: done"
    with pytest.raises(FornixError, match="mini_control"):
        next(lines)
    study = str(folder / "one.yaml")
    assert called[0] == [
        *(sys.executable, "-m", "snakemake", "--cores", "3", "--configfile", study),
        *("--config", "variant=mini"),
    ]
