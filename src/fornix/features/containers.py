"""Containers of clips and sound tracks: their streams, and how long those last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import av

from fornix.errors import FornixError

Kind = Literal["audio", "video"]
WHAT = {"audio": "sound", "video": "clip"}
LACKING = {
    "audio": ("the clip has no sound track", "leave it out, or give the sounds as own files"),
    "video": ("the file has no video stream", "replace it if it's cut short, or name it a sound"),
}
SLACK_S = 0.5
"""How much shorter than its header says a stream may be, s: headers round, and count the
silence that encoders put first."""


@contextmanager
def open_stream(path: Path, kind: Kind) -> Iterator[tuple[Any, Any]]:
    """Open a file and give its container and its first stream of a kind.

    Raises
    ------
    FornixError
        If the file can't be opened, has no such stream, or can't be decoded.
    """
    try:
        with av.open(str(path)) as container:
            streams = getattr(container.streams, kind)
            if not streams:
                problem, mend = LACKING[kind]
                raise FornixError(problem, where=str(path), mend=mend)
            yield container, streams[0]
    except (av.error.FFmpegError, OSError, ValueError) as error:
        problem = f"the {WHAT[kind]} can't be read: {error}"
        mend = "restore or replace the file; MP4 and MKV always work"
        raise FornixError(problem, where=str(path), mend=mend) from None


def first_frame(container: Any, stream: Any, path: Path) -> Any:
    """Return the first frame of a stream that was just opened.

    Raises
    ------
    FornixError
        If it has none.
    """
    frame = next(container.decode(stream), None)
    if frame is None:
        problem = f"the {WHAT[stream.type]} has no frames"
        raise FornixError(problem, where=str(path), mend="restore or replace the file")
    return frame


def length(path: Path, stream: Any, begin: float) -> float:
    """Return how long a stream lasts from its first frame's time stamp, s.

    The container's own duration is that of its longest stream, and isn't taken: the header says
    it of the stream, or the packets are counted.
    """
    if stream.duration:
        return float(stream.duration * stream.time_base)
    if stated := stream.metadata.get("DURATION"):  # Matroska: when the stream ends
        hours, minutes, seconds = map(float, stated.split(":"))
        return 3600 * hours + 60 * minutes + seconds - begin
    with open_stream(path, stream.type) as (container, again):
        ends = [
            float((packet.pts + (packet.duration or 0)) * packet.time_base)
            for packet in container.demux(again)
            if packet.pts is not None
        ]
    return max(ends, default=begin) - begin


def cut_short(path: Path, kind: Kind, *, stated: float, found: float) -> FornixError:
    """Return the error of a file whose content ends before its header says."""
    problem = (
        f"the {WHAT[kind]} is cut short: {stated:.1f} s by its header, {found:.1f} s are there"
    )
    return FornixError(problem, where=str(path), mend="restore or replace the file")
