"""EEG recordings: headers of BrainVision, EDF, BDF and EEGLAB files, without MNE."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from configparser import ConfigParser, Error
from pathlib import Path
from typing import Any

from fornix.errors import FornixError
from fornix.ingest.header import Header

FETCH = "fetch the recording's files again, or leave it out by `select`"
SAMPLE_BYTES = {"INT_16": 2, "UINT_16": 2, "INT_32": 4, "IEEE_FLOAT_32": 4, "IEEE_FLOAT_64": 8}
_EDF_BYTES = {".edf": 2, ".bdf": 3}
_MARKER = re.compile(r"^Mk\d+=[^,]*,[^,]*,(\d+),", re.MULTILINE)
SHORT_SECONDS, SHORT_SHARE = 1.0, 0.01
"""A file is cut short if it lacks this much of the sidecar's RecordingDuration: rounding and
the last sample's own length are less."""


def read_eeg(path: Path, metadata: dict[str, Any]) -> Header:
    """Read an EEG recording's header and check its files against it.

    Parameters
    ----------
    path
        ``.vhdr``, ``.edf``, ``.bdf`` or ``.set``. An EEGLAB ``.set`` is a MATLAB file: its
        length and rate are the sidecar's, and ``n_samples`` is NaN.
    metadata
        The sidecars' fields.

    Raises
    ------
    FornixError
        If a file is missing, corrupt or cut short.
    """
    if not path.exists():
        problem = "the recording's content isn't here"
        raise FornixError(problem, where=str(path), mend=FETCH)
    try:
        if path.suffix == ".vhdr":
            header = _brainvision(path)
        elif path.suffix in _EDF_BYTES:
            header = _edf(path)
        else:
            header = _eeglab(path, metadata)
    except OSError as error:
        problem = f"the recording can't be read: {error.strerror}"
        raise FornixError(problem, where=str(path), mend=FETCH) from None
    return compare(path, header, metadata)


def compare(path: Path, header: Header, metadata: Mapping[str, Any]) -> Header:
    """Return a header with what its sidecar says otherwise.

    Raises
    ------
    FornixError
        If the sidecar says that the recording is longer.
    """
    warnings = list(header.warnings)
    rate = _number(metadata.get("SamplingFrequency"))
    if math.isfinite(rate) and abs(rate - header.sampling_frequency) > 0.01 * rate:
        text = f"the sidecar's SamplingFrequency is {rate:g} Hz, the file's "
        warnings.append(text + f"{header.sampling_frequency:g} Hz; the file's is used")
    said = _number(metadata.get("RecordingDuration"))
    if said - header.duration > max(SHORT_SECONDS, SHORT_SHARE * said):
        problem = f"the recording is cut short: it holds {header.duration:.2f} s, and its sidecar "
        problem += f"says {said:.2f} s (RecordingDuration)"
        raise FornixError(problem, where=str(path), mend=FETCH)
    return Header(
        header.n_samples,
        header.sampling_frequency,
        header.shape,
        header.duration,
        header.files,
        tuple(warnings),
    )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _brainvision(path: Path) -> Header:
    fields = _vhdr(path)
    common = fields["Common Infos"]
    n_channels = int(_positive(path, common, "NumberOfChannels"))
    interval = _positive(path, common, "SamplingInterval")
    data = _part(path, common, "DataFile")
    markers = _part(path, common, "MarkerFile")
    if common.get("DataFormat", "BINARY").upper() != "BINARY":
        problem = f"DataFormat is {common['DataFormat']}; only BINARY is read"
        raise FornixError(problem, where=str(path), mend="export the recording as binary")
    kind = fields.get("Binary Infos", {}).get("BinaryFormat", "INT_16").upper()
    if kind not in SAMPLE_BYTES:
        problem = f"BinaryFormat {kind} isn't known; allowed: {', '.join(SAMPLE_BYTES)}"
        raise FornixError(problem, where=str(path), mend="export the recording again")
    frame, size = n_channels * SAMPLE_BYTES[kind], data.stat().st_size
    n_samples, rest = divmod(size, frame)
    if rest or not n_samples:
        problem = f"{data.name} has {size} bytes, which isn't a whole number of samples of "
        problem += (
            f"{n_channels} channels ({frame} bytes each): it is cut short, or not its header's"
        )
        raise FornixError(problem, where=str(data), mend=FETCH)
    promised = int(common["DataPoints"]) if common.get("DataPoints", "").isdigit() else 0
    positions = map(int, _MARKER.findall(markers.read_text(encoding="utf-8", errors="replace")))
    last = max(positions, default=0)
    if max(promised, last - 1) > n_samples:  # a closing marker may stand one past the end
        reason = f"{markers.name} has a marker at sample {last}"
        if promised > n_samples:
            reason = f"the header promises {promised}"
        problem = f"{data.name} is cut short: it holds {n_samples} samples, and {reason}"
        raise FornixError(problem, where=str(data), mend=FETCH)
    rate = 1e6 / interval
    files = (path, data, markers)
    return Header(n_samples, rate, str(n_channels), n_samples / rate, files)


