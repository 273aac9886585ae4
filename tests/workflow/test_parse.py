"""Parsing the workflow is light, also when the study has every kind of section."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
HEAVY = {"torch", "mne", "nilearn", "transformers", "sklearn", "matplotlib"}
PARSE = """
import sys
from pathlib import Path
from fornix.dag.plan import _dry_run
jobs = _dry_run({"study": sys.argv[1]})
assert jobs, "nothing was planned"
print(sorted(name for name in sys.modules if "." not in name))
"""


@pytest.mark.parametrize("study", ["demo", "objects92", "haxby2001", "visual_eeg"])
def test_parsing_the_snakefile_imports_nothing_heavy(study, tmp_path, real_data):
    if study != "demo":
        real_data("README.md")
    for name in ("Snakefile", "rules", "config"):
        (tmp_path / name).symlink_to(PROJECT / name)
    done = subprocess.run(
        [sys.executable, "-c", PARSE, f"config/studies/{study}.yaml"],
        cwd=tmp_path,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.strip("[]\n").replace("'", "").split(", "))
    assert "fornix" in loaded
    assert not loaded & HEAVY


def _environment():
    import os

    data = os.environ.get("FORNIX_REAL_DATA", str(PROJECT / "../shared/data"))
    return {
        **os.environ,
        "FORNIX_REAL_DATA": str(Path(data).resolve()),
        "PYTHONPATH": str(PROJECT / "src"),
        "HF_HUB_OFFLINE": "1",
    }
