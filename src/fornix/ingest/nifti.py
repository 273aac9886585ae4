"""NIfTI recordings: the header, and whether all of the data that it promises is there."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from fornix.errors import FornixError
from fornix.ingest.header import Header

_BLOCK = 1 << 20
_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
HEADER_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    zlib.error,
    ImageFileError,
    WrapStructError,
    HeaderDataError,
)
"""What nibabel raises on a header that it can't make sense of."""

FETCH = "fetch the file again (`datalad get`, `fornix fetch`), or leave its recording out"


def read_bold(path: Path, metadata: dict[str, Any], *, thorough: bool) -> Header:
    """Read a BOLD image's header and check the file's length against it.

    Parameters
    ----------
    path
        ``.nii`` or ``.nii.gz``.
    metadata
        The sidecars' fields; ``RepetitionTime`` (s) wins over the header's.
    thorough
        Decompress the whole file, so that its checksum is checked too. Otherwise the length
        that gzip keeps in its last four bytes is compared, which takes no time.

    Raises
    ------
    FornixError
        If the header is corrupt, the data are cut short, or the image isn't a series.
    """
    where = str(path)
    try:
        image = nib.load(path)
        shape, affine = image.shape, image.affine
        itemsize = image.get_data_dtype().itemsize
    except HEADER_ERRORS as error:
        problem = f"the image's header can't be read: {error}"
        raise FornixError(problem, where=where, mend=FETCH) from None
    if len(shape) != 4 or min(shape) < 1:
        problem = f"a BOLD series has four dimensions; this image has shape {_times(shape)}"
        mend = "give the 4D series, or rename an image that isn't BOLD"
        raise FornixError(problem, where=where, mend=mend)
    if affine is None or not np.isfinite(affine).all() or not np.linalg.det(affine[:3, :3]):
        problem = "the header's affine is singular or not finite"
        raise FornixError(problem, where=where, mend="mend sform and qform of the header")
    offset = int(image.dataobj.offset)
    _check_length(path, offset + math.prod(shape) * itemsize, thorough=thorough)
    repetition_time, warnings = _repetition_time(path, image.header, metadata)
    return Header(
        n_samples=shape[3],
        sampling_frequency=1 / repetition_time,
        shape=_times(shape[:3]),
        duration=shape[3] * repetition_time,
        files=(path,),
        warnings=warnings,
    )


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)


def _check_length(path: Path, expected: int, *, thorough: bool) -> None:
    if path.suffix != ".gz":
        held = path.stat().st_size
    elif not thorough and _stored_length(path) == expected % 2**32:
        return
    else:
        # Also where the stored length differs: a file of several gzip members stores the last
        # one's only.
        held = _decompressed_length(path, expected)
    if held < expected:
        problem = f"the image is cut short: its header promises {expected} bytes, it has {held}"
        raise FornixError(problem, where=str(path), mend=FETCH)


def _stored_length(path: Path) -> int:
    with path.open("rb") as file:
        file.seek(-4, 2)
        (length,) = struct.unpack("<I", file.read(4))
    return int(length)


def _decompressed_length(path: Path, expected: int) -> int:
    held = 0
    try:
        with gzip.open(path) as file:
            while block := file.read(_BLOCK):
                held += len(block)
    except EOFError:
        problem = f"the image is cut short: its compressed data end before its {expected} bytes"
        raise FornixError(problem, where=str(path), mend=FETCH) from None
    except (OSError, zlib.error) as error:
        problem = f"the image is corrupt: {error}"
        raise FornixError(problem, where=str(path), mend=FETCH) from None
    return held


def _repetition_time(
    path: Path, header: Any, metadata: dict[str, Any]
) -> tuple[float, tuple[str, ...]]:
    """Return the time from one volume to the next (s), and what is odd about it."""
    unit = header.get_xyzt_units()[1]
    in_header = float(header.get_zooms()[3]) * _SECONDS.get(unit, 1.0)
    said = metadata.get("RepetitionTime")
    if said is None and metadata.get("VolumeTiming") is not None:
        said = _regular(path, metadata["VolumeTiming"])
    if said is None:
        if not (math.isfinite(in_header) and in_header > 0):
            problem = "neither the sidecar nor the header says the repetition time"
            mend = "write RepetitionTime (s) into the recording's JSON sidecar"
            raise FornixError(problem, where=str(path), mend=mend)
        return in_header, ("no RepetitionTime in the sidecar: the header's is used",)
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 < said < math.inf:
        problem = f"RepetitionTime is {said!r}"
        mend = "write it in seconds, as a number above 0"
        raise FornixError(problem, where=f"{path} (sidecar)", mend=mend)
    if in_header > 0 and abs(in_header - said) > 0.01 * said:
        text = f"the sidecar's RepetitionTime is {said:g} s, the header's {in_header:g} s; "
        return float(said), (text + "the sidecar's is used",)
    return float(said), ()


def _regular(path: Path, times: Any) -> float:
    steps = np.diff(np.asarray(times, dtype=float))
    if not len(steps) or not np.allclose(steps, steps[0], rtol=1e-3):
        problem = "the volumes' times (VolumeTiming) aren't evenly spaced"
        mend = "leave the recording out: Fornix needs one repetition time"
        raise FornixError(problem, where=f"{path} (sidecar)", mend=mend)
    return float(steps[0])