def _vhdr(path: Path) -> dict[str, dict[str, str]]:
    """Return the sections of a BrainVision header."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    first, _, rest = text.partition("\n")
    # What follows [Comment] is free text.
    body = re.split(r"^\[Comment\]", rest, maxsplit=1, flags=re.MULTILINE)[0]
    parser = ConfigParser(interpolation=None, strict=False, delimiters=("=",), allow_no_value=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(body)
    except Error as error:
        problem = f"not a BrainVision header: {str(error).splitlines()[0]}"
        raise FornixError(problem, where=str(path), mend=FETCH) from None
    found = {name: {k: v or "" for k, v in parser.items(name)} for name in parser.sections()}
    known = first.lower().startswith(("brain vision", "brainvision", "vision"))
    if not known or "Common Infos" not in found:
        problem = "not a BrainVision header: its first line or [Common Infos] isn't there"
        raise FornixError(problem, where=str(path), mend=FETCH)
    return found


def _positive(path: Path, fields: Mapping[str, str], name: str) -> float:
    try:
        value = float(fields[name])
    except (KeyError, ValueError):
        value = math.nan
    if not 0 < value < math.inf:
        problem = f"{name} is {fields.get(name, 'missing')!r}"
        mend = "write a number above 0, or fetch the header again"
        raise FornixError(problem, where=f"{path} ([Common Infos])", mend=mend)
    return value


def _part(path: Path, fields: Mapping[str, str], name: str) -> Path:
    """Return the file beside a header that it names."""
    value = fields.get(name, "").replace("$b", path.stem)
    if not value or Path(value).name != value:
        problem = f"{name} is {value!r}, which isn't a file name"
        mend = "write the name of the file beside the header"
        raise FornixError(problem, where=f"{path} ([Common Infos])", mend=mend)
    found = path.with_name(value)
    if not found.is_file():
        problem = f"the header names {value} ({name}), which isn't there"
        mend = f"put {value} beside the header, or mend {name} in it if the file was renamed"
        raise FornixError(problem, where=str(path), mend=mend)
    return found


def _edf(path: Path) -> Header:
    """Read the fixed-width header of EDF(+) or BDF(+).

    Kemp & Olivan (2003), Clin Neurophysiol 114:1755.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        fixed = file.read(256)
        try:
            if len(fixed) < 256:
                raise ValueError
            n_bytes, n_records, n_signals = (
                int(fixed[a:b]) for a, b in ((184, 192), (236, 244), (252, 256))
            )
            seconds = float(fixed[244:252])
            table = file.read(256 * n_signals)
            at = 216 * n_signals
            counts = [int(table[at + 8 * i : at + 8 * i + 8]) for i in range(n_signals)]
        except ValueError:
            problem = "not an EDF or BDF header: a number in it can't be read"
            raise FornixError(problem, where=str(path), mend=FETCH) from None
    names = [table[16 * i : 16 * i + 16].strip() for i in range(n_signals)]
    signals = [
        n for n, name in zip(counts, names, strict=True) if not name.endswith(b"Annotations")
    ]
    record = sum(counts) * _EDF_BYTES[path.suffix]
    if not signals or record <= 0 or seconds <= 0:
        problem = "the header describes no signal"
        raise FornixError(problem, where=str(path), mend=FETCH)
    held = (size - n_bytes) // record
    if held < max(n_records, 1):
        problem = f"the recording is cut short: its header promises {n_records} data records, "
        raise FornixError(problem + f"it holds {held}", where=str(path), mend=FETCH)
    n_records = held if n_records < 0 else n_records  # -1: length unknown while recording
    rate, n_samples = max(signals) / seconds, n_records * max(signals)
    mixed = ("the signals differ in sampling rate: the highest is used",)
    warnings = mixed if len(set(signals)) > 1 else ()
    return Header(n_samples, rate, str(len(signals)), n_records * seconds, (path,), warnings)


def _eeglab(path: Path, metadata: Mapping[str, Any]) -> Header:
    """Describe an EEGLAB set by its sidecar; the data may lie beside it in an ``.fdt``."""
    if path.stat().st_size < 128:
        problem = f"not an EEGLAB set: {path.stat().st_size} bytes are less than its header"
        raise FornixError(problem, where=str(path), mend=FETCH)
    beside = path.with_suffix(".fdt")
    kinds = ("EEG", "EOG", "ECG", "EMG", "Misc")
    said = [metadata.get(f"{kind}ChannelCount") for kind in kinds]
    counts = [count for count in said if isinstance(count, int)]
    return Header(
        n_samples=math.nan,
        sampling_frequency=_number(metadata.get("SamplingFrequency")),
        shape=str(sum(counts)) if counts else "",
        duration=_number(metadata.get("RecordingDuration")),
        files=(path, beside) if beside.exists() else (path,),
        warnings=("an EEGLAB set's length is known when it is preprocessed, not before",),
    )
