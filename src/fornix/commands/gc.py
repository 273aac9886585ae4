"""``fornix gc``: remove artifacts that no study and no result needs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

TEXT = "remove artifacts that no study and no result needs"
MORE = (
    "Needed is what the studies in config/studies (with all variants), those given with --keep, "
    "the results in results/ and runs that are going on are made of. Shows what would go, and asks."
)


def add(commands: Any) -> None:
    """Add the command."""
    one = commands.add_parser("gc", help=TEXT, description=f"{TEXT.capitalize()}. {MORE}")
    one.add_argument(
        "--keep",
        metavar="STUDY",
        type=Path,
        action="append",
        default=[],
        help="a study file, or a folder of them, that lies elsewhere; may be given several times",
    )
    one.add_argument(
        "--folder", type=Path, default=Path("config/studies"), help="where studies lie"
    )
    one.add_argument("--dry-run", action="store_true", help="only show what would go")
    one.add_argument("--yes", action="store_true", help="don't ask")
    one.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from fornix.dag.gc import find, lines, remove, studies_in
    from fornix.dag.workflow import CACHE
    from fornix.errors import FornixError

    folders = [one for one in [arguments.folder] if one.is_dir()]
    studies = studies_in([*folders, *arguments.keep])
    where = CACHE, studies, Path("results")
    garbage = find(*where)
    for line in lines(garbage):
        print(line)
    if arguments.dry_run or not garbage.items:
        return
    if not arguments.yes:
        if not sys.stdin.isatty():
            problem = "nothing was removed: there is nobody to ask here"
            raise FornixError(problem, where="fornix gc", mend="give --yes, or --dry-run")
        if input("remove them? [y/N] ").strip().lower() not in ("y", "yes"):
            print("nothing was removed")
            return
    removed, left = remove(garbage, *where)
    for path in left:
        print(f"kept: {path} is needed or being made now")
    print(f"removed {sum(item.artifacts for item in removed)} artifacts")
