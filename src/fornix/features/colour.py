"""Colours of pictures in CIELAB, in which equal distances look equal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from skimage.color import rgb2lab

from fornix.features.extractor import Context, Extractor, Layers
from fornix.features.frames import extractor_of_frames, table_of_frames
from fornix.features.images import load_image
from fornix.features.layers import select_layers
from fornix.study.features.colour import ColourFeatures

WHERE = "features (kind: colour)"
LAYERS = ("mean", "grid", "histogram")
RANGES = ((0.0, 100.0), (-110.0, 110.0), (-110.0, 110.0))
"""Of L*, a*, b*: those of all colours that a screen shows."""


def table(section: ColourFeatures, stimuli: pd.DataFrame, context: Context) -> pd.DataFrame:
    """Return one line a row: a picture, a clip, or a step of time of a clip."""
    return table_of_frames(stimuli, context.root, section.rate, what="colour")


@contextmanager
def open_extractor(
    section: ColourFeatures, rows: pd.DataFrame, context: Context
) -> Iterator[Extractor]:
    """Give the layers ``mean`` (L*, a*, b*), ``grid`` (row * column * channel) and ``histogram``.

    The histogram is (channel * bin), the share of pixels in each bin. Pictures that aren't square
    are squashed, so that nothing but the picture counts.

    Raises
    ------
    FornixError
        If a stimulus is no picture and no clip, or can't be read.
    """
    kept = select_layers(LAYERS, section.layers, where=WHERE)
    sizes = {"mean": 3, "grid": 3 * section.grid**2, "histogram": 3 * section.bins}

    def squash(image: Image.Image) -> NDArray[np.float32]:
        small = image.resize((section.size, section.size), Image.Resampling.BOX)
        return np.asarray(small, dtype=np.float32) / np.float32(255)

    def of_file(path: Path) -> NDArray[np.float32]:
        return squash(load_image(path))

    def of_frame(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        return squash(Image.fromarray(frame))

    def compute(pictures: NDArray[np.float32]) -> Layers:
        lab = rgb2lab(pictures)
        return {
            "mean": lab.mean((1, 2)).astype(np.float32),
            "grid": _grid(lab, section.grid),
            "histogram": _histogram(lab, section.bins),
        }

    shapes = {name: (sizes[name],) for name in kept}
    yield extractor_of_frames(
        rows, section.rate, context, shapes, compute, of_file=of_file, of_frame=of_frame
    )


def _grid(lab: NDArray[np.float32], grid: int) -> NDArray[np.float32]:
    cuts = np.linspace(0, lab.shape[1], grid + 1).round().astype(int)
    parts = [lab[:, a:b, c:d].mean((1, 2)) for a, b in pairwise(cuts) for c, d in pairwise(cuts)]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _histogram(lab: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    found = np.empty((len(lab), 3, bins), dtype=np.float32)
    for channel, (low, high) in enumerate(RANGES):
        scaled = (lab[..., channel] - low) / (high - low) * bins
        index = np.clip(scaled.astype(int), 0, bins - 1)
        for at, one in enumerate(index):
            found[at, channel] = np.bincount(one.ravel(), minlength=bins) / one.size
    return found.reshape(len(lab), -1)
