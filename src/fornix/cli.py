"""The command line: one thin command a stage, those that look before or after a run, a BIDS App."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Collection, Sequence
from importlib import import_module
from pathlib import Path

from fornix import __version__, garbage, torchrun
from fornix.commands import bids_app, crate, diff, gc, plan
from fornix.errors import FornixError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

STAGES = {
    "simulate": "write a simulated BIDS dataset with a planted truth",
    "fetch": "download a dataset from OpenNeuro",
    "ingest": "index a dataset: recordings, events, stimuli",
    "preprocess": "turn one subject's recordings into responses",
    "features": "run one model over the stimuli",
    "fit": "fit one model, to one subject or to stimuli alone",
    "evaluate": "score one fit",
    "analyse": "measure features themselves",
    "report": "write the page and the tables of a study",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; exit with 2 and one message on bad input."""
    words = sys.argv[1:] if argv is None else list(argv)
    if argv is None:
        garbage.spare_the_end()
    top, commands = _parser()
    arguments = (bids_app.parser() if bids_app.meant(words, commands) else top).parse_args(words)
    try:
        arguments.run(arguments)
        sys.stdout.flush()  # here, where a reader that has left can be told from an error
    except FornixError as error:
        print(f"fornix: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        from fornix.store.space import told

        if (known := told(error, Path.cwd())) is None:
            raise
        print(f"fornix: {known}", file=sys.stderr)
        sys.exit(2)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    return _parser()[0]


def _parser() -> tuple[argparse.ArgumentParser, Collection[str]]:
    """Return the parser, and the commands that it knows."""
    top = argparse.ArgumentParser(
        prog="fornix",
        description="A brain dataset and a set of AI models in, a reproducible study out.",
        epilog="To run a whole study: snakemake --cores 2 --configfile config/studies/NAME.yaml. "
        "As a BIDS App: fornix BIDS_DIR OUTPUT_DIR {participant,group} --study NAME "
        "(fornix participant --help).",
    )
    top.add_argument("--version", action="version", version=f"fornix {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, text: str, more: str = "") -> argparse.ArgumentParser:
        description = f"{text[0].upper()}{text[1:]}. {more}"
        return commands.add_parser(name, help=text, description=description)

    def with_study(name: str, text: str, more: str = "") -> argparse.ArgumentParser:
        one = command(name, text, more)
        one.add_argument("study", metavar="STUDY", type=Path, help="study file (YAML)")
        one.add_argument("--variant", help="one of the study's named variants")
        return one

    new = command("new", "write a commented starter study")
    new.add_argument("name", metavar="NAME", help="name of the study, such as my_study")
    new.add_argument("--folder", type=Path, default=Path("config/studies"), help="where to put it")
    new.set_defaults(run=_new)
    check = with_study("check", "check a study against its data, without running anything")
    check.set_defaults(run=_check)
    plan.add(commands)
    diff.add(commands)
    gc.add(commands)
    crate.add(commands)
    for name, text in STAGES.items():
        more = "One job of a study, by hand; the jobs above it must be done."
        if name == "features":
            stage = command(name, text, f"{more} With --list: print a model's layers instead.")
            _with_list(stage)
        else:
            stage = with_study(name, text, more)
            stage.add_argument("name", metavar="NAME", help="name in the study's section")
        if name in ("preprocess", "fit"):
            needed = name == "preprocess"  # a fit may be of a cohort, or of stimuli alone
            stage.add_argument("--subject", required=needed, help="label, without 'sub-'")
        stage.set_defaults(run=_stage, stage=name)
    small = command(
        "studies",
        "run the small variants of all studies, and their controls",
        "Writes results/index.html: each paper's claims, with their verdicts in both worlds.",
    )
    small.add_argument("names", metavar="NAME", nargs="*", help="studies; by default all")
    small.add_argument("--cores", type=int, default=2, help="cores that Snakemake may use")
    small.add_argument(
        "--folder", type=Path, default=Path("config/studies"), help="where studies lie"
    )
    small.set_defaults(run=_studies)
    show = command("show", "print an artifact's shape, section, versions and history")
    show.add_argument("path", metavar="PATH", type=Path, help="an artifact's folder or manifest")
    show.set_defaults(run=_show)
    schema = command("schema", "write the study file's JSON schema for editors")
    schema.add_argument("--check", action="store_true", help="only say if the file is current")
    schema.set_defaults(run=_schema)
    return top, commands.choices


def _with_list(stage: argparse.ArgumentParser) -> None:
    """Add what ``fornix features`` takes: a study and a name, or a model to list."""
    stage.add_argument("study", metavar="STUDY", type=Path, nargs="?", help="study file (YAML)")
    stage.add_argument("name", metavar="NAME", nargs="?", help="name in the study's section")
    stage.add_argument("--variant", help="one of the study's named variants")
    stage.add_argument("--list", metavar="MODEL", help="print layers, shapes and sizes of a model")
    stage.add_argument("--kind", default="auto", help="--list: huggingface, timm, onnx, ...")
    stage.add_argument("--modality", help="--list: image, text, audio, video or image+text")
    stage.add_argument("--revision", help="--list: revision on the hub")
    stage.add_argument("--untrained", action="store_true", help="--list: no weights are needed")


def _list(arguments: argparse.Namespace) -> None:
    from fornix.features.listing import list_layers

    settings = {key: getattr(arguments, key) for key in ("modality", "revision")}
    settings = {key: value for key, value in settings.items() if value is not None}
    settings |= {"init": "random"} if arguments.untrained else {}
    print(list_layers(arguments.list, arguments.kind, settings))


def _stage(arguments: argparse.Namespace) -> None:
    if getattr(arguments, "list", None):
        _list(arguments)
        return
    if arguments.study is None or arguments.name is None:
        problem, mend = "STUDY and NAME are needed", "or --list MODEL; see fornix features -h"
        raise FornixError(problem, where="fornix features", mend=mend)
    with garbage.unsought():
        from fornix.dag.graph import Graph
        from fornix.store import Read, Target, open_artifact
        from fornix.store.publish import publish
        from fornix.study.load import load_study
        from fornix.training.meeting import as_the_first, joined

        study = load_study(arguments.study, arguments.variant)
        # Before numpy is imported: sums must be added in the same order on any number of cores.
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(study.compute.threads)))
        label = arguments.name if arguments.stage == "report" else ""
        graph = Graph(study, label)
        job = graph.alone(arguments.stage, arguments.name, getattr(arguments, "subject", None))
    start = time.monotonic()
    needs = {need.folder: need for need in job.needs.values()}
    reads = [Read.begin(folder, need.identity) for folder, need in needs.items()]
    extra = {"study": arguments.study} if job.stage == "report" else {}
    trains = job.stage == "fit" and getattr(job.section, "trained", False)
    with joined(job.folder, study.compute, trains=trains) as folder:
        target = Target(
            folder,
            job.code.modules,
            job.code.versions,
            job.identity,
            reads,
            as_the_first,
        )
        with garbage.unsought():
            stage = import_module(f"fornix.stages.{job.stage}")
        stage.run(
            job.section,
            job.paths() | extra,
            target,
            study.compute,
            subject=job.subject,
            seed=job.seed,
        )
    if not torchrun.first():
        return
    memory = open_artifact(job.folder).manifest["provenance"]["peak_memory_mb"]
    seconds = time.monotonic() - start
    print(f"{job.title}: {job.folder} ({seconds:.1f} s, {memory:.0f} MB)", file=sys.stderr)
    if job.stage == "report":
        publish(job.folder, graph.results)
        print(f"report: {graph.results / 'report.html'}", file=sys.stderr)


