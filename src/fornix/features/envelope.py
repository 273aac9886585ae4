"""Amplitude envelope of sounds, and the onsets in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import butter, hilbert, sosfiltfilt

from fornix.features.extractor import Context, Layers
from fornix.features.layers import select_layers
from fornix.features.modality import require_any
from fornix.features.sounds import load_sound, sound_duration
from fornix.features.stretches import Stretches, samples_within
from fornix.features.timegrid import timed_rows
from fornix.study.features.envelope import EnvelopeFeatures

WHERE = "features (kind: envelope)"
LAYERS = ("envelope", "onset")
MARGIN_S = 1.0
"""Sound on either side of a stretch, s, so that filters have settled."""


def table(section: EnvelopeFeatures, stimuli: pd.DataFrame, context: Context) -> pd.DataFrame:
    """Return one line a row: a sound, or a step of time of one."""
    require_any(stimuli, ("audio", "video"), what="envelope", where=WHERE)
    return timed_rows(stimuli, context.root, section.rate, sound=True)


@contextmanager
def open_extractor(
    section: EnvelopeFeatures, rows: pd.DataFrame, context: Context
) -> Iterator[Stretches]:
    """Give the layers ``envelope`` (full scale is 1) and ``onset`` (its rise, 1/s)."""
    del rows
    kept = select_layers(LAYERS, section.layers, where=WHERE)

    def compute(path: Path, start: float, stop: float) -> tuple[Layers, NDArray[np.float64]]:
        rate = section.sampling_rate
        before = max(0.0, start - MARGIN_S)
        sound = load_sound(path, rate, before, min(stop + MARGIN_S, sound_duration(path)))
        values = envelope(sound, section)
        rise = np.maximum(np.gradient(values, 1 / rate), 0)
        first, last = (at - round(before * rate) for at in samples_within(start, stop, rate))
        some = slice(min(first, len(values) - 1), last)
        found = {"envelope": values[some, None], "onset": rise[some, None]}
        times = (round(before * rate) + np.arange(len(values))[some]) / rate
        return {name: one.astype(np.float32) for name, one in found.items()}, times

    yield Stretches(dict.fromkeys(kept, (1,)), compute, section.rate, context)


def envelope(sound: NDArray[np.float32], section: EnvelopeFeatures) -> NDArray[np.float64]:
    """Return the compressed, low-passed amplitude of a sound, sample by sample.

    The amplitude is the size of the analytic signal, raised to a power (0.6: Biesmans et al.
    2017, IEEE Trans Neural Syst Rehabil Eng 25:402), low-passed by a zero-phase filter.
    """
    amplitude = np.abs(hilbert(sound.astype(np.float64))) ** section.power
    nyquist = section.sampling_rate / 2
    if section.cutoff >= nyquist:
        return np.asarray(amplitude)
    filters = butter(2, section.cutoff / nyquist, output="sos")
    length = min(len(amplitude) - 1, 3 * section.sampling_rate)
    smooth = sosfiltfilt(filters, amplitude, padtype="even", padlen=length)
    return np.asarray(np.maximum(smooth, 0))
