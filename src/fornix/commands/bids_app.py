"""``fornix BIDS_DIR OUTPUT_DIR participant``: a study over any BIDS folder, called as a BIDS App.

Options have fMRIPrep's names, in each of its spellings, where they mean something here.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from fornix import __version__

LEVELS = ("participant", "group")


def meant(words: Sequence[str], commands: Collection[str]) -> bool:
    """Return whether a command line is that of a BIDS App: a level, and no command first."""
    return bool(set(words) & set(LEVELS)) and words[0] not in commands


def parser() -> argparse.ArgumentParser:
    """Return the parser of such a command line."""
    top = argparse.ArgumentParser(
        prog="fornix",
        allow_abbrev=False,
        description="Run a study over a BIDS dataset, in the place of the study's own.",
        epilog="participant makes responses and fits, and the features that they need; group "
        "makes all of the study, and takes over what participant has made in the work dir.",
    )
    top.add_argument("bids_dir", metavar="BIDS_DIR", type=Path, help="root of the dataset")
    top.add_argument(
        "output_dir", metavar="OUTPUT_DIR", type=Path, help="where reports and tables go"
    )
    top.add_argument("level", choices=LEVELS, help="which jobs: one person's each, or all")
    top.add_argument("--version", action="version", version=f"fornix {__version__}")

    what = top.add_argument_group("what is run")
    what.add_argument(
        "--study", required=True, metavar="NAME", help="study that comes with Fornix, or a file"
    )
    what.add_argument("--variant", help="one of the study's named variants")
    what.add_argument(
        "--dataset", metavar="NAME", help="which of the study's datasets BIDS_DIR stands for"
    )
    what.add_argument("--random-seed", type=int, metavar="N", help="seed in place of the study's")

    select = top.add_argument_group("which recordings")
    _add(
        select,
        "participant-label",
        nargs="+",
        metavar="LABEL",
        help="people, with or without 'sub-'; participant: those to work on; group: a study of "
        "them alone",
    )
    _add(select, "session-label", nargs="+", metavar="LABEL", help="sessions to use")
    _add(select, "task-id", "-t", nargs="+", metavar="TASK", help="tasks to use")
    _add(
        select,
        "bids-filter-file",
        type=Path,
        metavar="FILE",
        help='JSON of entities by suffix, such as {"bold": {"run": ["1"]}}',
    )
    _add(
        select,
        "skip-bids-validation",
        action="store_true",
        help="there is no validator to skip; what the study reads is always checked",
    )

    how = top.add_argument_group("how it is run")
    _add(how, "work-dir", "-w", type=Path, default=Path("work"), metavar="DIR", help="the cache")
    how.add_argument(
        *_spellings("nprocs"),
        *_spellings("nthreads"),
        *_spellings("n-cpus"),
        dest="cores",
        type=_count,
        metavar="N",
        help="cores that all jobs share; by default all of the machine",
    )
    _add(how, "omp-nthreads", type=_count, metavar="N", help="threads of a job")
    how.add_argument(
        *_spellings("mem-mb"),
        "--mem",
        dest="memory",
        type=_count,
        metavar="N",
        help="memory that all jobs share, MB",
    )
    how.add_argument("--profile", help="Snakemake profile: a folder, or slurm or generic")
    how.add_argument("-n", "--dry-run", action="store_true", help="only say what would be run")
    top.set_defaults(run=_run)
    return top


def _spellings(name: str) -> list[str]:
    return list(dict.fromkeys([f"--{name}", f"--{name.replace('-', '_')}"]))


def _add(group: argparse._ArgumentGroup, name: str, *short: str, **settings: Any) -> None:
    group.add_argument(*short, *_spellings(name), **settings)


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        msg = f"{text} isn't 1 or more"
        raise argparse.ArgumentTypeError(msg)
    return value


def _run(arguments: argparse.Namespace) -> None:
    from fornix.dag import bids_app

    request = bids_app.Request(
        study=arguments.study,
        variant=arguments.variant,
        dataset=arguments.dataset,
        subjects=tuple(arguments.participant_label or ()),
        sessions=tuple(arguments.session_label or ()),
        tasks=tuple(arguments.task_id or ()),
        filters=arguments.bids_filter_file,
        threads=arguments.omp_nthreads,
        seed=arguments.random_seed,
    )
    run = bids_app.prepare(
        request,
        bids=arguments.bids_dir,
        output=arguments.output_dir,
        work=arguments.work_dir,
        group=arguments.level == "group",
    )
    call = [sys.executable, "-m", "snakemake", *run.words, *_limits(arguments)]
    status = subprocess.run([*call, "--", *run.targets], check=False, cwd=run.work).returncode
    if status:
        sys.exit(status)  # Snakemake has said why
    if not arguments.dry_run:
        for line in run.publish():
            print(line)


def _limits(arguments: argparse.Namespace) -> list[str]:
    """Return what Snakemake may use, in its words."""
    from fornix.dag.bids_app import profile

    cores = arguments.cores or (None if arguments.profile else os.cpu_count() or 1)
    words = ["--cores", str(cores)] if cores else []
    words += ["--profile", profile(arguments.profile)] if arguments.profile else []
    words += ["--resources", f"mem_mb={arguments.memory}"] if arguments.memory else []
    return words + (["--dry-run"] if arguments.dry_run else [])
