"""Clips as the frames that a model wants."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from fornix.errors import FornixError
from fornix.features.clips import clip_info, load_frames
from fornix.features.network import Batch, Call, Rows
from fornix.features.timegrid import ROUNDING, by_length, no_time, piece_length, piece_start, pieces
from fornix.study.features.huggingface import HuggingFaceFeatures

WINDOW_S = 2.0
PLACES_FIRST = ("timesformer",)
"""Models whose tokens go through the frames place by place, not frame by frame."""

CONFIGS = ("video_preprocessor_config.json", "preprocessor_config.json", "processor_config.json")


@dataclass(frozen=True)
class Pixels:
    """How frames become pixel values: resized by their shorter side, cropped, standardised.

    Attributes
    ----------
    resize
        Shorter side after resizing, pixels.
    crop
        Side of the square that is cut out of the middle, pixels.
    mean, std
        Of each colour, taken off and divided by, for values from 0 to 1.
    """

    resize: int
    crop: int
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return float32 (frame, channel, row, column) of uint8 (frame, row, column, channel)."""
        found = np.empty((len(frames), 3, self.crop, self.crop), dtype=np.float32)
        for at, frame in enumerate(frames):
            image = Image.fromarray(frame)
            scale = self.resize / min(image.size)
            width, height = (max(self.crop, round(side * scale)) for side in image.size)
            left, top = (width - self.crop) // 2, (height - self.crop) // 2
            image = image.resize((width, height), Image.Resampling.BILINEAR)
            image = image.crop((left, top, left + self.crop, top + self.crop))
            values = np.asarray(image, dtype=np.float32) / 255
            found[at] = (
                (values - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
            ).transpose(2, 0, 1)
        return found


@dataclass(frozen=True)
class Clips:
    """Prepares clips: so many frames, evenly spread over the clip or a piece of it."""

    pixels: Pixels
    n_frames: int
    time_steps: int
    argument: str
    root: Path
    step: float | None
    window: float

    def plan(self, block: pd.DataFrame) -> list[list[Rows]]:
        """Return one input a clip or piece of a clip."""
        if self.step is not None:
            inputs = pieces(block, self.window)
        else:
            inputs = [np.asarray([at]) for at in range(len(block))]
        return by_length(inputs, [self.stretch(block.iloc[one]) for one in inputs])

    def stretch(self, rows: pd.DataFrame) -> tuple[float, float]:
        """Return the start and end of an input in its clip, s."""
        duration = clip_info(self.root / str(rows["path"].iloc[0])).duration
        if self.step is None:
            return 0.0, duration
        start = piece_start(float(rows["time"].iloc[0]), self.window)
        return start, min(start + self.window, duration)

    def __call__(self, inputs: Sequence[pd.DataFrame]) -> Batch:
        """Return the pixel values of some stretches of clips."""
        clips, bins, span = [], [], 0.0
        for one in inputs:
            start, stop = self.stretch(one)
            span = stop - start
            times = start + (np.arange(self.n_frames) + 0.5) / self.n_frames * span
            clips.append(self.pixels(load_frames(self.root / str(one["path"].iloc[0]), times)))
            if self.step is not None:
                begins = one["time"].to_numpy(float) - start
                bins.append(np.stack([begins, begins + self.step], axis=1))
        arguments = {self.argument: torch.from_numpy(np.stack(clips))}
        return Batch({"": Call(arguments, span=span)}, bins if self.on_grid else None)

    @property
    def on_grid(self) -> bool:
        """Whether a row is a part of what goes through the model at once."""
        return self.step is not None and self.window > self.step * (1 + ROUNDING)


def prepare_clips(
    section: HuggingFaceFeatures, folder: Path | None, model: Any, root: Path, notes: list[str]
) -> Clips:
    """Return what makes the model's inputs of clips.

    Raises
    ------
    FornixError
        If the model takes no clips, or a pretrained one comes without its preprocessing.
    """
    where = f"features (kind: huggingface, model: {section.model})"
    config = model.config
    n_frames = getattr(config, "num_frames", None) or getattr(config, "frames_per_clip", None)
    if n_frames is None:
        problem = f"{section.model} ({type(model).__name__}) takes pictures, not clips"
        raise FornixError(problem, where=where, mend="name a model of clips, such as VideoMAE")
    side = int(getattr(config, "image_size", None) or getattr(config, "crop_size", None) or 224)
    found = None if folder is None or section.init == "random" else _settings(folder)
    if found is None:
        if section.init == "pretrained":
            problem = f"{section.model} comes without its preprocessing of clips"
            mend = f"add {CONFIGS[0]}, as its processor's save_pretrained writes it"
            raise FornixError(problem, where=str(folder), mend=mend)
        notes.append(f"{section.model}: frames are squares of {side} pixels, scaled from -1 to 1")
        pixels = Pixels(side, side)
    else:
        pixels = _pixels(found, side)
    tubelet = getattr(config, "tubelet_size", 1) or 1  # ViViT gives frames, rows and columns
    tubelet = int(tubelet[0] if isinstance(tubelet, list | tuple) else tubelet)
    made = Clips(
        pixels,
        int(n_frames),
        max(1, int(n_frames) // tubelet),
        str(model.main_input_name),
        root,
        None if section.rate is None else 1 / section.rate,
        piece_length(section.window, section.rate, WINDOW_S, where),
    )
    if made.on_grid and config.model_type in PLACES_FIRST:
        raise no_time(section.model, where)
    return made


def _settings(folder: Path) -> Mapping[str, Any] | None:
    for name in CONFIGS:
        if (folder / name).is_file():
            found: Mapping[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
            inner: Mapping[str, Any] = found.get("video_processor", found)
            return inner
    return None


def _pixels(found: Mapping[str, Any], side: int) -> Pixels:
    size, crop = found.get("size") or side, found.get("crop_size") or side
    resize = size if isinstance(size, int) else size.get("shortest_edge") or size.get("height")
    cropped = crop if isinstance(crop, int) else crop.get("height", side)
    cropped = cropped if found.get("do_center_crop", True) else side
    mean = tuple(found.get("image_mean") or (0.485, 0.456, 0.406))
    std = tuple(found.get("image_std") or (0.229, 0.224, 0.225))
    return Pixels(int(resize or side), int(cropped), mean, std)
