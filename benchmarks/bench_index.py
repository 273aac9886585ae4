"""A second parse of the workflow: Fornix's listing against indexing anew with pybids."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from bids import BIDSLayout
from measure import best, say

from fornix.ingest.listing import scan

N_SUBJECTS, N_RUNS = 40, 12


def write_tree(root: Path) -> None:
    """Write an fMRI dataset's files, small ones: names are what costs."""
    description = {"Name": "benchmark", "BIDSVersion": "1.9.0"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    for subject in range(N_SUBJECTS):
        folder = root / f"sub-{subject:02d}/func"
        folder.mkdir(parents=True)
        for run in range(N_RUNS):
            stem = f"sub-{subject:02d}_task-x_run-{run:02d}"
            (folder / f"{stem}_bold.nii.gz").write_bytes(b"0" * 4096)
            (folder / f"{stem}_bold.json").write_text('{"RepetitionTime": 2.0}')
            (folder / f"{stem}_events.tsv").write_text("onset\tduration\n0\t1\n")


def main() -> None:
    """Compare the two, on the same tree, in one run."""
    with tempfile.TemporaryDirectory() as name:
        root, cache = Path(name) / "bids", Path(name) / "cache"
        root.mkdir()
        write_tree(root)
        first = best(lambda: scan(root, cache), repeats=1)
        again = best(lambda: scan(root, cache))
        pybids = best(lambda: BIDSLayout(root, validate=False), repeats=1)
    files = N_SUBJECTS * N_RUNS * 3
    print(f"{files} files: first listing {first:.3f} s, again {again:.3f} s, pybids {pybids:.1f} s")
    say("pybids_over_second_listing", pybids / again, "x", 20, at_least=True)


if __name__ == "__main__":
    main()