def _check(arguments: argparse.Namespace) -> None:
    from fornix.dag.check import check
    from fornix.dag.graph import Graph
    from fornix.dag.workflow import study_of

    study, label = study_of({"study": arguments.study, "variant": arguments.variant})
    for line in check(Graph(study, label)):
        print(line)
    print(f"{arguments.study}: no problem found")


def _studies(arguments: argparse.Namespace) -> None:
    from fornix.dag.minis import run_all, small_studies
    from fornix.report.overview import write_overview

    for line in run_all(small_studies(arguments.folder, arguments.names), arguments.cores):
        print(line, flush=True)
    print(write_overview(Path("results")))


def _new(arguments: argparse.Namespace) -> None:
    from fornix.study.starter import write_starter

    path = write_starter(arguments.name, arguments.folder)
    print(f"wrote {path}\nnext: edit it, then `fornix check {path}`")


def _show(arguments: argparse.Namespace) -> None:
    from fornix.store.show import show

    print(show(arguments.path))


def _schema(arguments: argparse.Namespace) -> None:
    from fornix.study.schema import SCHEMA_FILE, write_schema

    changed = write_schema(SCHEMA_FILE, dry=arguments.check)
    if changed and arguments.check:
        problem = "the JSON schema isn't current"
        raise FornixError(problem, where=str(SCHEMA_FILE), mend="run `fornix schema`")
    print(f"{SCHEMA_FILE}: {'written' if changed else 'current'}")
