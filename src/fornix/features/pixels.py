"""The pixels themselves: the baseline that every model of vision has to beat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd

from fornix.features.extractor import Batched, Context, Layers
from fornix.features.images import Mode, squares
from fornix.features.layers import select_layers
from fornix.features.modality import require
from fornix.study.features.pixels import PixelFeatures

BATCH = 256
WHERE = "features (kind: pixels)"


@contextmanager
def open_extractor(
    section: PixelFeatures, rows: pd.DataFrame, context: Context
) -> Iterator[Batched]:
    """Give the layer ``pixels``: grey or colour values from 0 (black) to 1 (white).

    Rows are float32 (row * column [* channel]), in that order; with ``grid`` they are (row,
    column, channel).

    Raises
    ------
    FornixError
        If a stimulus isn't a picture, or can't be read.
    """
    (layer,) = select_layers(["pixels"], section.layers, where=WHERE)
    require(rows, "image", what="pixels", where=WHERE)
    mode: Mode = "RGB" if section.colour else "L"

    channels = 3 if section.colour else 1
    shape: tuple[int, ...] = (section.size**2 * channels,)
    if section.grid:
        shape = (section.size, section.size, channels)

    def compute(some: pd.DataFrame) -> Layers:
        images = squares(some, context, mode=mode, side=section.size)
        return {layer: images.reshape(len(images), *shape)}

    yield Batched({layer: shape}, compute, BATCH, context)
