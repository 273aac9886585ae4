"""Features: a dataset's stimuli in, every layer of one extractor out."""

from __future__ import annotations

import errno
import importlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fornix.errors import FornixError
from fornix.features.extractor import Context, Extractor, Layers
from fornix.features.reuse import (
    Donor,
    Source,
    check_unchanged,
    find_donors,
    keys_of,
    relatives,
    sources,
    whole,
)
from fornix.progress import Bar
from fornix.store.artifact import Artifact, Recipe, Target, adopt, create, open_artifact
from fornix.store.digests import combine
from fornix.store.draft import SHARD_BYTES, Draft
from fornix.study.base import digest_of
from fornix.study.compute import Compute

if TYPE_CHECKING:
    from fornix.study.features.union import Features

BLOCK_BYTES = 256 << 20
"""Features held in memory, all layers together, before they are written."""


def run(
    section: Features,
    inputs: Mapping[str, Path],
    target: Target,
    resources: Compute,
    *,
    subject: str | None = None,
    seed: int = 0,
) -> None:
    """Write ``features.zarr``: one variable a layer.

    Dimensions are (stimulus, ``feature:<layer>``), with ``token:<layer>``, or ``row:<layer>``
    and ``column:<layer>``, between them where tokens are kept. Of sounds and clips on a time grid
    the first is ``frame``, with ``stimulus`` and ``time`` (s from the stimulus' onset) along it.

    Rows are written in blocks, one shard a layer, while the next block is computed; a job that
    was killed goes on after the last block. Rows that an earlier artifact has are taken from it.

    Parameters
    ----------
    section
        A section of ``features``; its kind names the module in ``fornix.features``.
    inputs
        ``root``: the dataset's folder. ``ingest``: its index. ``source/<name>``: another
        section's features, for kinds that read them. ``model``: the fit that trains the model.
    target
        The artifact.
    resources
        Threads, memory, and the device of a torch model.
    subject, seed
        Not used: stimuli are the dataset's, and a random init has its own seed.

    Raises
    ------
    FornixError
        If the dataset has no stimuli, they are of the wrong kind, one can't be read, or the disk
        is full.
    """
    del subject, seed
    kind = importlib.import_module(f"fornix.features.{section.kind}")
    given = {key.partition("/")[2]: path for key, path in inputs.items() if "source/" in key}
    context = Context(
        root=inputs["root"],
        resources=resources,
        notes=[],
        stimuli=open_artifact(inputs["ingest"]).table("stimuli"),
        sources={name: open_artifact(path) for name, path in given.items()},
    )
    settings = {key: value for key, value in section.identity().items() if key != "dataset"}
    if "model" in inputs:  # the weights' digests count, not what the fit is called
        settings["model"] = "fit"
        section = _of_fit(section, open_artifact(inputs["model"]))
    try:
        rows = _rows(kind, section, context)
        read = _read(kind, section, rows, context)
    except FornixError as error:
        if not section.optional:
            raise
        _leave_out(target, Recipe("features", settings, {"left_out": error.problem}), context)
        return
    recipe = Recipe("features", settings, read)
    if adopt(target, recipe):
        return
    if write := getattr(kind, "write", None):  # it makes something else than arrays
        with create(target, recipe) as draft, Bar(f"{section.kind}: rows", len(rows)) as bar:
            told = replace(context, advance=bar.advance)
            write(section, rows, told, draft, relatives(target, recipe))
        return
    labels = kind.labels(section, rows) if hasattr(kind, "labels") else {}
    keys = keys_of(rows)
    donors = find_donors(target, recipe, keys) if getattr(kind, "ROWWISE", True) else []
    readouts = settings.get("readouts", [])
    with (
        create(target, recipe) as draft,
        threadpool_limits(resources.threads),
        Bar(f"{section.kind}: rows", len(rows)) as bar,
    ):
        if (donor := whole(donors, keys, recipe)) is not None:
            found = sources([donor], keys, donor.layers, readouts)
            context.notes.extend(json.loads(donor.artifact.dataset("features").attrs["notes"]))
            job = _Job(section, rows, donor.layers, labels, [donor], found, context.notes, bar)
            job.write(draft, None)
        else:
            told = replace(context, advance=bar.advance)
            with kind.open_extractor(section, rows, told) as extractor:
                found = sources(donors, keys, extractor.shapes, readouts)
                job = _Job(
                    section, rows, extractor.shapes, labels, donors, found, context.notes, bar
                )
                job.write(draft, extractor)
        check_unchanged(donors)


