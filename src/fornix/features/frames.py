"""Features of pictures that are as well features of the frames of clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fornix.errors import FornixError
from fornix.features.clips import clip_info, load_frames
from fornix.features.extractor import Batched, Context, Extractor, Layers
from fornix.features.images import map_images
from fornix.features.modality import require_any
from fornix.features.stretches import Stretches, samples_within
from fornix.features.timegrid import timed_rows

BATCH = 64

Pixels = NDArray[np.float32]
"""(row, column) or (row, column, channel)."""


def table_of_frames(
    stimuli: pd.DataFrame, root: Path, rate: float | None, *, what: str
) -> pd.DataFrame:
    """Return one line a row: a picture, a clip, or a step of time of a clip.

    Raises
    ------
    FornixError
        If some stimuli are neither, or a rate is given and there are pictures.
    """
    where = f"features (kind: {what})"
    require_any(stimuli, ("image", "video"), what=what, where=where)
    pictures = stimuli[stimuli["modality"] == "image"]
    if rate is not None and len(pictures):
        problem = f"pictures, such as {pictures['stimulus'].iloc[0]!r}, have no rows in time"
        raise FornixError(problem, where=where, mend="leave out rate, or take a dataset of clips")
    return timed_rows(stimuli, root, rate)


def extractor_of_frames(
    rows: pd.DataFrame,
    rate: float | None,
    context: Context,
    shapes: Mapping[str, tuple[int, ...]],
    compute: Callable[[NDArray[np.float32]], Layers],
    *,
    of_file: Callable[[Path], Pixels],
    of_frame: Callable[[NDArray[np.uint8]], Pixels],
) -> Extractor:
    """Return the extractor of pictures or of clips, whichever the rows are.

    Parameters
    ----------
    rows, rate, context
        As the kind is given them.
    shapes
        Layer -> shape of one row.
    compute
        Pictures (picture, row, column, ...) -> layer -> (picture, ...).
    of_file, of_frame
        A picture's file, or a clip's uint8 (row, column, 3) -> what is computed on.

    Raises
    ------
    FornixError
        If there are both pictures and clips.
    """
    modality = str(rows["modality"].iloc[0])
    if (rows["modality"] != modality).any():
        problem = "the stimuli are both pictures and clips"
        mend = "select the recordings of one of them in the dataset's select"
        raise FornixError(problem, where=f"stimulus {rows['stimulus'].iloc[0]!r}", mend=mend)

    def pictures(some: pd.DataFrame) -> Layers:
        paths = [context.root / str(path) for path in some["path"]]
        return compute(np.stack(map_images(of_file, paths, context.resources.threads)))

    def stretch(path: Path, start: float, stop: float) -> tuple[Layers, NDArray[np.float64]]:
        own = clip_info(path).rate
        times = np.arange(*samples_within(start, stop, own)) / own
        frames = load_frames(path, times, of_frame)
        parts = [compute(frames[at : at + BATCH]) for at in range(0, len(frames), BATCH)]
        return {name: np.concatenate([part[name] for part in parts]) for name in shapes}, times

    if modality == "image":
        return Batched(shapes, pictures, BATCH, context)
    return Stretches(shapes, stretch, rate, context)
