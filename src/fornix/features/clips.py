"""Clips: the frames that are shown at given times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fornix.features.containers import SLACK_S, cut_short, first_frame, length, open_stream

ROUNDING_S = 1e-3
"""A frame counts as shown this long before its time stamp, s: Matroska rounds those to ms."""

LEAD_S = 1.0
"""How long before a stretch decoding begins at the latest, s: indices list frames by when they
are decoded, which is up to a few frames before they are shown."""


@dataclass(frozen=True)
class ClipInfo:
    """What a clip is.

    Attributes
    ----------
    begin
        Time stamp of its first frame, s.
    duration
        From its first frame to the end of its last, s.
    rate
        Frames a second, on average.
    width, height
        Of a frame as it is shown, pixels.
    """

    begin: float
    duration: float
    rate: float
    width: int
    height: int


@lru_cache(maxsize=65_536)
def clip_info(path: Path) -> ClipInfo:
    """Return a clip's duration, rate and size, from its header and its first frame.

    Raises
    ------
    FornixError
        If the file is no clip, or has no frames.
    """
    with open_stream(path, "video") as (container, stream):
        frame = first_frame(container, stream, path)
        height, width = _upright(frame).shape[:2]
        begin = 0.0 if _untimed(container) else float(frame.time or 0)
        duration = length(path, stream, begin)
        rate = float(stream.average_rate or stream.guessed_rate or 1)
        return ClipInfo(begin, duration or 1 / rate, rate, width, height)


def load_frames(
    path: Path,
    times: NDArray[np.float64],
    prepare: Callable[[NDArray[np.uint8]], NDArray[Any]] = lambda frame: frame,
) -> NDArray[Any]:
    """Return the frames that are shown at some times.

    Parameters
    ----------
    path
        The clip.
    times
        s from the first frame, ascending. A frame is shown until the next one comes; the last
        one from then on.
    prepare
        Called with each frame, so that frames needn't be held in memory at their full size.

    Returns
    -------
    ndarray
        uint8 (time, row, column, 3), upright; or (time, ...) of what ``prepare`` returns.

    Raises
    ------
    FornixError
        If the clip can't be decoded, has no frames, or ends before its header says.
    """
    info = clip_info(path)
    found: list[NDArray[Any]] = []
    shown: Any = None
    now = 0.0
    for now, frame in _frames(path, info, float(times[0])):
        over = int(np.searchsorted(times, now - ROUNDING_S)) - len(found)
        if shown is not None and over:
            found += [prepare(_upright(shown))] * over
        shown = frame
        if len(found) == len(times):
            return np.stack(found)
    ends = now + _lasts(shown, info)
    if ends < info.duration - SLACK_S and times[-1] > ends:
        raise cut_short(path, "video", stated=info.duration, found=ends)
    return np.stack(found + [prepare(_upright(shown))] * (len(times) - len(found)))


def _frames(path: Path, info: ClipInfo, start: float) -> Iterator[tuple[float, Any]]:
    """Yield frames and their times, the first one at or before ``start``."""
    with open_stream(path, "video") as (container, stream):
        stream.thread_type = "AUTO"
        if _untimed(container):
            for at, frame in enumerate(container.decode(stream)):
                yield at / info.rate, frame
            return
        sought = start > LEAD_S
        if sought:
            target = int((info.begin + start - LEAD_S) / stream.time_base)
            container.seek(target, stream=stream)
        for frame in container.decode(stream):
            if frame.time is None:
                msg = "its frames have no times"
                raise ValueError(msg)
            now = float(frame.time) - info.begin
            if sought and now > start + ROUNDING_S:
                break
            sought = False
            yield now, frame
    if sought:  # the index led too far
        yield from _frames(path, info, 0.0)


def _untimed(container: Any) -> bool:
    """Tell whether a container keeps no times: frames of an AVI are evenly spaced."""
    return str(container.format.name) == "avi"


def _lasts(frame: Any, info: ClipInfo) -> float:
    stated = float(frame.duration * frame.time_base) if frame.duration else 0.0
    return max(stated, 1 / info.rate)


def _upright(frame: Any) -> NDArray[np.uint8]:
    values: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
    turns = round(float(frame.rotation or 0) / 90) % 4  # counterclockwise, as rot90's
    return np.ascontiguousarray(np.rot90(values, turns)) if turns else values
