"""What a study's size costs: reading it, planning it, finding it finished, and each of its jobs.

Beside a bare Snakefile of the same graph: the same rules, jobs, files, logs, resources and profile,
and nothing of Fornix. Seconds are those of whole processes, best of several: by the clock, and of a
processor, which other work on the machine changes less. Memory is the most that a process had.

- plan: ``snakemake --dry-run`` of studies of about 100, 1,000 and 10,000 jobs, none of them done;
- no-op: ``snakemake`` over 1,000 finished jobs. Below the index their artifacts are written through
  the store, and ``snakemake --touch`` notes them: what a run looks at is there, without numbers;
- jobs: fits and evaluations that really run, one after the other, against processes that do nothing
  but import the stage and run it. The bytes must be the same.

``python bench_scale.py light`` leaves out 10,000 jobs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import yaml
from measure import say

from fornix.dag.graph import Graph
from fornix.store import Recipe, Target, create
from fornix.study.load import load_study

PROJECT = Path(__file__).resolve().parents[1]
ALONE = PROJECT / "benchmarks/alone.py"
PROFILE = PROJECT / "workflow/profiles/default"
REPEATS = 3


class Size(NamedTuple):
    """How large a study is."""

    subjects: int
    features: int
    fits: int

    @property
    def jobs(self) -> int:
        """Jobs with those of the dataset, its index and the report."""
        own = self.subjects * (1 + self.fits)
        return own + self.features + self.fits + 3


SIZES = {"100": Size(6, 5, 12), "1000": Size(20, 20, 45), "10000": Size(50, 40, 194)}
FEW = Size(3, 1, 6)

BARE = """
import json

with open("study.json") as file:
    STUDY = json.load(file)
SUBJECTS, FEATURES = STUDY["subjects"], STUDY["features"]
DONE = "manifest.json"


rule all:
    input: f"cache/reports/large/{DONE}"
"""
RULE = """

rule {name}:
    input: {input}
    output: "cache/{folder}/{DONE}"
    log: "logs/{name}/{job}.log"
    benchmark: "logs/{name}/{job}.tsv"
    threads: 1
    resources: mem_mb=4000, runtime=240
    shell: "touch {{output}} 2> {{log}}"
"""
DATA = 'f"cache/datasets/shapes/{DONE}"'
INGESTED = 'f"cache/ingest/shapes/{DONE}"'
INDEX = f"{DATA}, {INGESTED}"
RESPONSES = 'expand("cache/responses/betas/sub-{subject}/manifest.json", subject=SUBJECTS)'
FITS = '"cache/fits/{{name}}/sub-{subject}/manifest.json", subject=SUBJECTS'
ALL_FITS = FITS.replace("{{name}}", "{name}") + ", name=FEATURES"
BRAIN = '"cache/responses/betas/sub-{subject}/manifest.json"'
MODEL = 'lambda wildcards: f"cache/features/{FEATURES[wildcards.name]}/{DONE}"'
EVERY_MODEL = 'expand("cache/features/{name}/manifest.json", name=set(FEATURES.values()))'
EVERY_SCORE = 'expand("cache/scores/{name}/manifest.json", name=FEATURES)'
EVERYTHING = f"{INGESTED}, {RESPONSES}, expand({ALL_FITS}), {EVERY_MODEL}, {EVERY_SCORE}"
RULES = {
    "simulate": ("datasets/shapes", ""),
    "ingest": ("ingest/shapes", DATA),
    "preprocess": ("responses/betas/sub-{subject}", INDEX),
    "features": ("features/{name}", INDEX),
    "fit": ("fits/{name}/sub-{subject}", f"{BRAIN}, {MODEL}"),
    "evaluate": ("scores/{name}", f"{RESPONSES}, expand({FITS})"),
    "report": ("reports/large", EVERYTHING),
}
"""Rule -> where its jobs' folders are, and what they need."""


