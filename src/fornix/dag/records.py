"""Snakemake's notes on finished jobs, for artifacts that another folder's run has made.

Snakemake compares a job's params and inputs with what it noted when the job last ran, and takes a
file without a note for current. So artifacts that come from elsewhere bring their notes along: the
job runs again here if its settings, inputs or code are others here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fornix.dag.job import Job

MADE = "made"
"""Kind of the one word that is noted of an artifact which isn't the one that is meant."""


def record_of(job: Job) -> dict[str, Any]:
    """Return what there is to note of a job that is done, JSON-like."""
    return {
        "output": str(job.manifest),
        "rule": job.stage,
        "input": sorted(job.manifests),
        "params": sorted(repr(value) for value in job.params.values()),
    }


class Notes:
    """The notes of a workflow's working directory.

    Parameters
    ----------
    root
        The project's root.
    """

    def __init__(self, root: Path = Path()) -> None:
        from snakemake.persistence.file import FilePersistence

        self._root = root
        self._notes = FilePersistence(nolock=True, path=(root / ".snakemake").absolute())

    def write(self, record: Mapping[str, Any]) -> None:
        """Note a job as done; ``record`` is from :func:`record_of`.

        Its inputs must be there: a file that is newer than what was made from it doesn't count as
        changed if its contents are those that were noted.
        """
        from snakemake.persistence import RECORD_FORMAT_VERSION, MetadataRecord

        # Snakemake has no public call that notes a job that it didn't run.
        self._notes._write_record(
            record["output"],
            MetadataRecord(
                rule=record["rule"],
                input=record["input"],
                params=record["params"],
                record_format_version=RECORD_FORMAT_VERSION,
                incomplete=False,
                input_checksums={
                    name: _checksum(self._root / name)
                    for name in record["input"]
                    if (self._root / name).is_file()
                },
            ),
        )
        self._notes._unmark_incomplete(record["output"])

    def trusts(self, job: Job) -> bool:
        """Tell whether by the notes alone Snakemake would take what is there for current."""
        record = self._notes._read_record(str(job.manifest))
        return record is None or record.params == record_of(job)["params"]

    def distrust(self, job: Job, made: str) -> None:
        """Note that what is there was made from something else, so that the job runs.

        Parameters
        ----------
        job
            The job.
        made
            What it was made from, as its manifest says.
        """
        self.write(record_of(job) | {"params": [repr(f"{MADE}: {made or 'unknown'}")]})


def _checksum(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
