"""Kill whatever a study runs on, every few seconds, until it is done; then look for damage.

On a real Slurm of one node (:mod:`one_node_slurm`). By hand::

    python tests/workflow/chaos.py --study demo --seeds 0-19 --folder /tmp/chaos

runs the study once in peace, and once for each seed while jobs, processes of jobs, the node,
Slurm's controller and Snakemake itself are killed. Each must end in the bytes of the quiet run,
with nothing finished made twice and nothing left over.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parents[2]
sys.path[:0] = [str(PROJECT / "tests")]

from one_node_slurm import ENDED, Slurm, cluster, missing  # noqa: E402 - found by the line above

COPIED = ("Snakefile", "rules", "workflow", "profiles", "config", "src")
ON_SLURM = (
    *("--profile", "workflow/profiles/slurm", "--slurm-status-command", "squeue"),
    *("--slurm-init-seconds-before-status-checks", "7", "--latency-wait", "5"),
)
PAUSE_S = (3.0, 20.0)
"""Shortest and longest time between two kills, s."""
TEND_S = 3.0
STUCK_S = 100.0
"""A Snakemake that finishes nothing for so long waits for a job that Slurm has lost."""
IDLE_S = 30.0
"""So does one that has no job in Slurm for so long; a start takes less."""
GIVE_UP_S = 3600.0
VICTIMS = {"job": 3, "process": 4, "controller": 2, "snakemake": 2, "node": 1}
"""Who is killed, and how often by comparison."""

TINY: dict[str, Any] = {
    "name": "tiny",
    "datasets": {
        "shapes": {
            "source": "simulate",
            "world": {
                **{"name": "shapes", "n_subjects": 1, "n_sessions": 1, "n_runs": 2},
                **{"n_images": 24, "n_voxels": 8, "image_size": 32},
            },
        }
    },
    "responses": {"betas": {"kind": "fmri", "dataset": "shapes", "rois": {}}},
    "features": {"pixels": {"kind": "pixels", "dataset": "shapes", "size": 8}},
    "fits": {
        "encoding": {
            **{"kind": "ridge", "responses": "betas", "features": ["pixels"]},
            **{"inner_splits": 3, "cv": {"n_splits": 3}},
        }
    },
    "scores": {"permutations": 20},
    "claims": [],
}


@dataclass
class Outcome:
    """What happened in one run, and what is wrong with what it left."""

    seed: int
    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    stuck: int = 0
    left: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        kills = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        verdict = "; ".join(self.problems) or "the same bytes, nothing made twice, nothing left"
        return (
            f"seed {self.seed}: {self.seconds:.0f} s, {sum(self.kills.values())} kills ({kills}), "
            f"{self.starts} starts of Snakemake ({self.stuck} for lost jobs), "
            f"{len(self.left)} files for gc: {verdict}"
        )


@dataclass(frozen=True)
class Place:
    """A folder with a copy of the project, in which one study is run."""

    root: Path
    study: str
    label: str

    @classmethod
    def make(cls, root: Path, study: str, variant: str | None) -> Place:
        """Copy the project; ``study`` is ``tiny`` or one of ``config/studies``.

        A copy that is there is updated, and keeps its cache.
        """
        root.mkdir(parents=True, exist_ok=True)
        for name in COPIED:
            source = PROJECT / name
            if source.is_dir() and not source.is_symlink():
                drop = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, root / name, ignore=drop, dirs_exist_ok=True)
            elif not (root / name).is_symlink():
                shutil.copy2(source, root / name, follow_symlinks=False)
        file = f"config/studies/{study}.yaml"
        if study == "tiny":
            (root / file).write_text(yaml.safe_dump(TINY, sort_keys=False))
        return cls(root, file, f"{study}-{variant}" if variant else study)

    @property
    def environment(self) -> dict[str, str]:
        """The copy's code, and no network."""
        return {**os.environ, "PYTHONPATH": str(self.root / "src"), "HF_HUB_OFFLINE": "1"}

    def call(self, *words: str) -> list[str]:
        """Return the words that run the study."""
        variant = self.label.partition("-")[2]
        study = ["--configfile", self.study]
        study += ["--config", f"variant={variant}"] if variant else []
        return [sys.executable, "-m", "snakemake", *words, *study]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the study on this machine, in peace."""
        return subprocess.run(
            self.call("--cores", "1", *words),
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def fornix(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one of Fornix's commands."""
        return subprocess.run(
            [sys.executable, "-m", "fornix", *words],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def finished(self) -> dict[str, bytes]:
        """Return artifact -> its manifest as it was first written, by which two makings differ."""
        twins = [*self.root.glob("cache/*/*/.manifest.json")]
        twins += self.root.glob("cache/*/*/sub-*/.manifest.json")
        found = {}
        for twin in twins:
            if not any(part.startswith(".") for part in twin.relative_to(self.root).parts[:-1]):
                with suppress(FileNotFoundError):
                    found[twin.parent.relative_to(self.root).as_posix()] = twin.read_bytes()
        return found

    def digests(self) -> dict[str, str]:
        """Return artifact -> digest of its contents; of a report, which tells times, of results."""
        found = {}
        for name, text in self.finished().items():
            manifest = json.loads(text)
            report = manifest["recipe"]["stage"] == "report"
            results = [manifest["parts"].get(part) for part in ("scores.csv", "claims.json")]
            found[name] = str(results) if report else manifest["digest"]
        return found

    @property
    def scores(self) -> bytes:
        """The table of scores that the study ended in."""
        return (self.root / "results" / self.label / "scores.csv").read_bytes()


def leftovers(root: Path) -> list[str]:
    """Return the files of ``cache/`` and ``results/`` that belong to no artifact and no workflow.

    Locks stay by design (deleting one could give two processes two files of one name), and so does
    what is known of files, code, studies and checks.
    """
    known = {one for name in ("listings", "code") for one in root.glob(f"cache/{name}/*.json")}
    known |= {*root.glob("cache/studies/*.yaml")}
    known |= {one for one in root.glob("cache/checks/*") if not one.name.startswith(".")}
    manifests = [*root.glob("cache/*/*/manifest.json"), *root.glob("cache/*/*/sub-*/manifest.json")]
    for manifest in [*manifests, *root.glob("results/*/manifest.json")]:
        if manifest.parent.name.startswith("."):
            continue
        known |= {manifest, manifest.with_name(".manifest.json")}
        for part in json.loads(manifest.read_text())["parts"]:
            path = manifest.parent / part
            inside = [path] if path.is_file() else path.rglob("*")
            known |= {one for one in inside if one.suffix not in (".partial", ".tmp")}
    found = [*(root / "cache").rglob("*"), *(root / "results").rglob("*")]
    return sorted(
        path.relative_to(root).as_posix()
        for path in found
        if path.is_file() and path not in known and path.suffix != ".lock"
    )


class Chaos:
    """One run of a study under kills that a seed chooses.

    Parameters
    ----------
    place
        Where.
    slurm
        The cluster.
    seed
        What decides who is killed and when.
    pause_s
        Shortest and longest time between two kills, s.
    """

    def __init__(
        self, place: Place, slurm: Slurm, seed: int, pause_s: tuple[float, float] = PAUSE_S
    ) -> None:
        self.place, self.slurm, self.pause_s = place, slurm, pause_s
        self.random = random.Random(seed)
        self.outcome = Outcome(seed)
        self.seen: dict[str, bytes] = {}
        self.snakemake: subprocess.Popen[bytes] | None = None

    def run(self, quiet: Place) -> Outcome:
        """Run the study to its end, and compare what it left with the quiet run."""
        begun = progress = time.monotonic()
        idle_since: float | None = None
        kill_at, tend_at = begun + self._pause(), begun + TEND_S
        with (self.place.root / "chaos.txt").open("ab") as self.said:
            self._start()
            while True:
                time.sleep(0.2)
                now = time.monotonic()
                if self._look():
                    progress, idle_since = now, None
                code = self.snakemake.poll() if self.snakemake else None
                if code == 0:
                    break
                if now - begun > GIVE_UP_S:
                    self.outcome.problems.append("it didn't end")
                    break
                if code is not None:
                    self._start()
                    idle_since = None
                elif now - progress > STUCK_S or now - (idle_since or now) > IDLE_S:
                    self.outcome.stuck += 1
                    self._kill_snakemake()
                    self._start()
                    progress, idle_since = now, None
                elif now > kill_at:
                    self._kill()
                    kill_at = time.monotonic() + self._pause()
                elif now > tend_at:
                    self._tend()
                    idle_since = None if self._jobs_left() else idle_since or now
                    tend_at = time.monotonic() + TEND_S
        self.outcome.seconds = time.monotonic() - begun
        self._let_jobs_end()
        self._judge(quiet)
        return self.outcome

    def _pause(self) -> float:
        return self.random.uniform(*self.pause_s)

    def _start(self) -> None:
        self.outcome.starts += 1
        self.snakemake = subprocess.Popen(
            self.place.call(*ON_SLURM),
            cwd=self.place.root,
            env=self.place.environment,
            stdout=self.said,
            stderr=self.said,
            start_new_session=True,
        )

    def _look(self) -> bool:
        """Note what is finished; return whether there is more than before."""
        found = self.place.finished()
        for name, text in found.items():
            if self.seen.get(name, text) != text:
                self.outcome.problems.append(f"{name} was finished, and was made again")
        new = not self.seen.keys() >= found.keys()
        self.seen |= found
        return new

    def _kill(self) -> None:
        victim = self.random.choices([*VICTIMS], [*VICTIMS.values()])[0]
        if getattr(self, f"_kill_{victim}")():
            self.outcome.kills[victim] += 1
            self._say(f"killed: {victim}")

    def _kill_job(self) -> bool:
        running = [job["JobId"] for job in self._jobs() if job["JobState"] == "RUNNING"]
        if running:
            with suppress(RuntimeError):  # it has ended since
                self.slurm.call("scancel", self.random.choice(running))
        return bool(running)

    def _kill_process(self) -> bool:
        processes = sorted(self.slurm.processes())
        if processes:
            with suppress(ProcessLookupError):
                os.kill(self.random.choice(processes), signal.SIGKILL)
        return bool(processes)

    def _kill_controller(self) -> bool:
        self.slurm.kill_controller()
        time.sleep(self.random.uniform(0, 2))
        self.slurm.start_controller()
        return True

    def _kill_node(self) -> bool:
        self.slurm.kill_node()
        time.sleep(self.random.uniform(0, 2))
        self._tend()
        self.slurm.start_node()
        return True

    def _kill_snakemake(self) -> bool:
        assert self.snakemake is not None
        self.snakemake.kill()
        self.snakemake.wait()
        return True  # the loop starts it again

    def _tend(self) -> None:
        with suppress(RuntimeError, subprocess.TimeoutExpired):  # what Slurm is too busy for
            self.slurm.tend()

    def _jobs_left(self) -> list[str]:
        """Jobs that have not ended."""
        return [job["JobId"] for job in self._jobs() if job["JobState"] not in ENDED]

    def _jobs(self) -> list[dict[str, str]]:
        with suppress(RuntimeError, subprocess.TimeoutExpired):
            return self.slurm.jobs()
        return []

    def _let_jobs_end(self) -> None:
        """Wait for jobs of a Snakemake that was killed; they adopt what others have made."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            self._tend()
            left = self._jobs_left()
            if not left:
                return
            time.sleep(1)
        self.slurm.call("scancel", *left)
        time.sleep(8)

    def _judge(self, quiet: Place) -> None:
        problems, place = self.outcome.problems, self.place
        self._look()
        again = place.run()
        if again.returncode or "Nothing to be done" not in again.stderr:
            self._say(again.stdout + again.stderr)
            problems.append("a further run had something to do")
        self._look()
        self.outcome.left = leftovers(place.root)
        cleaned = place.fornix("gc", "--yes")
        if cleaned.returncode:
            problems.append(f"gc failed: {cleaned.stderr.strip()}")
        if left := leftovers(place.root):
            problems.append(f"left over: {', '.join(left)}")
        expected, found = quiet.digests(), place.digests()
        if lost := sorted(expected.keys() - found.keys()):
            problems.append(f"lost: {', '.join(lost)}")
        if other := sorted(
            name for name in expected.keys() & found if expected[name] != found[name]
        ):
            problems.append(f"other bytes: {', '.join(other)}")
        if not lost and place.scores != quiet.scores:
            problems.append("other scores")

    def _say(self, text: str) -> None:
        with (self.place.root / "chaos.txt").open("a") as said:
            said.write(f"chaos: {text}\n")


def seeds_of(text: str) -> list[int]:
    """Return the seeds that ``0-19`` or ``3`` means."""
    first, _, last = text.partition("-")
    return [*range(int(first), int(last or first) + 1)]


def main() -> None:
    """Run by hand."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the cluster must be stopped
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--study", default="tiny", help="tiny, or one of config/studies")
    parser.add_argument("--variant")
    parser.add_argument("--seeds", type=seeds_of, default=[0], help="such as 0-19")
    parser.add_argument(
        "--folder", type=Path, required=True, help="to work in; what ran in peace there is kept"
    )
    given: Mapping[str, Any] = vars(parser.parse_args())
    if reason := missing():
        sys.exit(f"no Slurm here: {reason}")
    folder: Path = given["folder"].absolute()
    begun = time.monotonic()
    quiet = Place.make(folder / "quiet", given["study"], given["variant"])
    done = quiet.run()
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    print(f"quiet: {time.monotonic() - begun:.0f} s, {len(quiet.digests())} artifacts", flush=True)
    shutil.rmtree(folder / "slurm", ignore_errors=True)  # of a call that was interrupted
    failed = 0
    # As many jobs at a time as there are cores: more would each take longer, and die more often.
    with cluster(folder / "slurm", os.cpu_count() or 1) as slurm:
        for seed in given["seeds"]:
            shutil.rmtree(folder / f"seed-{seed}", ignore_errors=True)
            place = Place.make(folder / f"seed-{seed}", given["study"], given["variant"])
            outcome = Chaos(place, slurm, seed).run(quiet)
            print(outcome, flush=True)
            failed += bool(outcome.problems)
            if not outcome.problems:
                shutil.rmtree(place.root)
    print(f"{len(given['seeds']) - failed} of {len(given['seeds'])} seeds passed", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