@dataclass
class _Job:
    """One extraction: which rows and layers, and where they come from."""

    section: Features
    rows: pd.DataFrame
    shapes: Mapping[str, tuple[int, ...]]
    labels: Mapping[str, list[str]]
    donors: Sequence[Donor]
    sources: Mapping[str, Source]
    notes: list[str]
    bar: Bar

    def write(self, draft: Draft, extractor: Extractor | None) -> None:
        """Fill the arrays block by block, from the donors and the extractor."""
        size = rows_of_block(self.shapes)
        state = draft.resumed or {"rows": 0, "bad": {}, "wall_s": 0.0}
        if not draft.resumed:
            self._lay_out(draft, min(size, 1 << (len(self.rows) - 1).bit_length()))
        start, began = int(state["rows"]), time.monotonic()
        bad: dict[str, int] = dict(state["bad"])
        missing = self._missing()
        fresh = [name for name, one in self.sources.items() if (one.donor < 0).any()]
        computed = int(missing[start:].sum())
        self.bar.begin(start + int((~missing[start:]).sum()))
        pieces = [slice(at, at + size) for at in range(start, len(self.rows), size)]
        blocks = (self.rows.iloc[one][missing[one]] for one in pieces if missing[one].any())
        computing = extractor(blocks, fresh) if extractor is not None and computed else iter(())
        with ThreadPoolExecutor(1, "writer") as writer:
            writing: Future[None] | None = None
            for piece in pieces:
                values = self._assemble(piece, missing[piece], computing)
                for name, one in values.items():
                    rowwise = np.isfinite(one).all(axis=tuple(range(1, one.ndim)))
                    bad[name] = bad.get(name, 0) + int((~rowwise).sum())
                if writing is not None:
                    writing.result()
                done = min(piece.stop, len(self.rows))
                wall = state["wall_s"] + time.monotonic() - began
                saved = {"rows": done, "bad": dict(bad), "wall_s": round(wall, 3)}
                writing = writer.submit(self._write, draft, piece.start, values, saved)
            if writing is not None:
                writing.result()
        for _ in computing:  # lets the extractor finish, and say what it has to say
            msg = f"fornix.features.{self.section.kind} gave more blocks than it was given"
            raise RuntimeError(msg)
        self.notes += [f"layer {k}: not finite for {n} stimuli" for k, n in bad.items() if n]
        draft.describe("features", notes=json.dumps(self.notes))
        seconds = time.monotonic() - began
        draft.note(
            n_stimuli=self.rows["stimulus"].nunique(),
            n_rows=len(self.rows),
            rows_computed=computed,
            rows_taken=int((~missing).sum()),
            rows_resumed=start,
            layers=list(self.shapes),
            dims={name: shape[-1] for name, shape in self.shapes.items()},
            stimuli_per_s=round(computed / max(seconds, 1e-9), 2),
            use=self.bar.use(),
            notes=self.notes,
        )

    def _missing(self) -> NDArray[np.bool_]:
        """Return the rows that lack a layer."""
        return np.asarray(np.any([one.donor < 0 for one in self.sources.values()], axis=0))

    def _assemble(
        self, piece: slice, missing: NDArray[np.bool_], computing: Iterator[Layers]
    ) -> Layers:
        computed = next(computing) if missing.any() else {}
        if missing.all() and [*computed] == [*self.shapes]:
            return computed
        count = len(missing)
        found = {}
        for name, shape in self.shapes.items():
            values = np.empty((count, *shape), dtype=np.float32)
            source = self.sources[name]
            if name in computed:
                values[missing] = computed[name]
            which = source.donor[piece]
            for number, theirs in source.names.items():
                mine = (which == number) & ~(missing & (name in computed))
                if mine.any():
                    values[mine] = self.donors[number].read(theirs, source.row[piece][mine])
            found[name] = values
        return found

    def _write(self, draft: Draft, start: int, values: Layers, saved: dict[str, Any]) -> None:
        try:
            draft.write_rows("features", start, values)
            draft.save(saved)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            problem = f"the disk is full after {start} of {len(self.rows)} rows"
            left = sum(int(np.prod(shape)) for shape in self.shapes.values())
            gigabytes = 4 * left * (len(self.rows) - start) / 1e9
            mend = f"free at least {gigabytes:.2g} GB and run again: it goes on from there"
            raise FornixError(problem, where=str(draft.path), mend=mend) from None

    def _lay_out(self, draft: Draft, rows: int) -> None:
        along = "frame" if "time" in self.rows else "stimulus"
        texts = {"stimulus": self.rows["stimulus"], "digest": self.rows["digest"]}
        coords: dict[str, Any] = {
            name: (along, column.astype(str).to_numpy(object)) for name, column in texts.items()
        }
        if along == "frame":
            times = self.rows["time"].to_numpy(float)
            coords["time"] = (along, times, {"units": "s"})
        attrs = {"kind": self.section.kind, "layers": json.dumps([*self.shapes])}
        attrs |= {"layer_labels": json.dumps(self.labels)} if self.labels else {}
        variables = {
            name: ((along, *_dims(name, len(shape))), (len(self.rows), *shape))
            for name, shape in self.shapes.items()
        }
        draft.lay_out("features", variables, coords, attrs, rows=rows)


