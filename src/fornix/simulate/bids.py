"""The tables and sidecars of a BIDS dataset, the same bytes every time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd


def write_tsv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as BIDS wants it: tabs, and n/a where there is nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, sep="\t", index=False, na_rep="n/a", lineterminator="\n")


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a sidecar."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def write_participants(folder: Path, subjects: Sequence[str]) -> None:
    """Write ``participants.tsv`` for labels without ``sub-``."""
    people = pd.DataFrame({"participant_id": [f"sub-{label}" for label in subjects]})
    write_tsv(folder / "participants.tsv", people)
