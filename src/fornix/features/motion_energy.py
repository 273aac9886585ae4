"""Motion energy of clips, by the field's own library for it, pymoten."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fornix.errors import FornixError
from fornix.features.clips import clip_info, load_frames
from fornix.features.extractor import Context, Layers
from fornix.features.layers import select_layers
from fornix.features.modality import require
from fornix.features.stretches import Stretches, samples_within
from fornix.features.timegrid import timed_rows
from fornix.study.features.motion_energy import MotionEnergyFeatures

WHERE = "features (kind: motion_energy)"


def table(section: MotionEnergyFeatures, stimuli: pd.DataFrame, context: Context) -> pd.DataFrame:
    """Return one line a row: a clip, or a step of time of one."""
    require(stimuli, "video", what="motion_energy", where=WHERE)
    return timed_rows(stimuli, context.root, section.rate)


@contextmanager
def open_extractor(
    section: MotionEnergyFeatures, rows: pd.DataFrame, context: Context
) -> Iterator[Stretches]:
    """Give the layer ``motion_energy`` (filter): the root of a quadrature pair's summed squares.

    The order of the filters is pymoten's; luminance is CIE L*, 0 to 100.
    """
    del rows
    (layer,) = select_layers(["motion_energy"], section.layers, where=WHERE)
    pyramid = _pyramid(
        section.size,
        section.fps,
        tuple(section.temporal_frequencies),
        tuple(section.spatial_frequencies),
        section.n_directions,
    )
    luminance = partial(_luminance, size=section.size)
    margin = int(pyramid.definition["filter_temporal_width"]) // 2 + 1

    def compute(path: Path, start: float, stop: float) -> tuple[Layers, NDArray[np.float64]]:
        # Frames lie on a grid that begins with the clip; those around the stretch are filtered
        # with it, so that it doesn't matter where stretches are cut.
        first, last = samples_within(start, stop, section.fps)
        _, end = samples_within(0, clip_info(path).duration, section.fps)
        a, b = max(0, first - margin), min(last + margin, end)
        light = load_frames(path, np.arange(a, b) / section.fps, luminance)
        found = _project(pyramid, light)
        kept = slice(first - a, last - a)
        return {layer: found[kept]}, np.arange(first, last) / section.fps

    yield Stretches({layer: (pyramid.nfilters,)}, compute, section.rate, context)


@lru_cache(maxsize=2)
def _pyramid(
    size: int,
    fps: int,
    temporal: tuple[float, ...],
    spatial: tuple[float, ...],
    n_directions: int,
) -> Any:
    try:
        import moten
    except ModuleNotFoundError:
        problem = "pymoten, which computes motion energy, isn't installed"
        mend = "pip install 'fornix[motion]'"
        raise FornixError(problem, where=WHERE, mend=mend) from None
    return moten.pyramids.MotionEnergyPyramid(
        stimulus_vhsize=(size, size),
        stimulus_fps=fps,
        temporal_frequencies=list(temporal),
        spatial_frequencies=list(spatial),
        spatial_directions=list(360 / n_directions * np.arange(n_directions)),
    )


def _project(pyramid: Any, light: NDArray[np.float64]) -> NDArray[np.float32]:
    with redirect_stderr(io.StringIO()):  # a bar for each stretch
        found: NDArray[np.float32] = pyramid.project_stimulus(light, dtype=np.float32)
    return found.astype(np.float32)


def _luminance(frame: NDArray[np.uint8], size: int) -> NDArray[np.float64]:
    """Return CIE L* of a frame, squashed to a square."""
    image = Image.fromarray(frame).resize((size, size), Image.Resampling.BOX)
    pixels = np.asarray(image, dtype=np.float64) / 255
    linear = np.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
    light = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.asarray(np.where(light > 216 / 24389, 116 * np.cbrt(light) - 16, light * 24389 / 27))
