"""Run the project's own studies through Snakemake, in a folder of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

PROJECT = Path(__file__).parents[2]
Run = Callable[..., pd.DataFrame]


@pytest.fixture(scope="session")
def run_study(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs a study and returns its scores; each runs once a session."""
    root = tmp_path_factory.mktemp("studies")
    for name in ("Snakefile", "rules", "profiles", "workflow", "config"):
        (root / name).symlink_to(PROJECT / name)
    done: dict[tuple[str, ...], pd.DataFrame] = {}

    def run(study: str, data: Path, *config: str) -> pd.DataFrame:
        key = (study, str(data), *config)
        if key not in done:
            call = [str(Path(sys.executable).parent / "snakemake"), "--cores", "2"]
            call += ["--configfile", f"config/studies/{study}.yaml"]
            call += ["--config", *config] if config else []
            environment = {
                **os.environ,
                "FORNIX_REAL_DATA": str(data.resolve()),
                "PYTHONPATH": str(PROJECT / "src"),
            }
            ran = subprocess.run(
                call, cwd=root, env=environment, capture_output=True, text=True, check=False
            )
            assert ran.returncode == 0, ran.stderr[-4000:]
            variant = "".join(f"-{word.partition('=')[2]}" for word in config)
            done[key] = pd.read_parquet(root / f"results/{study}{variant}/scores.parquet")
        return done[key]

    run.root = root  # type: ignore[attr-defined] # where results/ of the last run lie
    return run
