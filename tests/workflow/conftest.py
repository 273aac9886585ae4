"""A copy of the project with a small local dataset, and a study that was run once."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
COPIED = ("Snakefile", "rules", "workflow", "profiles", "config", "src")


def study() -> dict[str, Any]:
    """Return a raw study whose every stage takes seconds."""
    ridge = {"kind": "ridge", "responses": "betas", "inner_splits": 3}
    return {
        "name": "small",
        "datasets": {"shapes": {"source": "local", "path": "data/shapes"}},
        "responses": {"betas": {"kind": "fmri", "dataset": "shapes", "rois": {}}},
        "features": {
            "gabor": {"kind": "gabor", "dataset": "shapes", "size": 32, "n_levels": 2, "grid": 4},
            "pixels": {"kind": "pixels", "dataset": "shapes", "size": 8},
        },
        "fits": {
            "of_gabor": {**ridge, "features": ["gabor"], "cv": {"n_splits": 3}},
            "of_pixels": {**ridge, "features": ["pixels"], "cv": {"n_splits": 3}},
        },
        "scores": {"permutations": 20},
        "claims": [
            {
                "text": "Gabor energy predicts V1.",
                "test": "above_chance",
                "scores": {"fit": "of_gabor", "metric": "pearson_r", "unit": "V1"},
            }
        ],
    }


@dataclass
class Project:
    """A checkout of its own: its code and its data can be edited."""

    root: Path
    raw: dict[str, Any] = field(default_factory=study)

    @property
    def file(self) -> Path:
        return self.root / "small.yaml"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.root / "src"), "HF_HUB_OFFLINE": "1"}

    def write(self, raw: dict[str, Any] | None = None) -> None:
        self.file.write_text(yaml.safe_dump(raw or self.raw, sort_keys=False))

    def copy(self, root: Path, *leave_out: str) -> Project:
        """Return a copy elsewhere, without what these patterns name."""
        drop = shutil.ignore_patterns("__pycache__", *leave_out)
        shutil.copytree(self.root, root, ignore=drop, symlinks=True)
        return Project(root, self.raw)

    def begun(self, root: Path, *leave_out: str) -> Project:
        """Return a copy without results and notes, and without these parts of its cache."""
        found = self.copy(root, "results", ".snakemake", "logs")
        for pattern in leave_out:
            for folder in (root / "cache").glob(pattern):
                shutil.rmtree(folder)
        return found

    def digest(self, pattern: str) -> str:
        """Return the digest of the contents of an artifact."""
        path = next(self.root.glob(f"cache/{pattern}/manifest.json"))
        found: str = json.loads(path.read_text())["digest"]
        return found

    @contextmanager
    def running(self, *words: str, succeeds: bool = True) -> Iterator[subprocess.Popen[bytes]]:
        """Run Snakemake beside the test; at the end it must have succeeded, unless it needn't."""
        with (self.root / "run.txt").open("w") as said:
            run = subprocess.Popen(
                [str(BIN / "snakemake"), "--configfile", "small.yaml", *words],
                cwd=self.root,
                env=self.environment,
                stdout=said,
                stderr=said,
            )
            try:
                yield run
                code = run.wait(timeout=600)
            finally:
                run.kill()
                run.wait()
        assert code == 0 or not succeeds, (self.root / "run.txt").read_text()

    def call(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            words,
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        if check and done.returncode:
            pytest.fail(f"{' '.join(words)} exited {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def snakemake(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        call = [str(BIN / "snakemake"), "--cores", "2", "--configfile", "small.yaml", *words]
        return self.call(*call, check=check)

    def fornix(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.call(sys.executable, "-m", "fornix", *words, check=check)

    def plan(self) -> dict[str, str]:
        """Return job -> cause, as ``fornix plan`` prints them."""
        lines = self.fornix("plan", "small.yaml").stdout.splitlines()
        pairs = (line.partition("  ") for line in lines if "  " in line)
        return {job.strip(): cause.strip() for job, _, cause in pairs}


def make_project(root: Path) -> Project:
    from fornix.simulate import shapes
    from fornix.study.worlds.shapes import ShapesWorld

    root.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        if (PROJECT / name).is_dir() and not (PROJECT / name).is_symlink():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(PROJECT / name, root / name, ignore=ignore)
        else:
            shutil.copy2(PROJECT / name, root / name, follow_symlinks=False)
    world = ShapesWorld(
        name="shapes", n_subjects=2, n_sessions=1, n_runs=2, n_images=24, n_voxels=8, image_size=32
    )
    (root / "data").mkdir()
    shapes.write(world, root / "data/shapes")
    project = Project(root)
    project.write()
    return project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project whose study has been run; tests leave it as they found it.

    Of several processes that test, the first one to come runs it, and each gets a copy.
    """
    own = tmp_path_factory.mktemp("finished") / "project"
    if "PYTEST_XDIST_WORKER" not in os.environ:
        project = make_project(own)
        project.snakemake()
        return project
    shared = tmp_path_factory.getbasetemp().parent / "finished"
    with shared.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.exists():
            unfinished = shared.with_suffix(".partial")
            shutil.rmtree(unfinished, ignore_errors=True)
            make_project(unfinished).snakemake()
            unfinished.rename(shared)
    return Project(shared).copy(own)


@pytest.fixture(scope="session")
def project_factory():
    """Return the function that makes a project which hasn't been run."""
    return make_project
