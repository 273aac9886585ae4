"""Recordings of EEG and MEG to epochs: MNE's steps, then a scale and a limit for each channel.

Per run: reference, filter, notch, resample; cut epochs; reject by peak-to-peak amplitude;
baseline; scale by the run's continuous, filtered signal (bad segments left out), so that the
scale of a channel rests on minutes of data and on no label; clip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mne
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from mne.io.constants import FIFF

from fornix.errors import FornixError
from fornix.preprocess.continuous import clean_raw
from fornix.preprocess.material import (
    Journal,
    Material,
    events_of,
    name_of,
    nothing_left,
    without_onset,
)
from fornix.preprocess.recordings import open_raw, places_of, survey
from fornix.preprocess.samples import sample_coords, sample_table
from fornix.preprocess.whitening import measuring_samples, whiten
from fornix.progress import track
from fornix.study.responses import EpochsSection

SCALES = {
    "robust": "interquartile ranges of the run",
    "standard": "standard deviations of the run",
}
WHITENED = "standard deviations of the noise"

Epochs = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Modality:
    """What tells EEG and MEG apart.

    Attributes
    ----------
    kind
        ``eeg`` or ``meg``.
    factors
        Types of channels -> what makes the unit of each from V, T or T/m.
    unit
        That unit.
    too_large
        Epochs (sample, channel, time), types of channels -> which are to be rejected.
    limit
        The same in words; "" rejects nothing.
    located
        Whether the place of every channel has to be known.
    """

    kind: str
    factors: Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]
    unit: str
    too_large: Callable[[Epochs, npt.NDArray[Any]], npt.NDArray[np.bool_]]
    limit: str = ""
    located: bool = False


def prepare_epochs(
    section: EpochsSection, material: Material, modality: Modality
) -> tuple[xr.Dataset, dict[str, Any]]:
    """Return a subject's epochs.

    Parameters
    ----------
    section
        The settings.
    material
        The subject's tables.
    modality
        EEG or MEG.

    Returns
    -------
    dataset
        ``responses`` (sample, channel, time) float32. Time is in s from the event's sample,
        which is the one nearest to its onset.
    notes
        Counts for the provenance record.

    Raises
    ------
    FornixError
        If recordings don't fit together or to the settings, or no sample is left.
    """
    journal = Journal()
    rows = [row for _, row in material.recordings.iterrows()]
    _check_baseline(section)
    _check_rates(rows, section)
    channels = survey(rows, section.picks, material.root, journal, located=modality.located)
    tables: list[pd.DataFrame] = []
    values: list[npt.NDArray[np.float32]] = []
    info, times = None, np.empty(0)
    for recording in track(rows, f"preprocess sub-{material.subject}: runs"):
        where = name_of(recording)
        events = without_onset(events_of(material.events, where), where, journal)
        if events.empty:
            journal.exclude(where, "recording", 1, "no selected event")
            continue
        raw = clean_raw(open_raw(recording, material.root), section, channels, recording, journal)
        run = _Run(section, modality, where, journal)
        epochs, events, times = _cut(raw, events, run)
        info = info or raw.info
        if len(events):
            tables.append(sample_table(events, recording))
            values.append(_finish(epochs, times, raw, run))
    if not tables or info is None:
        raise nothing_left(material, journal)
    responses = np.concatenate(values)
    samples = sample_coords(tables)
    unit = SCALES.get(section.scale, modality.unit)
    if section.whiten == "mvnn":
        measuring = measuring_samples(samples, section.whiten_on, len(responses))
        responses = whiten(responses, samples["stimulus"][1], measuring, where=name_of(rows[0]))
        by = "all trials" if measuring.all() else f"{measuring.sum()} of {len(measuring)} trials"
        journal.step(f"whitened by the noise of single trials (MVNN, Ledoit-Wolf, {by})")
        unit = WHITENED
    coords = samples | {
        "channel": ("channel", np.array(channels.names, dtype=np.str_)),
        "time": ("time", times, {"units": "s"}),
    }
    dataset = xr.Dataset(
        {"responses": (("sample", "channel", "time"), responses, {"units": unit})},
        coords=coords | _positions(info),
        attrs={
            "subject": material.subject,
            "kind": modality.kind,
            "units": unit,
            "sampling_frequency": float(info["sfreq"]),
            "n_trials": len(responses),
            **journal.attrs(),
        },
    )
    counts = {"n_samples": len(responses), "n_channels": len(channels.names), "n_runs": len(rows)}
    return dataset, counts | journal.notes()


def _check_baseline(section: EpochsSection) -> None:
    if section.baseline is None:
        return
    start, stop = section.baseline
    start = section.tmin if start is None else start
    stop = section.tmax if stop is None else stop
    if not section.tmin <= start < stop <= section.tmax:
        problem = f"the baseline {start:g} to {stop:g} s isn't within the epoch"
        mend = f"keep it from tmin ({section.tmin:g} s) to tmax ({section.tmax:g} s), or null"
        raise FornixError(problem, where="responses: baseline", mend=mend)


def _check_rates(recordings: list[pd.Series], section: EpochsSection) -> None:
    if section.resample:
        return
    rates = {name_of(one): float(one["sampling_frequency"]) for one in recordings}
    first = next(iter(rates))
    for path, rate in rates.items():
        if abs(rate - rates[first]) > 1e-6 * rate:
            problem = f"runs of one subject have different rates: {rates[first]:g}, {rate:g} Hz"
            mend = "give `resample` a common rate, Hz"
            raise FornixError(problem, where=f"{first} and {path}", mend=mend)


@dataclass(frozen=True)
class _Run:
    """How one run is treated, and where that is written down."""

    section: EpochsSection
    modality: Modality
    where: str
    journal: Journal


def _cut(
    raw: Any, events: pd.DataFrame, run: _Run
) -> tuple[Epochs, pd.DataFrame, npt.NDArray[np.float64]]:
    """Cut epochs (sample, channel, time), V, T or T/m, and count those that can't be had."""
    section, where, journal = run.section, run.where, run.journal
    rate = raw.info["sfreq"]
    onsets = np.rint(events["onset"].to_numpy(np.float64) * rate).astype(np.int64)
    _, first = np.unique(onsets, return_index=True)
    journal.exclude(where, "sample", len(onsets) - len(first), "same sample as another event's")
    events, onsets = events.iloc[first].reset_index(drop=True), onsets[first]
    marks = np.stack([onsets + raw.first_samp, np.zeros_like(onsets), np.ones_like(onsets)], axis=1)
    with mne.utils.use_log_level("ERROR"):
        epochs = mne.Epochs(
            raw,
            marks,
            tmin=section.tmin,
            tmax=section.tmax,
            picks="all",
            baseline=None,
            preload=True,
            reject_by_annotation=True,
        )
        values = epochs.get_data(copy=False)
    beyond = sum(bool({"NO_DATA", "TOO_SHORT"} & set(log)) for log in epochs.drop_log)
    marked = sum(bool(log) for log in epochs.drop_log) - beyond
    journal.exclude(where, "sample", beyond, "epoch exceeds the recording")
    journal.exclude(where, "sample", marked, "epoch overlaps a bad segment or a boundary")
    journal.step(f"epochs from {section.tmin:g} to {section.tmax:g} s")
    kept = np.asarray(epochs.selection, dtype=np.int64)
    if run.modality.limit and len(kept):
        large = run.modality.too_large(values, np.array(raw.get_channel_types()))
        journal.exclude(where, "sample", int(large.sum()), run.modality.limit)
        values, kept = values[~large], kept[~large]
    return values, events.iloc[kept].reset_index(drop=True), np.asarray(epochs.times)


