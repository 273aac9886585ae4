"""EEG and MEG as MNE opens them: sidecars applied, boundaries marked, bad channels known."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pandas as pd
from mne_bids import get_bids_path_from_fname, read_raw_bids

from fornix.errors import FornixError, did_you_mean
from fornix.preprocess.material import Journal, name_of

BOUNDARY = "BAD boundary"
"""Annotation at a discontinuity: no filter runs across it, no epoch contains it."""

GAPS = ("boundary", "edge", "bad boundary", "bad_acq_skip")

TYPES = frozenset(
    {"eeg", "eog", "ecg", "emg", "misc", "ecog", "seeg", "dbs", "bio", "resp", "gsr", "mag", "grad"}
)


def open_raw(recording: pd.Series, root: Path) -> Any:
    """Open a recording with MNE-BIDS, without reading its samples.

    Channel types and bad channels are those of ``channels.tsv``, positions those of
    ``electrodes.tsv``. Annotations that mark bad segments are kept, those of the file itself
    included, which MNE-BIDS replaces by the events; boundaries become bad segments.

    Raises
    ------
    FornixError
        If MNE can't read the recording or its sidecars.
    """
    path = name_of(recording)
    try:
        with mne.utils.use_log_level("ERROR"), _no_locks():
            bids_path = get_bids_path_from_fname(root / path, check=False)
            kind = str(recording["suffix"])
            bids_path.update(root=root, datatype=kind, suffix=kind)
            raw = read_raw_bids(bids_path)
            own = mne.io.read_raw(root / path, preload=False).annotations
    except (OSError, ValueError, RuntimeError, KeyError, IndexError) as error:
        problem = f"MNE can't read the recording: {error}"
        mend = "compare the file with its channels.tsv and sidecars (bids-validator names the row)"
        raise FornixError(problem, where=path, mend=mend) from None
    marks = _marks(raw.annotations, raw) + _marks(own, raw)
    marks = list(dict.fromkeys(marks))
    raw.set_annotations(
        mne.Annotations(
            [onset for onset, _, _ in marks],
            [duration for _, duration, _ in marks],
            [text for _, _, text in marks],
            orig_time=None,
        )
    )
    return raw


@contextmanager
def _no_locks() -> Iterator[None]:
    """Keep MNE-BIDS from writing a ``.lock`` beside every sidecar that it reads.

    It does so where filelock can be imported. A dataset is the user's, and may be read-only; jobs
    that read the same sidecar would see each other's locks come and go among its files; and a
    killed job would leave one for which the next waits in vain.
    """
    name = "filelock"
    known = sys.modules.pop(name, None)
    sys.modules[name] = None  # type: ignore[assignment] # what makes an import fail
    try:
        yield
    finally:
        del sys.modules[name]
        if known is not None:
            sys.modules[name] = known


def _marks(annotations: Any, raw: Any) -> list[tuple[float, float, str]]:
    """Return bad segments and boundaries as (onset from the first sample, duration, text), s."""
    found = []
    # With a measurement date, MNE counts annotations from it, and the first sample later.
    shift = raw.first_time if annotations.orig_time is not None else 0.0
    for one in annotations:
        # BrainVision writes a marker's type before it: "Comment/boundary", "New Segment/".
        whole = str(one["description"]).lower()
        text = whole.rpartition("/")[2]
        onset = round(float(one["onset"]) - shift, 6)
        if text.startswith(GAPS) or whole.startswith("new segment"):
            # The first sample begins a segment, and interrupts nothing.
            found += [(onset, float(one["duration"]), BOUNDARY)] if onset > 0 else []
        elif text.startswith("bad"):
            found.append((onset, float(one["duration"]), str(one["description"])))
    return [mark for mark in found if 0 <= mark[0] <= raw.times[-1]]


@dataclass(frozen=True)
class Channels:
    """The channels that every recording of a subject can give.

    Attributes
    ----------
    names
        Channels to keep, in the order of the first recording.
    bad
        Channels that are left out of all recordings, and of the average reference.
    """

    names: list[str]
    bad: list[str]


def survey(recordings: list[pd.Series], picks: list[str], root: Path, journal: Journal) -> Channels:
    """Find the channels to keep in all recordings of a subject.

    A channel that one recording lacks, that its ``channels.tsv`` calls bad, or that is constant
    or not finite there, is left out of all of them, so that every sample has the same channels.

    Parameters
    ----------
    recordings
        Rows of the recordings' table.
    picks
        Channel types or names.
    root
        The dataset's folder.
    journal
        Where channels that are left out are counted.

    Raises
    ------
    FornixError
        If a pick names neither a type nor a channel, or no channel is left.
    """
    order: list[str] = []
    lacking: set[str] = set()
    bad: set[str] = set()
    for recording in recordings:
        raw = open_raw(recording, root)
        picked = _picked(raw, picks, name_of(recording))
        where = name_of(recording)
        marked = set(raw.info["bads"])
        flat = _unusable(raw) - marked
        for found, detail in ((marked, "bad in channels.tsv"), (flat, "constant or not finite")):
            mine = [name for name in picked if name in found]
            journal.exclude(where, "channel", len(mine), f"{detail}: {', '.join(mine)}")
        bad |= marked | flat
        order = order or picked
        lacking |= set(order) ^ set(picked)
    journal.exclude("", "channel", len(lacking), f"not in every run: {', '.join(sorted(lacking))}")
    names = [name for name in order if name not in bad | lacking]
    if not names:
        problem = f"no channel is left of {', '.join(picks)}"
        mend = "mend `picks`, or leave the damaged recording out with `select`"
        raise FornixError(problem, where=name_of(recordings[0]), mend=mend)
    return Channels(names, sorted(bad))


def _picked(raw: Any, picks: list[str], where: str) -> list[str]:
    types = dict(zip(raw.ch_names, raw.get_channel_types(), strict=True))
    for pick in picks:
        if pick not in types and pick not in TYPES:
            problem = f"'{pick}' is neither a channel nor a type of channel"
            mend = did_you_mean(pick, [*types, *set(types.values())])
            raise FornixError(problem, where=f"responses: picks ({where})", mend=mend)
    return [name for name, kind in types.items() if name in picks or kind in picks]


def _unusable(raw: Any) -> set[str]:
    values = raw.get_data(verbose="ERROR")
    usable = np.isfinite(values).all(axis=1) & (np.ptp(values, axis=1) > 0)
    return {name for name, good in zip(raw.ch_names, usable, strict=True) if not good}
