"""``fornix plan``: which jobs would run, why, and what that would cost."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

TEXT = "print which jobs would run, and why each one"
MORE = (
    "With --edit: as if the study said so, before anything is changed. Costs come from what the "
    "jobs' provenance says of earlier runs; where there is none, they are unknown."
)


def add(commands: Any) -> None:
    """Add the command."""
    one = commands.add_parser("plan", help=TEXT, description=f"{TEXT.capitalize()}. {MORE}")
    one.add_argument("study", metavar="STUDY", type=Path, help="study file (YAML)")
    one.add_argument("--variant", help="one of the study's named variants")
    one.add_argument(
        "--edit",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a value to try, such as features.vit.layers=[3,6]; may be given several times",
    )
    one.add_argument("--costs", action="store_true", help="say what it would cost; --edit does too")
    one.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from fornix.dag.plan import plan

    costs = arguments.costs or bool(arguments.edit)
    for line in plan(arguments.study, arguments.variant, arguments.edit, costs=costs):
        print(line)
