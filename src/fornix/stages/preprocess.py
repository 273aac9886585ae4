"""``preprocess``: one subject's recordings to responses, ready for a model."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from fornix.errors import FornixError
from fornix.ingest.index import Index
from fornix.ingest.select import select_events, select_recordings
from fornix.preprocess.material import Material, text
from fornix.preprocess.volumes import VOLUMES, shown_events
from fornix.store import Recipe, Target, adopt, create, open_artifact
from fornix.store.digests import combine, file_digest
from fornix.study.base import EventSelect
from fornix.study.compute import Compute
from fornix.study.responses import FmriResponses, RdmResponses, Responses

CHUNKED_ALONG = {
    "eeg": "sample",
    "meg": "sample",
    "fmri": "unit",
    "timeseries": "unit",
    "rdms": "session",
}
"""Solvers read blocks of voxels, and whole epochs."""


def run(
    section: Responses,
    inputs: Mapping[str, Path],
    target: Target,
    resources: Compute,
    *,
    subject: str | None = None,
    seed: int = 0,
) -> None:
    """Write ``responses.zarr`` of one subject; with volumes for samples, ``events.parquet`` too.

    Parameters
    ----------
    section
        The settings; their ``kind`` names the module that does the work.
    inputs
        ``root``: the dataset's folder. ``ingest``: its index.
    target
        The artifact.
    resources
        Threads.
    subject
        Label without ``sub-``.
    seed
        Unused: nothing here is random.

    Raises
    ------
    FornixError
        If nothing of this subject was selected, or the recordings can't be prepared.
    """
    del seed
    if subject is None:
        problem = "preprocess works on one subject"
        raise FornixError(problem, mend="name a subject")
    kind = importlib.import_module(f"fornix.preprocess.{section.kind}")
    index = Index.read(open_artifact(inputs["ingest"]))
    material = gather(
        section, index, inputs["root"], subject, suffix=kind.SUFFIX, companions=kind.COMPANIONS
    )
    recipe = Recipe(
        "preprocess", section.identity() | {"subject": subject}, _digests(section, material)
    )
    if adopt(target, recipe):
        return
    with create(target, recipe) as draft:
        with threadpool_limits(resources.threads):
            dataset, notes = kind.prepare(section, material, resources)
        draft.write_dataset("responses", dataset, along=CHUNKED_ALONG[section.kind])
        if dataset.attrs.get("samples") == VOLUMES:
            draft.write_table("events", shown_events(material.events))
        draft.note(**notes)


def gather(
    section: Responses,
    index: Index,
    root: Path,
    subject: str,
    *,
    suffix: str,
    companions: frozenset[str],
) -> Material:
    """Return the subject's share of an index.

    Parameters
    ----------
    section
        The settings, which select recordings and events.
    index
        The dataset's index.
    root
        The dataset's folder.
    subject
        Label without ``sub-``.
    suffix
        BIDS suffix of the recordings.
    companions
        BIDS suffixes of the further files that this kind reads.
    """
    recordings, events, others = index.recordings, index.events, index.events[:0]
    if isinstance(section, RdmResponses):
        recordings = recordings[recordings["suffix"] == suffix]
    else:
        where = f"responses ({section.dataset}): select"
        recordings = select_recordings(recordings, section.select, suffix=suffix, where=where)
    mine = recordings[recordings["subject"] == subject].reset_index(drop=True)
    if mine.empty:
        known = ", ".join(sorted({str(label) for label in recordings["subject"]}))
        problem = f"the selection has no {suffix} recording of sub-{subject}"
        mend = f"choose from: {known}"
        raise FornixError(problem, where=f"responses ({section.dataset})", mend=mend)
    events = events[events["recording"].isin(list(mine["recording"]))].reset_index(drop=True)
    if not isinstance(section, RdmResponses):
        where = f"responses ({section.dataset}): events of sub-{subject}"
        # Rest goes on without events.
        silent = events.empty and getattr(section, "continuous", False)
        chosen = events if silent else select_events(events, section.events, where)
        if isinstance(section, FmriResponses) and not section.continuous:
            others = _others(events, chosen, section.events, where)
        events = chosen
    of_subject = index.companions["subject"].map(text).isin([subject, ""])
    wanted = index.companions["suffix"].isin(list(companions)) & of_subject
    return Material(
        root=root,
        subject=subject,
        recordings=mine,
        events=events,
        others=others,
        companions=index.companions[wanted].reset_index(drop=True),
        stimuli=index.stimuli,
    )


def _others(
    events: pd.DataFrame, chosen: pd.DataFrame, select: EventSelect, where: str
) -> pd.DataFrame:
    """Return the events that ``include`` doesn't ask for and ``exclude`` doesn't rule out.

    The brain answered to them too, so a GLM of the chosen ones has to model them.
    """
    everything = select.model_copy(update={"include": ["*"]})
    shown = select_events(events, everything, where)
    keys = ["recording", "row"]
    ours = set(zip(*(chosen[key] for key in keys), strict=True))
    rest = [key not in ours for key in zip(*(shown[key] for key in keys), strict=True)]
    return shown[np.array(rest, dtype=bool)].reset_index(drop=True)


def _digests(section: Responses, material: Material) -> dict[str, str]:
    """Return the digests of what a kind reads: contents of files, and rows of tables."""
    recordings = material.recordings.drop(columns=["events"], errors="ignore")
    known = zip(material.companions["path"], material.companions["digest"], strict=True)
    files = {str(path): text(digest) for path, digest in known}
    if isinstance(section, FmriResponses) and (material.root / section.mask).is_file():
        files.setdefault(section.mask, "")
    stimuli = material.stimuli[["stimulus"]] if material.events.empty else pd.DataFrame()
    return {
        "recordings": _of_table(recordings),
        "events": combine(
            [("samples", _of_table(material.events)), ("others", _of_table(material.others))]
        ),
        "companions": combine(
            (path, digest or file_digest(material.root / path)) for path, digest in files.items()
        ),
        "stimuli": _of_table(stimuli),
    }


def _of_table(table: pd.DataFrame) -> str:
    rows: list[list[Any]] = [[text(value) for value in row] for row in table.to_numpy(object)]
    whole = json.dumps([list(map(str, table.columns)), rows], ensure_ascii=True)
    return hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()
