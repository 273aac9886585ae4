"""Ingest: a dataset's folder in, tables of its recordings, events and stimuli out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fornix.ingest.index import build_index
from fornix.store import Recipe, Target, adopt, create
from fornix.study.compute import Compute
from fornix.study.datasets import Dataset


def run(
    section: Dataset,
    inputs: Mapping[str, Path],
    target: Target,
    resources: Compute,
    *,
    subject: str | None = None,
    seed: int = 0,
) -> None:
    """Index and check a dataset.

    Parameters
    ----------
    section
        One of the study's ``datasets``.
    inputs
        ``root``: the BIDS root, or the folder of RDMs.
    target
        The artifact: ``recordings.parquet``, ``events.parquet``, ``stimuli.parquet``,
        ``companions.parquet``, ``dataset.json`` and ``checks.json``.
    resources
        Not used: the time goes into reading files.
    subject, seed
        Not used: one job indexes all subjects, and nothing is random.

    Raises
    ------
    FornixError
        For whatever is wrong with the dataset.
    """
    index = build_index(section, inputs["root"], digests=True)
    recipe = Recipe("ingest", section.identity(), {"root": index.digest})
    if adopt(target, recipe):
        return
    with create(target, recipe) as draft:
        index.write(draft)
        draft.note(
            n_subjects=index.dataset["n_subjects"],
            n_recordings=len(index.recordings),
            n_events=len(index.events),
            n_stimuli=len(index.stimuli),
            n_companions=len(index.companions),
            checks=index.checks,
        )
