"""Whether sounds and clips can be opened, from their headers."""

from __future__ import annotations

from pathlib import Path


def check_sound(path: Path) -> None:
    """Raise OSError unless a file is a sound that has samples."""
    import soundfile

    if path.suffix.lower() in (".m4a", ".aac"):
        _check_stream(path, "audio")
        return
    try:
        frames = soundfile.info(path).frames
    except RuntimeError as error:  # what libsndfile raises
        raise OSError(str(error)) from None
    if not frames:
        msg = "it has no samples"
        raise OSError(msg)


def check_clip(path: Path) -> None:
    """Raise OSError unless a file is a clip with a picture in it."""
    _check_stream(path, "video")


def _check_stream(path: Path, kind: str) -> None:
    import av

    try:
        with av.open(str(path)) as container:
            streams = getattr(container.streams, kind)
            if not streams:
                msg = f"it has no {kind} stream"
                raise OSError(msg)
            if next(container.decode(streams[0]), None) is None:
                msg = "it has no frames"
                raise OSError(msg)
    except (ValueError, av.error.FFmpegError) as error:
        raise OSError(str(error)) from None