def main(*, light: bool) -> None:
    """Measure, print the table and one line a goal."""
    print("| jobs | Fornix: by the clock (processor), memory | bare Snakemake |")
    print("|---|---|---|")
    for name, size in SIZES.items():
        if not (light and size.jobs > 5000):
            with tempfile.TemporaryDirectory() as folder:
                plan(name, size, Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        finished(SIZES["1000"], Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        one_by_one(FEW, Path(folder))


def plan(name: str, size: Size, folder: Path) -> None:
    """Measure the dry run of a study of which nothing is done."""
    found = {}
    for kind in ("fornix", "bare"):
        place = write(kind, size, folder / kind)
        first = snakemake(kind, place, "--dry-run")
        counted = int(first.said.split("\ntotal")[-1].split()[0])
        assert counted == size.jobs + 1, (kind, counted, size.jobs)  # and the rule all
        found[kind] = [snakemake(kind, place, "--dry-run") for _ in range(REPEATS)]
        if kind == "fornix":
            print(f"the first time, when the study is new: {first.wall:.2f} s")
    busy = {kind: min(run.busy for run in runs) for kind, runs in found.items()}
    most = {kind: max(run.megabytes for run in runs) for kind, runs in found.items()}
    cells = [
        f"{min(run.wall for run in runs):.2f} s ({busy[kind]:.2f} s) {most[kind]:.0f} MB"
        for kind, runs in found.items()
    ]
    print(f"| {size.jobs} | {' | '.join(cells)} |", flush=True)
    say(f"dry_run_of_{name}_jobs", busy["fornix"] / busy["bare"], "x", 2)
    say(f"memory_of_{name}_jobs", most["fornix"] / most["bare"], "x", 2)


def finished(size: Size, folder: Path) -> None:
    """Measure a run that finds all done."""
    found = {}
    for kind in ("fornix", "bare"):
        place = write(kind, size, folder / kind)
        if kind == "fornix":
            snakemake(kind, place, "--cores", "2", "--until", "ingest")
            subprocess.run([sys.executable, __file__, "fill"], cwd=place, check=True)
            snakemake(kind, place, "--cores", "1", "--touch")
        else:
            snakemake(kind, place, "--cores", "2")
        runs = [snakemake(kind, place, "--cores", "1") for _ in range(REPEATS)]
        assert all("Nothing to be done" in run.said for run in runs), runs[0].said
        found[kind] = min(run.wall for run in runs)
    print(f"nothing to do, {size.jobs} jobs: {found['fornix']:.2f} s, bare {found['bare']:.2f} s")
    say(f"noop_of_{round(size.jobs, -3)}_jobs", found["fornix"], "s", 3)


def one_by_one(size: Size, folder: Path) -> None:
    """Measure what a job takes beyond its stage."""
    place = write("fornix", size, folder)
    snakemake("fornix", place, "--cores", "2", "--until", "preprocess", "features")
    for stage in ("fit", "evaluate"):
        until = ("--until", stage)
        start = snakemake("fornix", place, "--dry-run", *until).wall
        through = snakemake("fornix", place, "--cores", "1", *until).wall - start
        call = [sys.executable, __file__, "jobs", stage]
        listed = subprocess.run(call, cwd=place, capture_output=True, text=True, check=True)
        jobs = json.loads(listed.stdout)
        alone = []
        for job in jobs:
            alone.append(watched([sys.executable, str(ALONE), json.dumps(job)], place).wall)
            digests = {read_digest(place / path) for path in (job["folder"], job["target"])}
            assert len(digests) == 1, job
        lines = [path.read_text().split("\n")[1] for path in place.glob(f"logs/{stage}/**/*.tsv")]
        commands = [float(line.split("\t")[0]) for line in lines]
        assert len(commands) == len(jobs), lines
        own = (through - sum(commands)) / len(jobs)  # Snakemake's, between the commands
        added = median(commands) - median(alone) + own
        print(
            f"{len(jobs)} jobs of {stage}, medians: the stage alone {median(alone):.2f} s, the "
            f"command {median(commands):.2f} s; {own:.2f} s of Snakemake's own for each"
        )
        say(f"added_to_each_{stage}", added, "s", 0.3)


class Run(NamedTuple):
    """What a process took with those that it started, and what it said.

    Attributes
    ----------
    wall, busy
        Seconds by the clock, and of a processor.
    megabytes
        The most memory that one of the processes had.
    said
        What was printed.
    """

    wall: float
    busy: float
    megabytes: float
    said: str


def snakemake(kind: str, folder: Path, *words: str) -> Run:
    """Run Snakemake on one of the two."""
    call = [sys.executable, "-m", "snakemake", "--profile", str(PROFILE), *words]
    if kind == "fornix":
        call += ["--snakefile", str(PROJECT / "Snakefile"), "--configfile", "large.yaml"]
    return watched(call, folder)


def watched(call: list[str], folder: Path) -> Run:
    """Run a process; fail if it fails."""
    with (folder / "said.txt").open("w+") as said:
        start = time.perf_counter()
        process = subprocess.Popen(call, cwd=folder, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read()
    if process.returncode:
        raise RuntimeError(text)
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000, text)


def write(kind: str, size: Size, folder: Path) -> Path:
    """Write a study, or the Snakefile of its graph."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = study(size)
    if kind == "fornix":
        (folder / "large.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
        return folder
    used = {name: fit["features"][0] for name, fit in raw["fits"].items()}
    subjects = [f"{k + 1:02d}" for k in range(size.subjects)]
    (folder / "study.json").write_text(json.dumps({"subjects": subjects, "features": used}))
    rules = []
    for name, (place, needs) in RULES.items():
        job = place.partition("/")[2]
        text = RULE.format(name=name, folder=place, job=job, input=needs, DONE="manifest.json")
        rules.append(text if needs else text.replace("    input: \n", ""))
    (folder / "Snakefile").write_text(BARE + "".join(rules))
    return folder


def study(size: Size) -> dict[str, Any]:
    """Return a study of small pictures, small recordings and many ridge regressions."""
    world = {"name": "shapes", "n_subjects": size.subjects, "n_sessions": 1, "n_runs": 2}
    world |= {"n_images": 24, "n_voxels": 8, "image_size": 32}
    pictures = {"kind": "pixels", "dataset": "shapes"}
    ridge = {"kind": "ridge", "responses": "betas", "inner_splits": 3, "cv": {"n_splits": 3}}
    fits = {
        f"fit{k}": {**ridge, "features": [f"size{k % size.features}"]}
        | {"alphas": [0, 4, 5 + k // size.features]}
        for k in range(size.fits)
    }
    return {
        "name": "large",
        "datasets": {"shapes": {"source": "simulate", "world": world}},
        "responses": {"betas": {"kind": "fmri", "dataset": "shapes", "rois": {}}},
        "features": {f"size{k}": {**pictures, "size": 4 + k} for k in range(size.features)},
        "fits": fits,
        "scores": {"permutations": 20},
        "compute": {"device": "cpu"},
    }


def graph() -> Graph:
    """Return the graph of the study in this folder."""
    return Graph(load_study("large.yaml"))


def fill() -> None:
    """Write an artifact for every job of the study in this folder that has none, with no data."""
    for job in graph().jobs.values():
        if job.manifest.exists():
            continue
        target = Target(job.folder, job.code.modules, job.code.versions, job.identity)
        with create(target, Recipe(job.stage, {}, {})) as draft:
            draft.write_json("report.html", job.title)


def jobs(stage: str) -> None:
    """Print what the jobs of a stage are given, and another place for what they make."""
    listed = [
        {
            "stage": stage,
            "section": job.section.model_dump(mode="json"),
            "inputs": {key: str(path) for key, path in job.paths().items()},
            "folder": str(job.folder),
            "target": str(Path("alone") / job.folder.relative_to("cache")),
            "subject": job.subject,
        }
        for job in graph().of(stage)
    ]
    print(json.dumps(listed))


def read_digest(folder: Path) -> str:
    """Return the digest of an artifact's contents."""
    return str(json.loads((folder / "manifest.json").read_text())["digest"])


if __name__ == "__main__":
    task, *rest = sys.argv[1:] or [""]
    if task == "fill":
        fill()
    elif task == "jobs":
        jobs(rest[0])
    else:
        main(light=task == "light")
