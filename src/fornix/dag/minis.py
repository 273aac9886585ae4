"""Run the small variants of all studies: worlds where the claims hold, and their controls."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from fornix.errors import FornixError, did_you_mean

VARIANTS = ("mini", "mini_control")


def small_studies(folder: Path, names: Sequence[str] = ()) -> list[tuple[Path, str]]:
    """Return (study file, variant) of all small variants in a folder.

    Parameters
    ----------
    folder
        Where study files lie.
    names
        The studies wanted; by default all that have a variant ``mini``.

    Raises
    ------
    FornixError
        If a study that is named has no small variant.
    """
    found = {
        path.stem: [(path, one) for one in VARIANTS if one in _variants(path)]
        for path in sorted(folder.glob("*.yaml"))
    }
    known = [name for name, runs in found.items() if runs]
    for name in names:
        if name not in known:
            problem = f"there is no study '{name}' with a variant mini"
            raise FornixError(problem, where=str(folder), mend=did_you_mean(name, known))
    return [run for name in (names or known) for run in found[name]]


def run_all(runs: Sequence[tuple[Path, str]], cores: int) -> Iterator[str]:
    """Run each through Snakemake; yield a line a run.

    Raises
    ------
    FornixError
        If one fails; Snakemake has said why.
    """
    for path, variant in runs:
        call = [sys.executable, "-m", "snakemake", "--cores", str(cores)]
        call += ["--configfile", str(path), "--config", f"variant={variant}"]
        if subprocess.run(call, check=False).returncode:
            problem = f"the study failed in its variant {variant}"
            raise FornixError(problem, where=str(path), mend="see Snakemake's messages above")
        yield f"{path.stem}, {variant}: done"


def _variants(path: Path) -> dict[str, object]:
    study = yaml.safe_load(path.read_text(encoding="utf-8"))
    return dict(study.get("variants") or {}) if isinstance(study, dict) else {}
