"""``fornix export`` and ``fornix import``: a finished study in one archive, and back."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

EXPORT = "write a finished study into one archive"
EXPORT_MORE = (
    "An RO-Crate: the study, the lock of libraries, results, report and provenance, and with "
    "--caches all artifacts, so that a run elsewhere has nothing to do."
)
IMPORT = "take a study over from an archive"
IMPORT_MORE = (
    "Checks all of it, then puts study, results and artifacts into this project. Nothing in it is "
    "run or unpickled."
)


def add(commands: Any) -> None:
    """Add the two commands."""
    one = commands.add_parser(
        "export", help=EXPORT, description=f"{EXPORT.capitalize()}. {EXPORT_MORE}"
    )
    one.add_argument("study", metavar="STUDY", type=Path, help="study file (YAML)")
    one.add_argument("--variant", help="one of the study's named variants")
    one.add_argument("--caches", action="store_true", help="put the artifacts in as well")
    one.add_argument("--output", type=Path, help="the archive; by default NAME.crate.zip")
    one.add_argument("--license", help="URL or sentence; by default says that none was stated")
    one.set_defaults(run=_export)
    other = commands.add_parser(
        "import", help=IMPORT, description=f"{IMPORT.capitalize()}. {IMPORT_MORE}"
    )
    other.add_argument("archive", metavar="ARCHIVE", type=Path, help="from fornix export")
    other.add_argument(
        "--replace", action="store_true", help="take the archive's where others are here"
    )
    other.set_defaults(run=_import)


def _export(arguments: argparse.Namespace) -> None:
    from fornix.dag.costs import size
    from fornix.dag.crate import NO_LICENSE
    from fornix.dag.export import export

    path = export(
        arguments.study,
        arguments.variant,
        output=arguments.output,
        caches=arguments.caches,
        license_=arguments.license or NO_LICENSE,
    )
    print(f"wrote {path} ({size(path.stat().st_size)})")


def _import(arguments: argparse.Namespace) -> None:
    from fornix.dag.unpack import unpack

    found = unpack(arguments.archive, replace=arguments.replace)
    variant = f" --config variant={found.variant}" if found.variant else ""
    print(f"{found.label}: {found.made} artifacts put in place, {found.there} were here already")
    print(f"results/{found.label}/report.html")
    print(f"next: snakemake --cores 2 --configfile {found.study}{variant}")
