"""``fornix diff``: what tells two runs of a study apart."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

TEXT = "compare two runs of a study"
MORE = (
    "Each is a folder of results, or a study file, whose newest run here is meant. Says what "
    "differs in settings, inputs, versions, code and scores."
)


def add(commands: Any) -> None:
    """Add the command."""
    one = commands.add_parser("diff", help=TEXT, description=f"{TEXT.capitalize()}. {MORE}")
    one.add_argument("a", metavar="A", type=Path, help="results/NAME, or a study file")
    one.add_argument("b", metavar="B", type=Path, help="the same of the other run")
    one.add_argument("--variant", help="variant of those that are study files")
    one.add_argument("--top", type=int, default=10, help="--json: how many largest differences")
    one.add_argument("--json", action="store_true", help="print all of it as JSON")
    one.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from fornix.dag.diff import diff, lines

    found = diff(arguments.a, arguments.b, variant=arguments.variant, top=arguments.top)
    if arguments.json:
        print(json.dumps(found, indent=1, allow_nan=False))
        return
    for line in lines(found):
        print(line)
