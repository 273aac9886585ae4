"""An encoding fit whose matrices don't fit into memory: blocks of units.

Each block reads its own columns of the responses, is fitted as a subject with no other units would
be, and is written to a folder of its own; the fit is all of them side by side, read as it is
written. Blocks are cut where the solvers cut targets, so that the bits don't depend on them.
"""

from __future__ import annotations

import importlib
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr
from threadpoolctl import threadpool_limits

from fornix.errors import FornixError
from fornix.models.interface import Context
from fornix.solvers.backend import MEMORY_SHARE
from fornix.solvers.ridge import BLOCK
from fornix.stages.tasks import encoding
from fornix.stages.tasks.job import Fitted, Job, open_job
from fornix.stages.tasks.workers import each, share_of
from fornix.store.artifact import open_artifact
from fornix.store.commit import sync
from fornix.store.draft import Draft
from fornix.study.compute import Compute
from fornix.training.samples import plain_text

if TYPE_CHECKING:
    from fornix.study.fits.encoding import EncodingSection

PROCESS = 400_000_000
"""Bytes of a process that has imported what a fit needs."""

COPIES = 7
"""Of the widest target's features: float32 of all and of the training samples, and float64 of
these as they are, scaled and centred."""

Units = tuple[int, int]
"""First of some units, and the first after them."""


@dataclass(frozen=True)
class Request:
    """A subject's fit, in what another process needs to know of it.

    Attributes
    ----------
    section
        A section of ``fits`` whose units are apart.
    subject
        Label without ``sub-``.
    seed
        The study's seed.
    responses, features
        Folders of the artifacts that are read.
    resources
        Of the whole job; of whoever fits its blocks, as they are shared out.
    """

    section: EncodingSection
    subject: str
    seed: int
    responses: Path
    features: Mapping[str, Path]
    resources: Compute

    def job(self, units: Units) -> Job:
        """Return the fit of some units, with notes of its own."""
        features = {name: open_artifact(path) for name, path in self.features.items()}
        return open_job(
            self.subject,
            open_artifact(self.responses),
            {name: plain_text(one.dataset("features")) for name, one in features.items()},
            importlib.import_module(f"fornix.models.{getattr(self.section, 'kind', '')}"),
            Context(share_of(self.resources), self.seed, self.subject),
            units=slice(*units),
        )


def plan_blocks(request: Request) -> list[Units]:
    """Return the blocks that are fitted apart; none where the whole fit has room.

    Parameters
    ----------
    request
        The fit; ``compute.memory_mb`` of its resources is what there is.

    Raises
    ------
    FornixError
        If the memory doesn't hold the smallest block.
    """
    sizes = open_artifact(request.responses).dataset("responses").sizes
    n_units = sizes.get("unit", 0)
    if not request.section.units_apart or n_units <= BLOCK:
        return []
    with threadpool_limits(request.resources.threads):
        fixed, unit = _needs(request, sizes["sample"])
    if unit * n_units <= _room(request.resources) - fixed:
        return []
    share = share_of(request.resources)
    size = int((_room(share) - fixed) // unit) // BLOCK * BLOCK
    if size < BLOCK:
        more = (fixed + unit * BLOCK - _room(share)) / (1 - MEMORY_SHARE) / 1e6 + 1
        least = math.ceil(request.resources.memory_mb / share.memory_mb * (share.memory_mb + more))
        problem = f"the fit needs {(fixed + unit * n_units) / 1e6:.0f} MB beside the solver's, and "
        problem += f"a block of {BLOCK} units still {(fixed + unit * BLOCK) / 1e6:.0f} MB"
        mend = f"raise compute.memory_mb to {least} or more, or fit fewer layers at once"
        raise FornixError(problem, where=f"fit of sub-{request.subject}", mend=mend)
    return [(start, min(start + size, n_units)) for start in range(0, n_units, size)]


def _room(resources: Compute) -> float:
    """Return the bytes that a process has beside the solver's."""
    return 1e6 * resources.memory_mb * (1 - MEMORY_SHARE)


def _needs(request: Request, n_stored: int) -> tuple[float, float]:
    """Return the bytes that a fit takes whatever its units, and those of each unit."""
    data = encoding.prepare(request.section, request.job((0, 1))).data
    n, n_spaces = len(data.responses), sum(len(names) for names in data.bands.values())
    widths = [data.width(target) for target in data.targets]
    features = sum(one.nbytes for one in data.features.values() if hasattr(one, "nbytes"))
    fixed = PROCESS + features + COPIES * 4 * n * min(max(widths), n)
    # Responses as stored, as fitted and of training samples; predictions, and all of them stacked;
    # weights of all targets, and of the one that is fitted as it's solved, scaled back and kept.
    values = n_stored + 2 * n + 2 * n * (len(widths) + n_spaces) + sum(widths) + 3 * max(widths)
    return fixed, 4.0 * values


def fit_blocks(request: Request, blocks: Sequence[Units], folder: Path) -> Fitted:
    """Fit block by block; return the whole, whose arrays are read when they are written.

    Parameters
    ----------
    request
        The fit.
    blocks
        Of :func:`plan_blocks`.
    folder
        Where blocks are written; those that are there already aren't fitted again.
    """
    todo = [units for units in blocks if not _path(folder, units).exists()]
    each(partial(fit_block, request, folder=folder), todo, request.resources, folder)
    paths = [_path(folder, units) for units in blocks]
    facts = [json.loads((path / "facts.json").read_text(encoding="utf-8")) for path in paths]
    weights = _side_by_side(paths, "weights")
    names = json.loads(weights.attrs["names"])
    return Fitted(
        "predictions",
        _side_by_side(paths, "predictions"),
        "unit",
        facts[0]["facts"] | {"n_units": sum(one["facts"]["n_units"] for one in facts)},
        {name: weights[key].data for key, name in names.items()},
        notes=list(dict.fromkeys(note for one in facts for note in one["notes"])),
    )


def fit_block(request: Request, units: Units, folder: Path) -> None:
    """Fit some units, and write what comes of them into a folder of their own."""
    path = _path(folder, units)
    with threadpool_limits(request.resources.threads):
        job = request.job(units)
        fitted = encoding.fit(request.section, job)
    unfinished = path.with_name(f"{path.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    draft = Draft(unfinished, {})
    draft.write_dataset("predictions", fitted.dataset, along="unit")
    variables, names = {}, {}
    for number, (name, values) in enumerate(sorted(fitted.weights.items())):
        key = f"w{number}"
        names[key] = name
        variables[key] = ((*(f"{key}_{i}" for i in range(values.ndim - 1)), "unit"), values)
    weights = xr.Dataset(variables, attrs={"names": json.dumps(names)})
    draft.write_dataset("weights", weights, along="unit")
    draft.write_json("facts.json", {"facts": fitted.facts, "notes": job.notes})
    sync(unfinished)
    unfinished.rename(path)


def _path(folder: Path, units: Units) -> Path:
    return folder / f"units-{units[0]}-{units[1]}"


def _side_by_side(paths: Sequence[Path], name: str) -> xr.Dataset:
    """Return the parts of this name of all blocks as one; only coordinates are read."""
    parts: list[Any] = []
    for path in paths:
        one = xr.open_dataset(path / f"{name}.zarr", engine="zarr", consolidated=False, chunks={})
        for coord in one.coords.values():
            coord.load()
        parts.append(plain_text(one))
    # What has no units is the same in all blocks.
    whole: xr.Dataset = xr.concat(
        parts,
        dim="unit",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )
    return whole.drop_encoding()