def _finish(
    epochs: Epochs, times: npt.NDArray[np.float64], raw: Any, run: _Run
) -> npt.NDArray[np.float32]:
    """Baseline, scale and clip one run's epochs."""
    section, journal = run.section, run.journal
    centre, spread = _scale_of(raw, section, run.modality)
    if section.baseline is None:
        epochs = epochs - centre[:, None]
    else:
        epochs = mne.baseline.rescale(epochs, times, section.baseline, mode="mean", verbose="ERROR")
        journal.step("baseline: mean of {} to {} s taken off".format(*section.baseline))
    epochs = epochs / spread[:, None]
    if section.scale != "none":
        journal.step(f"scaled by channel and run ({SCALES[section.scale]})")
        if section.clip:
            np.clip(epochs, -section.clip, section.clip, out=epochs)
            journal.step(f"clipped at {section.clip:g}")
    return epochs.astype(np.float32)


def _scale_of(
    raw: Any, section: EpochsSection, modality: Modality
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return centre and spread of each channel, V, T or T/m."""
    with mne.utils.use_log_level("ERROR"):
        values = raw.get_data(reject_by_annotation="omit")
        if values.shape[1] < 2:
            values = raw.get_data()
    if section.scale == "none":
        return np.zeros(len(values)), 1 / modality.factors(np.array(raw.get_channel_types()))
    deviation = values.std(axis=1)
    # A channel that rests on one value half of the time has no interquartile range.
    deviation = np.where(deviation > 0, deviation, 1.0)
    if section.scale == "standard":
        return values.mean(axis=1), deviation
    low, middle, high = np.percentile(values, [25, 50, 75], axis=1)
    return middle, np.where(high > low, high - low, deviation)


def _positions(info: Any) -> dict[str, Any]:
    """Return channel positions in MNE's head frame, m, where any is known."""
    places = places_of(info)
    to_head = info["dev_head_t"]
    if to_head is not None:  # electrodes are in the head's frame, a helmet's sensors in its own
        device = [int(one["coord_frame"]) == FIFF.FIFFV_COORD_DEVICE for one in info["chs"]]
        places[device] = mne.transforms.apply_trans(to_head, places[device])
    if not np.isfinite(places).any():
        return {}
    return {
        f"channel_{axis}": ("channel", places[:, n], {"units": "m", "frame": "head"})
        for n, axis in enumerate("xyz")
    }
