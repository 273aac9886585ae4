"""Fetch: a published dataset in, its BIDS tree in the cache out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from fornix.errors import FornixError
from fornix.store import Recipe, Target, adopt, create
from fornix.study.compute import Compute
from fornix.study.datasets import OpenNeuroDataset


def run(
    section: OpenNeuroDataset,
    inputs: Mapping[str, Path],
    target: Target,
    resources: Compute,
    *,
    subject: str | None = None,
    seed: int = 0,
) -> None:
    """Download the dataset that a section names.

    The download goes to a folder beside the artifact, ``.<name>.download``, which outlives a
    failure: the next run goes on where this one stopped.

    Parameters
    ----------
    section
        Accession, snapshot and subjects.
    inputs
        Empty.
    target
        The artifact; its part ``bids`` is the BIDS root.
    resources
        Not used: the network sets the pace.
    subject, seed
        Not used.

    Raises
    ------
    FornixError
        If the dataset can't be fetched.
    """
    recipe = Recipe("fetch", section.identity(), {})
    begun = target.path.with_name(f".{target.path.name}.download")
    if adopt(target, recipe):
        shutil.rmtree(begun, ignore_errors=True)  # of a job that was killed just before its end
        return
    begun.parent.mkdir(parents=True, exist_ok=True)
    import_module(f"fornix.ingest.{section.source}").fetch(section, begun)
    with create(target, recipe) as draft:
        # Links, not a move: if the commit is killed, the download is still there.
        shutil.copytree(begun, draft.file("bids"), copy_function=_link)
        files = [path for path in draft.file("bids").rglob("*") if path.is_file()]
        if not files:
            problem = "the download is empty"
            raise FornixError(problem, where=section.accession, mend="choose another tag")
        size = sum(path.stat().st_size for path in files)
        draft.note(n_files=len(files), megabytes=round(size / 1e6, 1), tag=section.tag)
    shutil.rmtree(begun, ignore_errors=True)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)
