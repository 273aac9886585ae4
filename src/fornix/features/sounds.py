"""Sounds: one channel, at the rate that is asked for, only the stretch that is asked for."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from fornix.errors import FornixError

EMPTY = "the sound has no samples"
MEND = "restore or replace the file; WAV, FLAC, OGG and MP3 always work"


def load_sound(
    path: Path, rate: int, start: float = 0.0, stop: float | None = None
) -> NDArray[np.float32]:
    """Load a stretch of a sound; channels are averaged.

    Parameters
    ----------
    path
        A sound file, or a clip whose sound track is read.
    rate
        Samples a second; the sound is resampled (soxr, high quality) if it has another.
    start, stop
        The stretch, s; None: to the end.

    Returns
    -------
    ndarray
        float32 (sample,), -1 to 1.

    Raises
    ------
    FornixError
        If the file is no sound, is empty, or holds values that aren't finite.
    """
    if path.suffix.lower() in CONTAINERS:
        values, own = _track(path)
        values = values[round(start * own) : None if stop is None else round(stop * own)]
    else:
        try:
            with soundfile.SoundFile(path) as file:
                own = file.samplerate
                file.seek(min(round(start * own), file.frames))
                count = -1 if stop is None else max(0, round(stop * own) - round(start * own))
                values = file.read(count, dtype="float32", always_2d=True).mean(1)
        except (OSError, RuntimeError) as error:
            raise _unreadable(path, error) from None
    if not values.size or not np.isfinite(values).all():
        problem = "the sound has no samples there" if not values.size else "samples aren't finite"
        raise FornixError(problem, where=str(path), mend=MEND)
    found: NDArray[np.float32] = values if own == rate else soxr.resample(values, own, rate)
    return found


@lru_cache(maxsize=65_536)
def sound_duration(path: Path) -> float:
    """Return how long a sound is, s, from its header.

    Raises
    ------
    FornixError
        If the file is no sound, or an empty one.
    """
    if path.suffix.lower() in CONTAINERS:
        values, rate = _track(path)
        return len(values) / rate
    try:
        info = soundfile.info(path)
    except (OSError, RuntimeError) as error:
        raise _unreadable(path, error) from None
    if not info.frames:
        raise FornixError(EMPTY, where=str(path), mend=MEND)
    return float(info.frames / info.samplerate)


CONTAINERS = frozenset({".mp4", ".m4a", ".avi", ".mov", ".mkv", ".webm", ".aac"})
"""Files that libsndfile doesn't open; their sound track is decoded by FFmpeg."""


@lru_cache(maxsize=2)
def _track(path: Path) -> tuple[NDArray[np.float32], int]:
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                problem = "the clip has no sound track"
                mend = "leave it out, or give the sounds as files of their own"
                raise FornixError(problem, where=str(path), mend=mend)
            resampler = av.AudioResampler(format="fltp")
            parts: list[Any] = []
            rate = int(container.streams.audio[0].rate)
            for frame in container.decode(audio=0):
                parts += [one.to_ndarray().mean(0) for one in resampler.resample(frame)]
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if not parts:
        raise FornixError(EMPTY, where=str(path), mend=MEND)
    return np.concatenate(parts).astype(np.float32), rate


def _unreadable(path: Path, error: Exception) -> FornixError:
    return FornixError(f"the sound can't be read: {error}", where=str(path), mend=MEND)
