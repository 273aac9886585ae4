"""Run the project's own studies through Snakemake, in a folder of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from fornix.dag.edit import edited

PROJECT = Path(__file__).parents[2]
Run = Callable[..., pd.DataFrame]


@pytest.fixture(scope="session")
def run_study(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs a study and returns its scores; each runs once a session."""
    root = tmp_path_factory.mktemp("studies")
    for name in ("Snakefile", "rules", "profiles", "workflow", "config"):
        (root / name).symlink_to(PROJECT / name)
    done: dict[tuple[str, ...], pd.DataFrame] = {}

    def run(study: str, data: Path, *edits: str, variant: str | None = None) -> pd.DataFrame:
        """Run a study, or a variant; ``edits`` change it as those of ``fornix plan`` do."""
        key = (study, str(data), *edits, variant or "")
        if key not in done:
            config = edited(PROJECT / f"config/studies/{study}.yaml", variant, edits)
            file = root / f"study{len(done)}.yaml"
            file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
            call = [str(Path(sys.executable).parent / "snakemake"), "--cores", "2"]
            environment = {
                **os.environ,
                "FORNIX_REAL_DATA": str(data.resolve()),
                "PYTHONPATH": str(PROJECT / "src"),
            }
            ran = subprocess.run(
                [*call, "--configfile", file.name],
                cwd=root,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, ran.stderr[-4000:]
            label = f"{study}-{variant}" if variant else study
            done[key] = pd.read_parquet(root / f"results/{label}/scores.parquet")
        return done[key]

    run.root = root  # type: ignore[attr-defined] # where results/ of the last run lie
    return run
