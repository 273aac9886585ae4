"""``simulate``: a world writes its BIDS dataset, and its truth beside it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

from fornix.store import Recipe, Target, adopt, create
from fornix.study.compute import Compute
from fornix.study.datasets import SimulatedDataset


def run(
    section: SimulatedDataset,
    inputs: Mapping[str, Path],
    target: Target,
    resources: Compute,
    *,
    subject: str | None = None,
    seed: int = 0,
) -> None:
    """Write ``bids/`` and ``truth.json``.

    Parameters
    ----------
    section
        The dataset; its world's name is the module that writes it.
    inputs, resources, subject, seed
        Not used: a world depends on its own settings and seed alone.
    target
        The artifact.
    """
    del inputs, resources, subject, seed
    recipe = Recipe("simulate", section.world.identity(), {})
    if adopt(target, recipe):
        return
    kind = importlib.import_module(f"fornix.simulate.{section.world.name}")
    with create(target, recipe) as draft:
        truth = kind.write(section.world, draft.file("bids"))
        draft.write_json("truth.json", truth)
