"""Run a kind of features on a table, as the stage does."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fornix.features.extractor import Context, Layers
from fornix.study.compute import Compute


def extract(
    kind: Any,
    section: Any,
    stimuli: pd.DataFrame,
    root: Path | None = None,
    *,
    resources: Compute | None = None,
    notes: list[str] | None = None,
    cuts: Sequence[int] = (),
    **sources: Any,
) -> Layers:
    """Return all layers; ``cuts`` are the rows at which blocks begin."""
    context = Context(
        root=root or Path(),
        resources=resources or Compute(device="cpu"),
        notes=[] if notes is None else notes,
        stimuli=stimuli,
        sources=sources,
    )
    rows = kind.table(section, stimuli, context) if hasattr(kind, "table") else stimuli
    rows = rows.reset_index(drop=True)
    edges = [0, *cuts, len(rows)]
    blocks = [rows.iloc[a:b] for a, b in pairwise(edges)]
    with kind.open_extractor(section, rows, context) as extractor:
        parts = list(extractor(blocks, list(extractor.shapes)))
        shapes = dict(extractor.shapes)
    found = {name: np.concatenate([part[name] for part in parts]) for name in shapes}
    assert {name: values.shape[1:] for name, values in found.items()} == shapes
    assert all(len(values) == len(rows) and values.dtype == np.float32 for values in found.values())
    return found
