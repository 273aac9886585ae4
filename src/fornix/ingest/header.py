"""What a recording's header says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Header:
    """A recording as its header describes it.

    Attributes
    ----------
    n_samples
        Volumes, or samples a channel; NaN if only the reading library can tell.
    sampling_frequency
        In Hz; 1 / TR for BOLD.
    shape
        Space of one sample: ``40x20x1`` voxels, or the number of channels.
    duration
        In s.
    files
        Every file that holds a part of the recording.
    warnings
        What is odd about it.
    """

    n_samples: float
    sampling_frequency: float
    shape: str
    duration: float
    files: tuple[Path, ...]
    warnings: tuple[str, ...] = ()
