"""The index of a dataset: what there is, checked, as tables with relative paths."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from fornix.ingest.companions import index_companions
from fornix.ingest.events import RawEvents, index_events
from fornix.ingest.findings import Findings
from fornix.ingest.layout import check_root, find_recordings, labels, read_description
from fornix.ingest.pictures import has_stimuli_alone, index_pictures
from fornix.ingest.rdms import index_rdms
from fornix.ingest.recordings import index_recordings
from fornix.ingest.select import select_recordings
from fornix.ingest.stimuli import index_stimuli
from fornix.ingest.tables import with_none
from fornix.study.datasets import Dataset, RdmDataset

if TYPE_CHECKING:
    from fornix.store.artifact import Artifact
from fornix.store.draft import Draft

TABLES = ("recordings", "events", "stimuli", "companions")


@dataclass(frozen=True)
class Index:
    """What a dataset holds; paths are relative to its root, with forward slashes.

    Attributes
    ----------
    dataset
        The fields of ``dataset_description.json``, with ``n_subjects``, ``subjects`` (labels)
        and ``kind`` (``bids`` or ``rdms``).
    recordings
        One row a recording: its file, BIDS entities, suffix, number of samples, sampling
        frequency (Hz), duration (s), shape of a sample, digest, events file and sidecar (JSON).
    events
        One row an event of a recording: onset and duration (s), condition, stimulus id and the
        further columns of its file.
    stimuli
        One row a stimulus: id, modality, file or text, digest, and its properties.
    companions
        One row a file that preprocessing may use: masks, regions, confounds, sensors.
    checks
        Warnings and notes: ``{"level": ..., "where": ..., "text": ...}``.
    """

    dataset: dict[str, Any]
    recordings: pd.DataFrame
    events: pd.DataFrame
    stimuli: pd.DataFrame
    companions: pd.DataFrame
    checks: list[dict[str, str]]

    @classmethod
    def read(cls, artifact: Artifact) -> Index:
        """Read an index from its artifact; missing text is None, as it was when written."""
        tables = {name: with_none(artifact.table(name)) for name in TABLES}
        return cls(
            dataset=artifact.json("dataset.json"), checks=artifact.json("checks.json"), **tables
        )

    def write(self, draft: Draft) -> None:
        """Write every part into an artifact's draft."""
        for name in TABLES:
            draft.write_table(name, getattr(self, name))
        draft.write_json("dataset.json", self.dataset)
        draft.write_json("checks.json", self.checks)

    @property
    def digest(self) -> str:
        """Digest of everything, contents of the indexed files included if they were digested."""
        found = hashlib.blake2b(digest_size=16)
        found.update(json.dumps([self.dataset, self.checks], sort_keys=True).encode())
        for name in TABLES:
            table: pd.DataFrame = getattr(self, name)
            found.update(f"\0{name}\0{list(table.columns)}\0".encode())
            found.update(table.to_csv(index=False, na_rep="n/a").encode())
        return found.hexdigest()


def build_index(
    section: Dataset,
    root: Path,
    *,
    digests: bool = True,
) -> Index:
    """Index a dataset and check it.

    Reads names, sidecars, tables, the headers of recordings and of images; with ``digests`` also
    every indexed file's content.

    Parameters
    ----------
    section
        What to select, and how events name stimuli.
    root
        The dataset's folder.
    digests
        Digest contents and decompress images whole. Without, an index takes seconds and its
        ``digest`` columns are None.

    Raises
    ------
    FornixError
        If the folder isn't a dataset, or for everything that is wrong in it, in one message.
    """
    check_root(root)
    findings = Findings(root)
    if isinstance(section, RdmDataset):
        dataset, recordings, stimuli = index_rdms(section, root, findings, digests=digests)
        findings.raise_problems()
        events = index_events(recordings.iloc[:0].copy(), root, findings).finish([])
        companions = index_companions(root, [], digests=False)
        return Index(dataset, recordings, events, stimuli, companions, findings.checks)
    description = read_description(root)
    if has_stimuli_alone(root, section.stimuli):
        stimuli = index_pictures(section.stimuli, root, findings, digests=digests)
        findings.raise_problems()
        recordings = index_recordings([], root, findings, digests=False)
        events = index_events(recordings, root, findings).finish([])
        companions = index_companions(root, [], digests=False)
        dataset = {**description, "n_subjects": 0, "subjects": [], "kind": "stimuli"}
        return Index(dataset, recordings, events, stimuli, companions, findings.checks)
    files = find_recordings(root, section.select.subject)
    names = pd.DataFrame(
        [
            {"recording": file.path, "suffix": file.entities["suffix"], **labels(file)}
            for file in files
        ]
    )
    chosen = select_recordings(names, section.select, suffix=None, where=f"{root}: select")
    kept = set(chosen["recording"])
    files = [file for file in files if file.path in kept]
    recordings = index_recordings(files, root, findings, digests=digests)
    raw: RawEvents = index_events(recordings, root, findings)
    stimuli, named = index_stimuli(raw, section.stimuli, root, findings, digests=digests)
    subjects = sorted(set(chosen["subject"]))
    companions = index_companions(root, subjects, digests=digests)
    findings.raise_problems()
    dataset = {**description, "n_subjects": len(subjects), "subjects": subjects, "kind": "bids"}
    return Index(dataset, recordings, raw.finish(named), stimuli, companions, findings.checks)
