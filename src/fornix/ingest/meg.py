"""MEG recordings: headers of FIF files, without MNE.

A FIF file is a chain of tags: a kind, a type, a size and the place of the next one, all big-endian
32-bit integers, then the tag's data (Elekta Neuromag's Functional Image File format; the constants
are those of MNE's ``mne._fiff.constants``).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from fornix.errors import FornixError
from fornix.ingest.eeg import FETCH, compare
from fornix.ingest.header import Header

FILE_ID, N_CHANNELS, RATE, BUFFER, SKIPPED = 100, 200, 201, 300, 301
SAMPLE_BYTES = {2: 2, 16: 2, 3: 4, 4: 4, 5: 8, 20: 8, 21: 16}
"""Type of a data buffer -> bytes of a sample: short, packed short, int, float, double, complex."""

SPLIT = re.compile(r"_split-(\d+)_")

TAG = struct.Struct(">iiii")


def read_meg(path: Path, metadata: dict[str, Any]) -> Header:
    """Read a FIF recording's header, and check that the file is whole.

    Parameters
    ----------
    path
        ``.fif``; of a recording that is split into several files, the first.
    metadata
        The sidecars' fields.

    Raises
    ------
    FornixError
        If the file is missing, no FIF, has no samples, or is cut short.
    """
    headers = [_header(one) for one in _files(path)]
    first = headers[0]
    odd = next((one for one in headers if one.shape != first.shape), None)
    if odd is not None:
        problem = f"{odd.shape} channels, but {first.shape} in {path.name}, which it goes on from"
        raise FornixError(problem, where=str(odd.files[0]), mend=FETCH)
    whole = Header(
        n_samples=sum(one.n_samples for one in headers),
        sampling_frequency=first.sampling_frequency,
        shape=first.shape,
        duration=sum(one.duration for one in headers),
        files=tuple(file for one in headers for file in one.files),
    )
    return compare(path, whole, metadata)


def _files(path: Path) -> list[Path]:
    """Return all files of a recording, in order: ``split-01``, ``split-02`` and so on."""
    found = SPLIT.search(path.name)
    if found is None:
        return [path]
    before, after = path.name[: found.start(1)], path.name[found.end(1) :]
    numbers = {
        int(match[1]): one
        for one in path.parent.glob(f"{before}*{after}")
        if (match := SPLIT.search(one.name))
    }
    lost = sorted(set(range(1, max(numbers, default=1) + 1)) - set(numbers))
    if lost:
        problem = f"part {lost[0]} of the recording isn't here: it is split in {max(numbers)}"
        raise FornixError(problem, where=str(path), mend=FETCH)
    return [numbers[number] for number in sorted(numbers)]


def _header(path: Path) -> Header:
    if not path.exists():
        problem = "the recording's content isn't here"
        raise FornixError(problem, where=str(path), mend=FETCH)
    try:
        with path.open("rb") as file:
            return _read(path, file)
    except OSError as error:
        problem = f"the recording can't be read: {error.strerror}"
        raise FornixError(problem, where=str(path), mend=FETCH) from None


def _read(path: Path, file: BinaryIO) -> Header:
    n_channels, rate, n_bytes, n_skipped, last_buffer = 0, 0.0, 0.0, 0, 0
    for kind, dtype, size, place in _tags(path, file):
        if kind in (N_CHANNELS, RATE, SKIPPED):
            file.seek(place)
            value = file.read(4)
            if kind == N_CHANNELS:
                n_channels = struct.unpack(">i", value)[0]
            elif kind == RATE:
                rate = struct.unpack(">f", value)[0]
            else:
                n_skipped += struct.unpack(">i", value)[0]
        elif kind == BUFFER:
            if dtype not in SAMPLE_BYTES:
                problem = f"its samples are of a type that isn't known ({dtype})"
                raise FornixError(problem, where=str(path), mend="save it again with MNE")
            last_buffer = size // SAMPLE_BYTES[dtype]
            n_bytes += last_buffer
    if n_channels < 1 or not rate > 0:
        problem = "no measurement in the FIF file: it states no channels or no sampling rate"
        raise FornixError(problem, where=str(path), mend=FETCH)
    if not n_bytes:
        problem = "the FIF file holds no samples: it isn't a raw recording, or is cut short"
        raise FornixError(problem, where=str(path), mend=FETCH)
    # Data that were left out (skips) are as long as so many buffers.
    n_samples = int(n_bytes + n_skipped * last_buffer) // n_channels
    return Header(n_samples, float(rate), str(n_channels), n_samples / rate, (path,))


def _tags(path: Path, file: BinaryIO) -> Iterator[tuple[int, int, int, int]]:
    """Yield kind, type, size (bytes) and the place of the data, of every tag."""
    length, place, first = path.stat().st_size, 0, True
    while place < length:
        file.seek(place)
        head = file.read(TAG.size)
        if len(head) < TAG.size:
            raise _cut_short(path, length)
        kind, dtype, size, following = TAG.unpack(head)
        if first and kind != FILE_ID:
            problem = "not a FIF file: its first tag isn't a file's id"
            raise FornixError(problem, where=str(path), mend=FETCH)
        first = False
        if size < 0 or place + TAG.size + size > length:
            raise _cut_short(path, length)
        yield kind, dtype, size, place + TAG.size
        if following < 0:
            return
        step = place + TAG.size + size if following == 0 else following
        if step <= place:
            problem = f"the FIF file is damaged: its tags lead back at byte {place}"
            raise FornixError(problem, where=str(path), mend=FETCH)
        place = step
    raise _cut_short(path, length)


def _cut_short(path: Path, length: int) -> FornixError:
    problem = f"the recording is cut short: a tag reaches beyond the file's {length} bytes"
    return FornixError(problem, where=str(path), mend=FETCH)
