"""Spectrogram and mel spectrogram of sounds, in dB."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann
from transformers.audio_utils import mel_filter_bank

from fornix.features.extractor import Context, Layers
from fornix.features.layers import select_layers
from fornix.features.modality import require_any
from fornix.features.sounds import load_sound, sound_duration
from fornix.features.stretches import Stretches, samples_within
from fornix.features.timegrid import timed_rows
from fornix.study.features.spectrogram import SpectrogramFeatures

WHERE = "features (kind: spectrogram)"
LAYERS = ("spectrogram", "mel")


def table(section: SpectrogramFeatures, stimuli: pd.DataFrame, context: Context) -> pd.DataFrame:
    """Return one line a row: a sound, or a step of time of one."""
    require_any(stimuli, ("audio", "video"), what="spectrogram", where=WHERE)
    return timed_rows(stimuli, context.root, section.rate, sound=True)


@contextmanager
def open_extractor(
    section: SpectrogramFeatures, rows: pd.DataFrame, context: Context
) -> Iterator[Stretches]:
    """Give the layers ``spectrogram`` (frequency) and ``mel`` (band).

    Values are power in dB relative to a sine of full scale, averaged over each row's time.
    """
    del rows
    kept = select_layers(LAYERS, section.layers, where=WHERE)
    transform, bands = _transform(section), mel_bands(section)
    sizes = {"spectrogram": (transform.f_pts,), "mel": (section.n_mels,)}
    empty = int((bands.sum(0) == 0).sum())
    if empty and "mel" in kept:
        text = f"{empty} of {section.n_mels} mel bands lie between two frequencies and say nothing"
        context.notes.append(f"{text}: take fewer n_mels or a longer frame")

    def compute(path: Path, start: float, stop: float) -> tuple[Layers, NDArray[np.float64]]:
        return _stretch(section, transform, bands, path, start, stop)

    yield Stretches({name: sizes[name] for name in kept}, compute, section.rate, context)


def _transform(section: SpectrogramFeatures) -> ShortTimeFFT:
    rate = section.sampling_rate
    length = max(2, round(section.frame * rate))
    window = hann(length, sym=False)
    return ShortTimeFFT(window, max(1, round(section.hop * rate)), fs=rate, scale_to="magnitude")


def mel_bands(section: SpectrogramFeatures) -> NDArray[np.float64]:
    """Return (frequency, band): triangles of Slaney's mel scale, each with unit sum."""
    transform = _transform(section)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty bands; the notes say it in our words
        found: NDArray[np.float64] = mel_filter_bank(
            num_frequency_bins=transform.f_pts,
            num_mel_filters=section.n_mels,
            min_frequency=section.f_min,
            max_frequency=section.f_max or section.sampling_rate / 2,
            sampling_rate=section.sampling_rate,
            mel_scale="slaney",
        )
    found /= np.maximum(found.sum(0, keepdims=True), 1e-12)
    return found


def _stretch(  # noqa: PLR0917 - what was found out so far, handed on once
    section: SpectrogramFeatures,
    transform: ShortTimeFFT,
    bands: NDArray[np.float64],
    path: Path,
    start: float,
    stop: float,
) -> tuple[Layers, NDArray[np.float64]]:
    # Windows lie on a grid that begins with the sound, whatever stretch is asked for.
    rate = section.sampling_rate
    first, last = samples_within(start, stop, rate / transform.hop)
    before = max(0, first * transform.hop - len(transform.win))
    after = last * transform.hop + len(transform.win)
    end = min(after / rate, sound_duration(path))
    sound = load_sound(path, rate, before / rate, end).astype(np.float64)
    offset = before // transform.hop
    sound = np.concatenate([np.zeros(before - offset * transform.hop), sound])
    # A sine of full scale has the amplitude 1, half of it on either side of zero.
    power = 2 * np.abs(transform.stft(sound, p0=first - offset, p1=last - offset)) ** 2
    with np.errstate(divide="ignore"):
        found = {
            "spectrogram": 10 * np.log10(2 * power.T),
            "mel": 10 * np.log10(2 * (power.T @ bands)),
        }
    times = np.arange(first, last) * transform.hop / rate
    limited = {
        name: np.maximum(values, section.floor).astype(np.float32) for name, values in found.items()
    }
    return limited, times