def _of_fit(section: Features, fit: Artifact) -> Features:
    """Return a section with the folder of the checkpoint that a fit has kept."""
    at = getattr(section, "checkpoint", None) or fit.json("fit.json")["checkpoints"][-1]
    folder = fit.part("checkpoints") / str(at)
    return section.model_copy(update={"model": str(folder), "checkpoint": None})


def _read(
    kind: ModuleType, section: Features, rows: pd.DataFrame, context: Context
) -> dict[str, str]:
    """Return the digests of what the numbers follow from."""
    read = {"stimuli": _digest(rows)}
    if context.sources:
        read["sources"] = combine((name, one.digest) for name, one in context.sources.items())
    if fingerprint := getattr(kind, "fingerprint", None):
        read["weights"] = fingerprint(section)
    return read


def _leave_out(target: Target, recipe: Recipe, context: Context) -> None:
    """Write an artifact without layers, whose note says why there are none."""
    if adopt(target, recipe):
        return
    notes = [f"left out: {recipe.inputs['left_out']}"]
    with create(target, recipe) as draft:
        names = context.stimuli["stimulus"].astype(str).to_numpy(object)
        attrs = {"kind": str(recipe.section["kind"]), "layers": "[]", "notes": json.dumps(notes)}
        empty = xr.Dataset(coords={"stimulus": names}, attrs=attrs)
        draft.write_dataset("features", empty, along="stimulus")
        draft.note(n_stimuli=len(names), layers=[], dims={}, notes=notes)


def rows_of_block(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return how many rows make a block, a power of two, from the shapes of the layers' rows."""
    row_bytes = [4 * max(1, int(np.prod(shape))) for shape in shapes.values()]
    rows = min(BLOCK_BYTES // sum(row_bytes), SHARD_BYTES // max(row_bytes))
    return 1 << max(0, rows.bit_length() - 1) if rows else 1


def _dims(layer: str, count: int) -> tuple[str, ...]:
    names = {1: (), 2: ("token",), 3: ("row", "column")}[count]
    return tuple(f"{name}:{layer}" for name in (*names, "feature"))


def _rows(kind: ModuleType, section: Features, context: Context) -> pd.DataFrame:
    stimuli = context.stimuli
    if stimuli.empty:
        problem = f"the dataset '{section.dataset}' has no stimuli"
        mend = "name the events' column in stimuli.column of the dataset"
        raise FornixError(problem, where=f"features (kind: {section.kind})", mend=mend)
    if table := getattr(kind, "table", None):
        stimuli = table(section, stimuli, context)
    if section.part is not None:
        number, _, count = section.part.partition("/")
        cuts = np.linspace(0, len(stimuli), int(count) + 1).astype(int)
        stimuli = stimuli.iloc[cuts[int(number) - 1] : cuts[int(number)]]
    return stimuli.reset_index(drop=True)


def _digest(rows: pd.DataFrame) -> str:
    """Return the digest of names and contents of all rows, in order."""
    named = rows["stimulus"].astype(str).tolist()
    times = rows["time"].tolist() if "time" in rows else []
    return digest_of([named, rows["digest"].astype(str).tolist(), times], 32)
