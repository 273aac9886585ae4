"""Pretraining: a dataset's pictures in, checkpoints of a network out. No brain data."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fornix import torchrun
from fornix.devices import seeded
from fornix.errors import FornixError, did_you_mean
from fornix.features.checkpoints import quiet
from fornix.features.images import load_image, map_images
from fornix.stages.scratch import scratch
from fornix.store.artifact import Recipe, Target, adopt, create, open_artifact
from fornix.store.draft import dumps
from fornix.study.base import digest_of
from fornix.study.compute import Compute
from fornix.training.batches import Shuffled
from fornix.training.crops import MEAN, SD, kinds_of, views_of
from fornix.training.log import COLUMNS
from fornix.training.loop import train
from fornix.training.terms import Batch, Hooks, Run
from fornix.training.watch import MOST, collapse, dimensions, neighbours, spread

if TYPE_CHECKING:
    from fornix.study.fits.dino import DinoFit

CHECKPOINTS = "checkpoints"
"""Part of the artifact: a folder a checkpoint, named by its step, as transformers reads it."""

WATCH = "watch.json"
LOG_ROWS = 200
"""Rows of the log a number, about."""

AT_ONCE = 256
"""Pictures of a forward pass when tokens are watched."""


def run(
    section: DinoFit,
    inputs: Mapping[str, Path],
    target: Target,
    resources: Compute,
    *,
    seed: int = 0,
) -> None:
    """Train a network on the pictures of a dataset.

    Parameters
    ----------
    section
        A section of ``fits`` whose task is pretraining; its kind names the module in
        ``fornix.models``.
    inputs
        ``root``: the dataset's folder. ``ingest``: its index.
    target
        The artifact: ``checkpoints/<step>/`` (config.json, model.safetensors and
        preprocessor_config.json), ``log.parquet`` and ``fit.json``.
    resources
        Threads, memory and device.
    seed
        The study's seed.

    Raises
    ------
    FornixError
        If the dataset has too few pictures, they don't fit the memory, or training diverges.
    """
    where = f"fit (kind: {section.kind}, dataset: {section.dataset})"
    rows = _pictures(open_artifact(inputs["ingest"]).table("stimuli"), section, where)
    settings = {k: v for k, v in section.identity().items() if k != "dataset"}
    read = {"stimuli": digest_of([rows["stimulus"].tolist(), rows["digest"].tolist()], 32)}
    recipe = Recipe("fit", settings | {"seed": seed}, read)
    if adopt(target, recipe):
        return
    labels = _labels(rows, section, where)
    _check_memory(len(rows), section.image_size, resources, where)
    with create(target, recipe) as draft, scratch(draft) as folder:
        pixels = load_pixels(rows, inputs["root"], section.image_size, resources.threads)
        about = Run((section.kind,), seed, resources, folder, where)
        log = pretrain(section, pixels, draft.path / CHECKPOINTS, about, labels)
        draft.write_table("log", log)
        last = log[log["step"] == section.training.steps].set_index("name")["value"]
        entropy = log.loc[log["name"] == "entropy", "value"]
        found = collapse(float(last["spread"]), float(entropy.iloc[-1]), section.prototypes)
        notes = [found] if found else []
        facts: dict[str, Any] = {"kind": section.kind, "task": section.task, "notes": notes}
        facts |= {"n_pictures": len(rows), "checkpoints": section.kept}
        draft.write_json("fit.json", facts)
        draft.note(n_pictures=len(rows), steps=section.training.steps, notes=notes)


def pretrain(
    section: DinoFit, pixels: Tensor, folder: Path, about: Run, labels: Tensor | None = None
) -> pd.DataFrame:
    """Train, write the checkpoints, and return the log.

    Parameters
    ----------
    section
        A section of ``fits``.
    pixels
        uint8 (picture, channel, row, column).
    folder
        Where checkpoints go, a folder each, named by its step.
    about
        Seed, device, scratch folder.
    labels
        Integers (picture,), of which nothing is learnt: the log tells how well neighbours give
        them.
    """
    module = importlib.import_module(f"fornix.models.{section.kind}")
    with seeded(about.seed, "fit", section.kind, "weights"):
        network: Any = module.build(section)
    kinds, total = kinds_of(section), section.training.steps

    def step(model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        some = pixels[torch.from_numpy(batch.rows)].to(batch.device)
        found: tuple[Tensor, dict[str, Tensor]] = model(
            views_of(some, kinds, batch.rng()), batch.step / total
        )
        return found

    def snapshot(at: int, model: nn.Module) -> None:
        teacher: Any = model.get_submodule("teacher")
        save(teacher.backbone, folder / str(at), section.image_size)
        found = _watch(teacher, pixels[:MOST], None if labels is None else labels[:MOST])
        (folder / str(at) / WATCH).write_text(dumps(found), encoding="utf-8")

    rows = np.arange(len(pixels))
    trained = train(
        network,
        step,
        Shuffled(rows, section.training.batch_size, about.seed, ("dino",), drop_last=True),
        section.training,
        run=replace(about, log_every=max(1, total // LOG_ROWS)),
        hooks=Hooks(
            groups=network.groups(section.training.learning_rate),
            before_step=lambda optimizer, done: network.hold(optimizer, done / total),
            after_step=lambda _, done: network.follow((done - 1) / total),
            snapshots=section.kept,
            snapshot=snapshot,
        ),
    )
    torchrun.end_all_but_the_first()
    return pd.concat([trained.log, _watched(folder, section)], ignore_index=True)


def save(backbone: Any, folder: Path, side: int) -> None:
    """Write a model as transformers reads it, with its preprocessing of pictures."""
    with quiet():
        backbone.save_pretrained(folder)
    preprocessing = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": side, "width": side},
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [MEAN] * 3,
        "image_std": [SD] * 3,
    }
    (folder / "preprocessor_config.json").write_text(dumps(preprocessing), encoding="utf-8")


def load_pixels(rows: pd.DataFrame, root: Path, side: int, threads: int) -> Tensor:
    """Return pictures as squares, uint8 (picture, channel, row, column)."""

    def load(path: Path) -> NDArray[Any]:
        return np.asarray(load_image(path, "RGB", side)).transpose(2, 0, 1)

    paths = [root / str(path) for path in rows["path"]]
    return torch.from_numpy(np.stack(map_images(load, paths, threads)))


def _pictures(stimuli: pd.DataFrame, section: DinoFit, where: str) -> pd.DataFrame:
    rows = stimuli[stimuli["modality"] == "image"].reset_index(drop=True)
    least = section.training.batch_size
    if len(rows) < least:
        problem = f"the dataset '{section.dataset}' has {len(rows)} pictures, a batch has {least}"
        mend = "name a dataset with more pictures, or lower training.batch_size"
        raise FornixError(problem, where=where, mend=mend)
    return rows


def _labels(rows: pd.DataFrame, section: DinoFit, where: str) -> Tensor | None:
    if section.watch is None:
        return None
    if section.watch not in rows:
        problem = f"the stimulus table has no column '{section.watch}' to watch"
        mend = did_you_mean(section.watch, [str(name) for name in rows.columns])
        raise FornixError(problem, where=where, mend=mend)
    return torch.from_numpy(pd.factorize(rows[section.watch].astype(str), sort=True)[0])


def _check_memory(n: int, side: int, resources: Compute, where: str) -> None:
    needed = n * 3 * side**2 / 1e6
    if needed > resources.memory_mb / 2:
        problem = f"{n:,} pictures of {side} pixels take {needed:,.0f} MB, more than half of "
        problem += f"memory_mb ({resources.memory_mb:,})"
        mend = "raise compute.memory_mb, or take smaller or fewer pictures"
        raise FornixError(problem, where=where, mend=mend)


def _watch(teacher: Any, pixels: Tensor, labels: Tensor | None) -> dict[str, float]:
    """Return what the tokens of the teacher are worth."""
    device = next(teacher.parameters()).device
    parts = [
        teacher.tokens(some.to(device).float().div_(255).sub_(MEAN).div_(SD)).cpu()
        for some in torch.split(pixels, AT_ONCE)
    ]
    tokens = torch.cat(parts).float()
    found = {"spread": spread(tokens), "dimensions": dimensions(tokens)}
    if labels is not None:
        found["neighbours"] = neighbours(tokens, labels)
    return found


def _watched(folder: Path, section: DinoFit) -> pd.DataFrame:
    """Return what was watched at the checkpoints, as rows of the log."""
    rows = []
    for at in section.kept:
        found = json.loads((folder / str(at) / WATCH).read_text(encoding="utf-8"))
        rows += [(at, -1, "checkpoint", name, float(value)) for name, value in found.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))
