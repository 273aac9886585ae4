"""Sounds: one channel, at the rate that is asked for, only the stretch that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from fornix.errors import FornixError
from fornix.features.clips import clip_info
from fornix.features.containers import SLACK_S, cut_short, first_frame, length, open_stream

MEND = "restore or replace the file; WAV, FLAC, OGG and MP3 always work"
CONTAINERS = frozenset({".mp4", ".m4a", ".avi", ".mov", ".mkv", ".webm", ".aac", ".ogg"})
"""Files whose sound track FFmpeg decodes: libsndfile doesn't open them, or (OGG) goes astray when
it seeks, as does FFmpeg: OGG is decoded from its beginning."""

MARGIN_S = 0.1
"""Sound that is resampled beside a stretch, s, so that its ends don't ring."""

LEAD_S = 0.5
"""How long before a stretch a compressed sound is decoded, s: a frame needs those before."""


GAP_S = 0.02
"""How far a frame's time stamp may be from the end of the frame before, s, without a gap
between them: Matroska keeps whole ms."""


@dataclass(frozen=True)
class _Header:
    """A sound's own rate, Hz; its number of samples; and the time stamp that is its time 0, s."""

    rate: int
    frames: int
    zero: float = 0.0
    of_container: bool = False


def load_sound(
    path: Path, rate: int, start: float = 0.0, stop: float | None = None
) -> NDArray[np.float32]:
    """Load a stretch of a sound; channels are averaged.

    A stretch is the same as that part of the whole: samples ``round(start * rate)`` to
    ``round(stop * rate)``. Stretches of sound tracks in MKV and WebM are exact to a ms.

    Parameters
    ----------
    path
        A sound file, or a clip whose sound track is read; time begins with the clip.
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
        If the file is no sound, has no samples there, ends before its header says, or holds
        values that aren't finite.
    """
    header = _header(path)
    own = header.rate
    # Where the two rates' samples coincide, so that stretches lie on one grid.
    unit = own // gcd(own, rate)
    margin = MARGIN_S if own != rate else 0.0
    first = max(0, int((start - margin) * own) // unit * unit)
    until = round((stop + margin) * own) if stop is not None else header.frames
    until = min(until, header.frames)
    read = _read_track if header.of_container else _read_file
    values = read(path, first, until) if first < until else np.empty(0, np.float32)
    if not np.isfinite(values).all():
        raise _broken(path, "samples aren't finite")
    if own != rate and values.size:
        values = soxr.resample(values, own, rate)
    offset = first // unit * (rate // gcd(own, rate))
    last = None if stop is None else round(stop * rate) - offset
    found: NDArray[np.float32] = values[round(start * rate) - offset : last]
    if not found.size:
        raise _broken(path, "the sound has no samples there")
    return found


def sound_duration(path: Path) -> float:
    """Return how long a sound is, s, from its header.

    Raises
    ------
    FornixError
        If the file is no sound, or an empty one.
    """
    header = _header(path)
    return header.frames / header.rate


@lru_cache(maxsize=65_536)
def _header(path: Path) -> _Header:
    if path.suffix.lower() in CONTAINERS:
        return _track_header(path)
    try:
        info = soundfile.info(path)
    except (OSError, RuntimeError) as error:
        raise _broken(path, f"the sound can't be read: {error}") from None
    if not info.frames:
        raise _broken(path, "the sound has no samples")
    return _Header(int(info.samplerate), int(info.frames))


def _track_header(path: Path) -> _Header:
    with open_stream(path, "audio") as (container, stream):
        begin = float(first_frame(container, stream, path).time or 0)
        # A clip's time begins with its first picture, and its sound may come later.
        zero = clip_info(path).begin if container.streams.video else begin
        rate = int(stream.rate)
        frames = round((begin - zero + length(path, stream, begin)) * rate)
        return _Header(rate, max(1, frames), zero, of_container=True)


def _read_file(path: Path, first: int, until: int) -> NDArray[np.float32]:
    """Return samples ``first`` to ``until``, at the sound's own rate."""
    try:
        with soundfile.SoundFile(path) as file:
            lead = min(first, round(LEAD_S * file.samplerate)) if file.format == "MP3" else 0
            file.seek(first - lead)
            values: NDArray[np.float32] = file.read(until - first + lead, "float32", always_2d=True)
            values = values[lead:]
    except (OSError, RuntimeError) as error:
        raise _broken(path, f"the sound can't be read: {error}") from None
    _check_end(path, first + len(values), until)
    return np.asarray(values.mean(1))


def _read_track(path: Path, first: int, until: int, *, seek: bool = True) -> NDArray[np.float32]:
    """Return samples as :func:`_read_file` does, with silence where the track has none."""
    header = _header(path)
    values = np.zeros(until - first, dtype=np.float32)
    end: int | None = None
    with open_stream(path, "audio") as (container, stream):
        seek = seek and first > LEAD_S * header.rate and container.format.name != "ogg"
        if seek:
            time = header.zero + first / header.rate - LEAD_S
            container.seek(int(time / stream.time_base), stream=stream)
        to_float = av.AudioResampler(format="fltp")
        for frame in container.decode(stream):
            at = round((float(frame.time or 0) - header.zero) * header.rate) - first
            if end is None and seek and at > 0:
                break
            if end is not None and abs(at - end) < GAP_S * header.rate:
                at = end
            if at >= len(values):
                end = len(values)
                break
            samples = np.concatenate([one.to_ndarray() for one in to_float.resample(frame)], 1)
            end = at + samples.shape[1]
            if end > 0:
                part = samples.mean(0)[max(0, -at) : len(values) - at]
                values[max(0, at) : max(0, at) + len(part)] = part
    if end is None and seek:  # the index led too far
        return _read_track(path, first, until, seek=False)
    _check_end(path, first + (end or 0), until)
    return values


def _check_end(path: Path, found: int, wanted: int) -> None:
    header = _header(path)
    if found < wanted - SLACK_S * header.rate:
        stated = header.frames / header.rate
        raise cut_short(path, "audio", stated=stated, found=found / header.rate)


def _broken(path: Path, problem: str) -> FornixError:
    return FornixError(problem, where=str(path), mend=MEND)
