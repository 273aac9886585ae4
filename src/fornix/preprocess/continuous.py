"""Steps on continuous EEG and MEG: reference, filter, notch, resample."""

from __future__ import annotations

import json
import warnings
from typing import Any

import mne
import pandas as pd

from fornix.errors import FornixError, did_you_mean
from fornix.preprocess.material import Journal, name_of, text
from fornix.preprocess.recordings import BOUNDARY, Channels
from fornix.study.responses import EegResponses, EpochsSection

AVERAGE_NEEDS = 8
"""Channels; the mean of fewer isn't near the potential of a distant point."""

SKIP = ("edge", "bad_acq_skip", BOUNDARY.lower())


def clean_raw(
    raw: Any, section: EpochsSection, channels: Channels, recording: pd.Series, journal: Journal
) -> Any:
    """Apply reference, filters and a new sampling rate to a recording, in place.

    Filters are MNE's defaults: zero-phase FIR (firwin, Hamming). They restart at boundaries.

    Parameters
    ----------
    raw
        Recording, as ``open_raw`` returns it.
    section
        The settings.
    channels
        What to keep. Bad channels are in no reference.
    recording
        Row of the recordings' table.
    journal
        What was done, and MNE's warnings.

    Returns
    -------
    mne.io.Raw
        With the kept channels only, in their order, loaded.

    Raises
    ------
    FornixError
        If a frequency can't be had at the recording's sampling rate, or a reference channel
        isn't there.
    """
    where = name_of(recording)
    raw.load_data(verbose="ERROR")
    raw.info["bads"] = [name for name in channels.bad if name in raw.ch_names]
    # MNE may print its warnings as well; the journal has them.
    with warnings.catch_warnings(record=True) as caught, mne.utils.catch_logging("WARNING"):
        warnings.simplefilter("always")
        if isinstance(section, EegResponses):
            _reference(raw, section, journal, where)
        raw.reorder_channels(channels.names)
        raw.info["bads"] = []
        _filter(raw, section, where, journal)
        _notch(raw, section, recording, journal)
        if section.resample:
            raw.resample(section.resample)
            journal.step(f"resampled to {section.resample:g} Hz")
    for message in dict.fromkeys(str(one.message).split("\n")[0] for one in caught):
        journal.step(f"MNE warned of {where}: {message}")
    return raw


def _reference(raw: Any, section: EegResponses, journal: Journal, where: str) -> None:
    if section.reference == "none":
        return
    if section.reference == "average":
        good = mne.pick_types(raw.info, meg=False, eeg=True, exclude="bads")
        if len(good) < AVERAGE_NEEDS:
            journal.step(
                f"reference: left as recorded; an average needs {AVERAGE_NEEDS} good EEG "
                f"channels and there are {len(good)}"
            )
            return
        raw.set_eeg_reference("average", projection=False)
        journal.step("referenced to the average of the good EEG channels")
        return
    for name in section.reference:
        if name not in raw.ch_names or name in raw.info["bads"]:
            state = "is bad" if name in raw.ch_names else "isn't there"
            good_names = [one for one in raw.ch_names if one not in raw.info["bads"]]
            problem = f"the reference channel '{name}' {state}"
            mend = did_you_mean(name, good_names)
            raise FornixError(problem, where=f"responses: reference ({where})", mend=mend)
    raw.set_eeg_reference(section.reference, projection=False)
    journal.step(f"referenced to {', '.join(section.reference)}")


def _filter(raw: Any, section: EpochsSection, where: str, journal: Journal) -> None:
    low, high, nyquist = section.l_freq or None, section.h_freq, raw.info["sfreq"] / 2
    if max(low or 0.0, high or 0.0) >= nyquist or (low and high and low >= high):
        problem = f"the pass band {low or 0:g} to {high or nyquist:g} Hz can't be had"
        mend = f"keep l_freq < h_freq < {nyquist:g} Hz (half the recording's sampling rate)"
        raise FornixError(problem, where=f"responses: l_freq, h_freq ({where})", mend=mend)
    if low or high:
        raw.filter(low, high, picks="all", skip_by_annotation=SKIP)
        edges = f"{low or 0:g} to {f'{high:g}' if high else 'Nyquist'}"
        journal.step(f"filtered, {edges} Hz (zero-phase FIR)")


def _notch(raw: Any, section: EpochsSection, recording: pd.Series, journal: Journal) -> None:
    frequencies = notch_frequencies(section, recording, raw.info["sfreq"])
    if frequencies:
        raw.notch_filter(frequencies, picks="all", skip_by_annotation=SKIP)
        journal.step(f"notch at {', '.join(f'{one:g}' for one in frequencies)} Hz")


def notch_frequencies(
    section: EpochsSection, recording: pd.Series, sampling_frequency: float
) -> list[float]:
    """Return the frequencies to notch, Hz.

    ``auto`` is the sidecar's line frequency and its harmonics, as far as the low-pass (or half
    the sampling rate) leaves them in: a filter ending at 30 Hz has no 50 Hz to remove.

    Raises
    ------
    FornixError
        If a frequency that is named isn't below half the sampling rate.
    """
    nyquist = sampling_frequency / 2
    if section.notch == "auto":
        line = json.loads(text(recording.get("sidecar")) or "{}").get("PowerLineFrequency")
        if not isinstance(line, int | float) or not line > 0:
            return []
        # A notch is as wide as MNE makes it, f / 200, with transition bands of 0.5 Hz.
        top = min(section.h_freq or nyquist, nyquist - 1.0)
        return [float(line * n) for n in range(1, int(top // line) + 1) if line * n < top]
    for one in section.notch or []:
        if not 0 < one < nyquist:
            problem = f"a notch at {one:g} Hz isn't below half the sampling rate, {nyquist:g} Hz"
            raise FornixError(
                problem, where=f"responses: notch ({name_of(recording)})", mend="leave it out"
            )
    return sorted(section.notch or [])
