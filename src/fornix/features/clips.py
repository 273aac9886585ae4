"""Clips: the frames that are shown at given times."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from fornix.errors import FornixError

EMPTY = "the clip has no frames"
MEND = "restore or replace the file; MP4 and MKV always work"


@dataclass(frozen=True)
class ClipInfo:
    """What a clip is.

    Attributes
    ----------
    duration
        From its first frame to the end of its last, s.
    rate
        Frames a second.
    width, height
        Of a frame, pixels.
    """

    duration: float
    rate: float
    width: int
    height: int


@lru_cache(maxsize=65_536)
def clip_info(path: Path) -> ClipInfo:
    """Return a clip's duration, rate and size, from its header.

    Raises
    ------
    FornixError
        If the file is no clip, or has no frames.
    """
    try:
        with av.open(str(path)) as container:
            stream = _stream(container, path)
            rate = float(stream.average_rate or stream.guessed_rate or 0)
            duration = _duration(container, stream)
            if not duration or not rate:  # a header that doesn't say: the frames are counted
                times = [float(f.time or 0) for f in container.decode(stream)]
                if not times:
                    raise FornixError(EMPTY, where=str(path), mend=MEND)
                step = (times[-1] - times[0]) / max(1, len(times) - 1)
                rate = rate or (1 / step if step else 1.0)
                duration = times[-1] - times[0] + 1 / rate
            return ClipInfo(duration, rate, stream.width, stream.height)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def load_frames(path: Path, times: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the frames that are shown at some times.

    Parameters
    ----------
    path
        The clip.
    times
        s from the first frame, ascending. A frame is shown until the next one comes; the last
        one from then on.

    Returns
    -------
    ndarray
        uint8 (time, row, column, 3), upright.

    Raises
    ------
    FornixError
        If the clip can't be decoded, or has no frames.
    """
    found: list[NDArray[np.uint8]] = []
    try:
        with av.open(str(path)) as container:
            stream = _stream(container, path)
            stream.thread_type = "AUTO"
            first: float | None = None
            shown: Any = None
            if len(times) and times[0] > 0 and stream.time_base:
                # To the key frame before; decoding from there on finds the exact one.
                begins = stream.start_time or 0
                container.seek(begins + int(times[0] / stream.time_base), stream=stream)
                first = float(begins * stream.time_base)
            for frame in container.decode(stream):
                now = float(frame.time or 0)
                first = now if first is None else first
                while len(found) < len(times) and shown is not None and (
                    times[len(found)] < now - first - 1e-6
                ):  # fmt: skip
                    found.append(_upright(shown))
                shown = frame
                if len(found) == len(times):
                    break
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if shown is None:
        raise FornixError(EMPTY, where=str(path), mend=MEND)
    found += [_upright(shown)] * (len(times) - len(found))
    return np.stack(found)


def _upright(frame: Any) -> NDArray[np.uint8]:
    values: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
    turns = round(float(getattr(frame, "rotation", 0) or 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(values, turns)) if turns else values


def _stream(container: Any, path: Path) -> Any:
    if not container.streams.video:
        problem = "the file has no video stream"
        mend = "name it as a sound, or replace it"
        raise FornixError(problem, where=str(path), mend=mend)
    return container.streams.video[0]


def _duration(container: Any, stream: Any) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if stream.frames and stream.average_rate:
        return float(stream.frames / stream.average_rate)
    return float(container.duration or 0) / av.time_base


def _unreadable(path: Path, error: Exception) -> FornixError:
    return FornixError(f"the clip can't be read: {error}", where=str(path), mend=MEND)
