"""Full disks, read-only folders, wrong clocks, shared caches: one error, or the right bytes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from mounts import read_only, small_disk

pytestmark = pytest.mark.long


def copy_of(project, root: Path, *leave_out: str):
    """Return a copy of a project, notes of Snakemake included, without some of its artifacts."""
    drop = shutil.ignore_patterns("logs", "__pycache__")
    shutil.copytree(project.root, root, ignore=drop, symlinks=True)
    for pattern in leave_out:
        for folder in (root / "cache").glob(pattern):
            shutil.rmtree(folder)
    return type(project)(root, project.raw)


def digests(project) -> dict[str, str]:
    """Return artifact -> digest of its contents; reports tell times, and aren't among them."""
    found = [*project.root.glob("cache/*/[!.]*/manifest.json")]
    found += project.root.glob("cache/*/[!.]*/sub-*/manifest.json")
    return {
        path.parent.relative_to(project.root).as_posix(): json.loads(path.read_text())["digest"]
        for path in found
        if path.parts[-3] != "reports"
    }


def one_error(call: subprocess.CompletedProcess[str], *words: str) -> None:
    assert call.returncode == 2, call.stderr
    assert "Traceback" not in call.stderr
    assert call.stderr.count("mend:") == 1, call.stderr
    for word in words:
        assert word in call.stderr


def test_a_disk_that_is_full_and_then_has_room(finished, tmp_path):
    project = copy_of(finished, tmp_path / "project", "features/gabor-*")
    folder = project.root / "cache/features"
    kept = shutil.copytree(folder, tmp_path / "kept")
    with small_disk(folder, "10m") as disk:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        filler = disk.fill(leave=16384)
        before = sorted(folder.iterdir())
        refused = project.fornix("features", "small.yaml", "gabor", check=False)
        one_error(refused, "the disk is full", "cache/features/.gabor-", "make room")
        assert sorted(folder.iterdir()) == before, "nothing half-written is left"
        filler.unlink()
        project.fornix("features", "small.yaml", "gabor")
        assert digests(project) == digests(finished)


def test_logs_on_a_full_disk_cost_no_result(finished, tmp_path):
    project = copy_of(finished, tmp_path / "project")
    project.write({**finished.raw, "title": "Another title"})  # the report alone runs
    with small_disk(project.root / "logs", "64k") as disk:
        filler = disk.fill()
        refused = project.snakemake(check=False)
        assert refused.returncode != 0
        assert "No space left on device" in refused.stderr
        filler.unlink()
        project.snakemake()
    assert "Another title" in (project.root / "results/small/report.html").read_text()


def test_a_finished_study_in_a_read_only_cache(finished, tmp_path):
    project = copy_of(finished, tmp_path / "project")
    with read_only(project.root / "cache"):
        assert project.plan() == {}
        assert "Nothing to be done" in project.snakemake().stderr
        project.fornix("show", next(iter(digests(project))))
        project.write({**finished.raw, "scores": {"permutations": 30}})
        refused = project.snakemake(check=False)
        one_error(refused, "nothing can be written", f"{project.root}/cache/")
        assert not (project.root / "logs/evaluate").exists(), "no job was started"
    project.write()
    assert project.plan() == {}


def test_a_clock_that_was_wrong_by_an_hour(finished, tmp_path):
    project = copy_of(finished, tmp_path / "project")
    for hours in (-1, 1):
        then = time.time() + 3600 * hours
        for path in [*(project.root / "cache").rglob("*"), *(project.root / "data").rglob("*")]:
            os.utime(path, (then, then))
        assert project.plan() == {}
    project.write({**finished.raw, "title": "Another title"})
    project.snakemake()  # what is made now from what is dated in the future
    assert digests(project) == digests(finished)
    events = next((project.root / "data").rglob("*_events.tsv"))
    times, text = events.stat(), events.read_bytes()
    events.write_bytes(text.replace(b"\n12.0\t", b"\n12.1\t", 1))
    os.utime(events, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert events.read_bytes() != text
    plan = project.plan()
    assert plan["ingest shapes"].startswith("input changed: dataset:shapes")
    assert {"preprocess betas sub-01", "evaluate of_gabor"} <= set(plan)


def test_a_job_of_a_scheduler_dates_what_it_reads_and_makes(finished, tmp_path):
    project = copy_of(finished, tmp_path / "project")
    cache = project.root / "cache"
    later = time.time() + 3600
    for path in cache.rglob("manifest.json"):
        os.utime(path, (later, later))
    scores = next(cache.glob("scores/of_gabor-*"))
    only = ("--mode", "remote", "--allowed-rules", "evaluate", "--force", "--nolock")
    target = ("--target-jobs", f"evaluate:job={scores.name}", "--max-inventory-time", "0")
    done = project.snakemake(*only, *target)
    assert "older modification time" not in done.stderr
    dated = {
        path.parent.relative_to(cache).parts[0]: path.stat().st_mtime <= time.time()
        for path in cache.rglob("manifest.json")
        if "of_pixels" not in str(path)
    }
    made = {"responses": True, "fits": True, "scores": True}
    assert dated == made | {"ingest": False, "features": False, "reports": False}
    assert digests(project) == digests(finished)


def test_two_studies_at_once_in_one_cache(finished, tmp_path):
    project = copy_of(finished, tmp_path / "project", "scores/[!.]*", "reports")
    shutil.rmtree(project.root / "results")
    (project.root / "other.yaml").write_text(yaml.safe_dump({**finished.raw, "name": "other"}))
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", study],
            cwd=project.root,
            env=project.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for study in ("small.yaml", "other.yaml")
    ]
    seen: dict[Path, bytes] = {}
    while any(run.poll() is None for run in runs):
        twins = [*project.root.glob("cache/*/[!.]*/.manifest.json")]
        twins += project.root.glob("cache/*/[!.]*/sub-*/.manifest.json")
        found = {path: path.read_bytes() for path in twins if path.exists()}
        again = [path for path in found if seen.get(path, found[path]) != found[path]]
        assert not again, "what was finished was made again"
        seen |= found
        time.sleep(0.05)
    for run in runs:
        words = run.communicate()[1]
        assert run.returncode == 0, words
    assert digests(project) == digests(finished)
    small, other = (project.root / "results" / name for name in ("small", "other"))
    expected = (finished.root / "results/small/scores.csv").read_bytes()
    assert (small / "scores.csv").read_bytes() == expected
    assert (other / "report.html").exists()


def test_a_cache_that_another_checkout_has_filled(finished, tmp_path):
    """Its artifacts are taken if they are those that this one would make, and never otherwise."""
    project = copy_of(finished, tmp_path / "project")
    for name in ("cache", ".snakemake", "results"):
        shutil.rmtree(project.root / name)
    (project.root / "cache").symlink_to(finished.root / "cache")
    assert project.plan() == {}
    events = next((project.root / "data").rglob("*_events.tsv"))
    events.write_bytes(events.read_bytes().replace(b"\n12.0\t", b"\n12.1\t", 1))
    plan = project.plan()
    assert plan["ingest shapes"].startswith("made elsewhere")
    assert {"preprocess betas sub-01", "fit of_gabor sub-02", "report small"} <= set(plan)
    refused = project.fornix("fit", "small.yaml", "of_gabor", "--subject", "01", check=False)
    one_error(refused, "made from other data, settings or code", "cache/responses/betas-")
    assert finished.plan() == {}
