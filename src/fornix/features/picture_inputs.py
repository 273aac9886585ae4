"""Pictures as the pixel values that a model wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers

from fornix.errors import FornixError
from fornix.features.checkpoints import quiet
from fornix.features.images import Mode, load_image
from fornix.features.network import Batch, Call, Rows, each_row
from fornix.study.features.huggingface import HuggingFaceFeatures

DEFAULT_SIZE = 224


@dataclass(frozen=True)
class Pictures:
    """Prepares pictures by the model's own preprocessing."""

    processor: Any
    root: Path
    where: str

    def plan(self, block: pd.DataFrame) -> list[list[Rows]]:
        """Return one input a picture."""
        return each_row(block)

    def __call__(self, inputs: Sequence[pd.DataFrame]) -> Batch:
        """Return the pixel values of some pictures."""
        images = [load_image(self.root / str(one["path"].iloc[0])) for one in inputs]
        with quiet():
            found = self.processor(images=images, return_tensors="pt")
        if not isinstance(found["pixel_values"], torch.Tensor):
            problem = "the model's preprocessing gives pictures of different sizes"
            mend = "bring the pictures to one size, or take a model that crops them"
            raise FornixError(problem, where=self.where, mend=mend)
        return Batch({"": Call(dict(found))})


@dataclass(frozen=True)
class Squares:
    """Prepares pictures for a model that has no preprocessing: squares, from -1 to 1."""

    side: int
    channels: int
    root: Path

    def plan(self, block: pd.DataFrame) -> list[list[Rows]]:
        """Return one input a picture."""
        return each_row(block)

    def __call__(self, inputs: Sequence[pd.DataFrame]) -> Batch:
        """Return the pixel values of some pictures."""
        mode: Mode = "L" if self.channels == 1 else "RGB"
        paths = [self.root / str(one["path"].iloc[0]) for one in inputs]
        levels = np.stack([np.asarray(load_image(path, mode, self.side)) for path in paths])
        pixels = torch.from_numpy(levels.reshape(*levels.shape[:3], -1)).permute(0, 3, 1, 2)
        return Batch({"": Call({"pixel_values": pixels.float().div_(127.5).sub_(1).contiguous()})})


def prepare_pictures(
    section: HuggingFaceFeatures, folder: Path | None, model: Any, root: Path, notes: list[str]
) -> Pictures | Squares:
    """Return what makes pixel values of pictures.

    The model's own preprocessing is used. A random init that has none, or that changes the size
    of its pictures, gets squares of that size, scaled from -1 (black) to 1 (white).

    Raises
    ------
    FornixError
        If a pretrained model comes without its preprocessing.
    """
    resized = section.init == "random" and "image_size" in section.config
    where = f"features (kind: huggingface, model: {section.model})"
    if folder is not None and not resized:
        processor = image_processor(section, folder)
        if processor is not None:
            return Pictures(processor, root, where)
    channels = getattr(model.config, "num_channels", 3)
    size = getattr(model.config, "image_size", DEFAULT_SIZE)
    side = size if isinstance(size, int) else max(size)
    notes.append(f"{section.model}: pictures are squares of {side} pixels, scaled from -1 to 1")
    return Squares(side, channels, root)


def image_processor(section: HuggingFaceFeatures, folder: Path) -> Any:
    """Return the preprocessing that a model comes with; None for a random init that has none.

    Raises
    ------
    FornixError
        If a pretrained model comes without it.
    """
    try:
        with quiet():
            return transformers.AutoImageProcessor.from_pretrained(
                folder, backend="pil", local_files_only=True, trust_remote_code=False
            )
    except (OSError, ValueError, ImportError, LookupError) as error:
        if section.init == "random":
            return None
        first = " ".join(str(error).split())[:200]
        problem = f"{section.model} comes without its preprocessing of pictures: {first}"
        mend = "add preprocessor_config.json, as its image processor's save_pretrained writes it"
        raise FornixError(problem, where=str(folder), mend=mend) from None
