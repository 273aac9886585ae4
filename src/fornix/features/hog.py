"""Histograms of oriented gradients of pictures, by scikit-image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
from skimage.feature import hog

from fornix.features.extractor import Batched, Context, Layers
from fornix.features.images import squares
from fornix.features.layers import select_layers
from fornix.features.modality import require
from fornix.study.features.hog import HogFeatures

WHERE = "features (kind: hog)"
BATCH = 64


@contextmanager
def open_extractor(section: HogFeatures, rows: pd.DataFrame, context: Context) -> Iterator[Batched]:
    """Give the layer ``hog`` (block row * block column * cell row * cell column * orientation).

    Raises
    ------
    FornixError
        If a stimulus isn't a picture, or can't be read.
    """
    require(rows, "image", what="hog", where=WHERE)
    (layer,) = select_layers(["hog"], section.layers, where=WHERE)
    blocks = section.size // section.cell - section.block + 1
    size = blocks**2 * section.block**2 * section.n_orientations

    def compute(some: pd.DataFrame) -> Layers:
        found = [
            hog(
                image,
                orientations=section.n_orientations,
                pixels_per_cell=(section.cell, section.cell),
                cells_per_block=(section.block, section.block),
                block_norm="L2-Hys",
            )
            for image in squares(some, context, mode="L", side=section.size)
        ]
        return {layer: np.stack(found).astype(np.float32)}

    yield Batched({layer: (size,)}, compute, BATCH, context)
