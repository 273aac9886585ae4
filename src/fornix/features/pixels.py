"""The pixels themselves: the baseline that every model of vision has to beat."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fornix.features.images import Mode, square_batches
from fornix.features.layers import select_layers
from fornix.study.compute import Compute
from fornix.study.features import PixelFeatures

BATCH = 256


def extract(
    section: PixelFeatures,
    stimuli: pd.DataFrame,
    root: Path,
    resources: Compute,
    notes: list[str],
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Yield the layer ``pixels``: grey or colour values from 0 (black) to 1 (white).

    Parameters
    ----------
    section
        Side of the shrunken picture, and whether colour is kept.
    stimuli
        The stimulus table; all of them pictures.
    root
        Folder that its paths start from.
    resources
        Threads that decode.
    notes
        Not used.

    Yields
    ------
    dict
        ``pixels``: float32 (batch, row * column [* channel]), in that order.

    Raises
    ------
    FornixError
        If a stimulus isn't a picture, or can't be read.
    """
    del notes
    (layer,) = select_layers(["pixels"], section.layers, where="features (kind: pixels)")
    mode: Mode = "RGB" if section.colour else "L"
    for images in square_batches(
        stimuli, root, resources, mode=mode, side=section.size, batch=BATCH, what="pixels"
    ):
        yield {layer: images.reshape(len(images), -1)}
