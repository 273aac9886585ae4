"""Reading a study and planning its jobs stay quick: no heavy library is imported for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

HEAVY = {"torch", "mne", "mne_bids", "nilearn", "transformers", "sklearn", "himalaya"}
HEAVIER_THAN_A_STUDY = HEAVY | {"numpy", "pandas", "xarray", "zarr", "scipy", "matplotlib"}


def imported_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh Python has after running some code."""
    code += "\nimport json, sys\nprint(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}
    call = [sys.executable, "-c", code]
    done = subprocess.run(call, capture_output=True, text=True, check=True, env=environment)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "module",
    [
        "fornix",
        "fornix.cli",
        "fornix.study.load",
        "fornix.study.schema",
        "fornix.study.starter",
        "fornix.store",
        "fornix.store.show",
        "fornix.seeds",
        "fornix.progress",
    ],
)
def test_light_modules_import_nothing_that_computes(module):
    found = imported_by(f"import {module}")
    assert "fornix" in found
    assert not found & HEAVIER_THAN_A_STUDY


@pytest.mark.parametrize("module", ["fornix.dag.graph", "fornix.dag.check", "fornix.dag.workflow"])
def test_the_graph_imports_nothing_heavy(module):
    assert not imported_by(f"import {module}") & HEAVY


def test_a_study_is_read_and_drawn_as_a_graph_without_them(tmp_path):
    code = f"""
from pathlib import Path
from fornix.cli import parser
from fornix.study.starter import write_starter
from fornix.study.load import load_study
from fornix.dag.graph import Graph

parser().parse_args(["plan", "study.yaml"])
study = load_study(write_starter("small", Path({str(tmp_path)!r})))
assert [job.params for job in Graph(study).jobs.values()]
"""
    assert not imported_by(code) & HEAVY
