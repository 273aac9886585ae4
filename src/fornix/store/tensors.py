"""Weights as a safetensors file, also those that memory doesn't hold."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

ALIGNED = 8
"""Bytes of which the header's length is a multiple."""


def save_tensors(tensors: Mapping[str, Any], path: Path) -> None:
    """Write tensors; those that are dask's are computed and written chunk by chunk.

    Parameters
    ----------
    tensors
        Name -> NumPy arrays, or float32 dask arrays cut along their last axis only.
    path
        The file. Its bytes are the same for both kinds of arrays.
    """
    if not any(hasattr(one, "dask") for one in tensors.values()):
        save_file(dict(tensors), path)
        return
    header: dict[str, Any] = {}
    end = 0
    for name in sorted(tensors):
        start, end = end, end + 4 * math.prod(tensors[name].shape)
        shape = list(tensors[name].shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNED)
    first = 8 + len(text)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(first + end)
    for name, tensor in tensors.items():
        offset = first + header[name]["data_offsets"][0]
        stop = 0
        for width in tensor.chunks[-1]:
            start, stop = stop, stop + width
            values = tensor[..., start:stop].compute(scheduler="synchronous")
            # Mapped anew for each chunk: what is written is then no longer this process's memory.
            whole = np.memmap(path, np.float32, "r+", offset=offset, shape=tensor.shape)
            whole[..., start:stop] = values
            whole.flush()
            del whole
