"""Colours of pictures in CIELAB, in which equal distances look equal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage.color import rgb2lab

from fornix.features.extractor import Batched, Context, Layers
from fornix.features.images import squares
from fornix.features.layers import select_layers
from fornix.features.modality import require
from fornix.study.features.colour import ColourFeatures

WHERE = "features (kind: colour)"
LAYERS = ("mean", "grid", "histogram")
RANGES = ((0.0, 100.0), (-110.0, 110.0), (-110.0, 110.0))
"""Of L*, a*, b*: those of all colours that a screen shows."""

BATCH = 64


@contextmanager
def open_extractor(
    section: ColourFeatures, rows: pd.DataFrame, context: Context
) -> Iterator[Batched]:
    """Give the layers ``mean`` (L*, a*, b*), ``grid`` (row * column * channel) and ``histogram``.

    The histogram is (channel * bin), the share of pixels in each bin.

    Raises
    ------
    FornixError
        If a stimulus isn't a picture, or can't be read.
    """
    require(rows, "image", what="colour", where=WHERE)
    kept = select_layers(LAYERS, section.layers, where=WHERE)
    sizes = {"mean": 3, "grid": 3 * section.grid**2, "histogram": 3 * section.bins}

    def compute(some: pd.DataFrame) -> Layers:
        lab = rgb2lab(squares(some, context, mode="RGB", side=section.size))
        return {
            "mean": lab.mean((1, 2)).astype(np.float32),
            "grid": _grid(lab, section.grid),
            "histogram": _histogram(lab, section.bins),
        }

    yield Batched({name: (sizes[name],) for name in kept}, compute, BATCH, context)


def _grid(lab: NDArray[np.float32], grid: int) -> NDArray[np.float32]:
    cuts = np.linspace(0, lab.shape[1], grid + 1).round().astype(int)
    ends = np.maximum(cuts[1:], cuts[:-1] + 1)
    parts = [
        lab[:, a:b, c:d].mean((1, 2))
        for a, b in zip(cuts[:-1], ends, strict=True)
        for c, d in zip(cuts[:-1], ends, strict=True)
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _histogram(lab: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    found = np.empty((len(lab), 3, bins), dtype=np.float32)
    for channel, (low, high) in enumerate(RANGES):
        scaled = (lab[..., channel] - low) / (high - low) * bins
        index = np.clip(scaled.astype(int), 0, bins - 1)
        for at, one in enumerate(index):
            found[at, channel] = np.bincount(one.ravel(), minlength=bins) / one.size
    return found.reshape(len(lab), -1)
