"""Sounds as the samples or spectrograms that a model wants."""

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
from fornix.features.network import Batch, Call, Rows
from fornix.features.sounds import load_sound, sound_duration
from fornix.features.timegrid import (
    ROUNDING,
    by_length,
    no_time,
    piece_length,
    piece_start,
    pieces,
)
from fornix.study.features.huggingface import HuggingFaceFeatures

WINDOW_S = 30.0
DEFAULT_RATE = 16_000
PICTURED = ("clap_audio_model", "audio-spectrogram-transformer")
"""Models that read a spectrogram as a picture: their tokens aren't one after the other in time."""


@dataclass(frozen=True)
class Sounds:
    """Prepares sounds; only those of one length share a batch, so that none is padded.

    Attributes
    ----------
    extractor
        The model's own preprocessing; None: raw samples, z-scored.
    sampling_rate
        Samples a second that the model takes.
    step
        Length of a row, s; None: a row is the whole sound.
    window
        Longest piece that goes through the model at once, s.
    shortest
        Samples below which a sound is padded with silence.
    """

    extractor: Any
    sampling_rate: int
    root: Path
    step: float | None
    window: float
    shortest: int
    where: str

    def plan(self, block: pd.DataFrame) -> list[list[Rows]]:
        """Return one input a sound or piece of a sound, by their lengths."""
        if self.step is not None:
            inputs = pieces(block, self.window)
        else:
            inputs = [np.asarray([at]) for at in range(len(block))]
        stretches = [self.stretch(block.iloc[one]) for one in inputs]
        return by_length(inputs, stretches, self.sampling_rate)

    def stretch(self, rows: pd.DataFrame) -> tuple[float, float]:
        """Return the start and end of an input in its sound, s."""
        path = self.root / str(rows["path"].iloc[0])
        duration = sound_duration(path)
        if self.step is None:
            if duration > self.window:
                problem = f"the sound lasts {duration:.1f} s, and the model takes {self.window} s"
                mend = "give rate, for features on a grid of time; or a longer window"
                raise FornixError(problem, where=f"{self.where}; {path}", mend=mend)
            return 0.0, duration
        # The whole piece that these rows lie in, whatever part of it a block holds.
        start = piece_start(float(rows["time"].iloc[0]), self.window)
        return start, min(start + self.window, duration)

    def __call__(self, inputs: Sequence[pd.DataFrame]) -> Batch:
        """Return samples or spectrograms of some stretches of sound."""
        sounds, bins = [], []
        span = heard = 0.0
        for one in inputs:
            start, stop = self.stretch(one)
            path = self.root / str(one["path"].iloc[0])
            sound = load_sound(path, self.sampling_rate, start, stop)
            heard = len(sound) / self.sampling_rate
            if len(sound) < self.shortest:
                sound = np.pad(sound, (0, self.shortest - len(sound)))
            sounds.append(sound)
            span = len(sound) / self.sampling_rate
            if self.step is not None:
                begins = one["time"].to_numpy(float) - start
                bins.append(np.stack([begins, begins + self.step], axis=1))
        if self.extractor is None:
            values = np.stack([(one - one.mean()) / (one.std() + 1e-7) for one in sounds])
            arguments: dict[str, Any] = {"input_values": torch.from_numpy(values)}
        else:
            with quiet():
                arguments = dict(self.extractor(
                    sounds, sampling_rate=self.sampling_rate, return_tensors="pt"
                ))  # fmt: skip
            # Whisper always takes a fixed stretch, with silence after a shorter sound.
            fixed = getattr(self.extractor, "chunk_length", None)
            span = max(span, float(fixed)) if fixed else span
        call = Call(arguments, span=span, heard=None if self.on_grid else heard)
        return Batch({"": call}, bins if self.on_grid else None)

    @property
    def on_grid(self) -> bool:
        """Whether a row is a part of what goes through the model at once."""
        return self.step is not None and self.window > self.step * (1 + ROUNDING)


def prepare_sounds(
    section: HuggingFaceFeatures, folder: Path | None, model: Any, root: Path
) -> Sounds:
    """Return what makes the model's inputs of sounds.

    Raises
    ------
    FornixError
        If a pretrained model comes without its preprocessing.
    """
    where = f"features (kind: huggingface, model: {section.model})"
    extractor = None if folder is None else _extractor(section, folder)
    rate = int(getattr(extractor, "sampling_rate", DEFAULT_RATE))
    step = None if section.rate is None else 1 / section.rate
    window = piece_length(section.window, section.rate, WINDOW_S, where)
    kernels = getattr(model.config, "conv_kernel", ())
    strides = getattr(model.config, "conv_stride", ())
    shortest = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        shortest = (shortest - 1) * stride + kernel
    found = Sounds(extractor, rate, root, step, window, shortest, where)
    if found.on_grid and model.config.model_type in PICTURED:
        raise no_time(section.model, where)
    return found


def _extractor(section: HuggingFaceFeatures, folder: Path) -> Any:
    try:
        with quiet():
            return transformers.AutoFeatureExtractor.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except (OSError, ValueError, ImportError, LookupError) as error:
        if section.init == "random":
            return None
        first = " ".join(str(error).split())[:200]
        problem = f"{section.model} comes without its preprocessing of sounds: {first}"
        mend = "add preprocessor_config.json, as its feature extractor's save_pretrained does"
        raise FornixError(problem, where=str(folder), mend=mend) from None
