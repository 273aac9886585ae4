"""Histograms of oriented gradients of pictures, by scikit-image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from skimage.feature import hog

from fornix.features.extractor import Context, Extractor, Layers
from fornix.features.frames import extractor_of_frames, table_of_frames
from fornix.features.images import load_image, square
from fornix.features.layers import select_layers
from fornix.study.features.hog import HogFeatures

WHERE = "features (kind: hog)"


def table(section: HogFeatures, stimuli: pd.DataFrame, context: Context) -> pd.DataFrame:
    """Return one line a row: a picture, a clip, or a step of time of a clip."""
    return table_of_frames(stimuli, context.root, section.rate, what="hog")


@contextmanager
def open_extractor(
    section: HogFeatures, rows: pd.DataFrame, context: Context
) -> Iterator[Extractor]:
    """Give the layer ``hog`` (block row * block column * cell row * cell column * orientation).

    Raises
    ------
    FornixError
        If a stimulus is no picture and no clip, or can't be read.
    """
    (layer,) = select_layers(["hog"], section.layers, where=WHERE)
    blocks = section.size // section.cell - section.block + 1
    size = blocks**2 * section.block**2 * section.n_orientations

    def scaled(image: Image.Image) -> NDArray[np.float32]:
        return np.asarray(image, dtype=np.float32) / np.float32(255)

    def of_file(path: Path) -> NDArray[np.float32]:
        return scaled(load_image(path, "L", section.size))

    def of_frame(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        return scaled(square(Image.fromarray(frame).convert("L"), section.size))

    def compute(pictures: NDArray[np.float32]) -> Layers:
        found = [
            hog(
                picture,
                orientations=section.n_orientations,
                pixels_per_cell=(section.cell, section.cell),
                cells_per_block=(section.block, section.block),
                block_norm="L2-Hys",
            )
            for picture in pictures
        ]
        return {layer: np.stack(found).astype(np.float32)}

    yield extractor_of_frames(
        rows, section.rate, context, {layer: (size,)}, compute, of_file=of_file, of_frame=of_frame
    )
