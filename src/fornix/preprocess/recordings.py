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
from numpy.typing import NDArray

from fornix.errors import FornixError, did_you_mean
from fornix.preprocess.material import Journal, name_of

BOUNDARY = "BAD boundary"
"""Annotation at a discontinuity: no filter runs across it, no epoch contains it."""

GAPS = ("boundary", "edge", "bad boundary", "bad_acq_skip")

TYPES = frozenset(
    {"eeg", "eog", "ecg", "emg", "misc", "ecog", "seeg", "dbs", "bio", "resp", "gsr", "mag", "grad"}
)


MEG = ("mag", "grad")
"""What ``meg`` stands for."""


def open_raw(recording: pd.Series, root: Path) -> Any:
    """Open a recording with MNE-BIDS, without reading its samples.

    Channel types and bad channels are those of ``channels.tsv``, positions those of
    ``electrodes.tsv``. Annotations that mark bad segments are kept, those of the file itself
    included, which MNE-BIDS replaces by the events; boundaries become bad segments.

    Raises
    ------
    FornixError
        If MNE can't read the recording or its sidecars, or ``channels.tsv`` takes magnetometers
        for gradiometers.
    """
    path = name_of(recording)
    try:
        with mne.utils.use_log_level("ERROR"), _no_locks():
            bids_path = get_bids_path_from_fname(root / path, check=False)
            kind = str(recording["suffix"])
            bids_path.update(root=root, datatype=kind, suffix=kind)
            raw = read_raw_bids(bids_path)
            own = mne.io.read_raw(root / path, preload=False)
    except (OSError, ValueError, RuntimeError, KeyError, IndexError) as error:
        problem = f"MNE can't read the recording: {error}"
        mend = "compare the file with its channels.tsv and sidecars (bids-validator names the row)"
        raise FornixError(problem, where=path, mend=mend) from None
    _compare_types(raw, own, path)
    marks = _marks(raw.annotations, raw) + _marks(own.annotations, raw)
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


def _compare_types(raw: Any, own: Any, where: str) -> None:
    """Stop where the units in ``channels.tsv``, which MNE-BIDS takes over, make another sensor."""
    said, built = (dict(zip(r.ch_names, r.get_channel_types(), strict=True)) for r in (raw, own))
    wrong = [name for name in said if {said[name], built.get(name)} == set(MEG)]
    if wrong:
        name = wrong[0]
        problem = f"{len(wrong)} channels are {built[name]} in the file, and {said[name]} by their "
        problem += f"units in channels.tsv: {', '.join(wrong[:5])}"
        mend = "write T for magnetometers and T/m for gradiometers in the column units"
        raise FornixError(problem, where=where, mend=mend)


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


def survey(
    recordings: list[pd.Series],
    picks: list[str],
    root: Path,
    journal: Journal,
    *,
    located: bool = False,
) -> Channels:
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
    located
        Whether the place of every channel has to be known.

    Raises
    ------
    FornixError
        If a pick names neither a type nor a channel, no channel is left, or one has no place.
    """
    order: list[str] = []
    lacking: set[str] = set()
    bad: set[str] = set()
    for recording in recordings:
        raw = open_raw(recording, root)
        picked = _picked(raw, picks, name_of(recording))
        where = name_of(recording)
        if located:
            _require_places(raw, picked, where)
        marked = set(raw.info["bads"])
        flat = _unusable(raw, where) - marked
        for found, detail in ((marked, "bad in channels.tsv"), (flat, "constant or not finite")):
            mine = [name for name in picked if name in found]
            journal.exclude(where, "channel", len(mine), f"{detail}: {', '.join(mine)}")
        bad |= marked | flat
        order = order or picked
        lacking |= set(order) ^ set(picked)
    journal.exclude("", "channel", len(lacking), f"not in every run: {', '.join(sorted(lacking))}")
    names = [name for name in order if name not in bad | lacking]
    if not names:
        there = sorted(set(open_raw(recordings[0], root).get_channel_types()))
        problem = f"no channel is left of {', '.join(picks)}; the recording's are: "
        mend = "mend `picks`, or leave the damaged recording out with `select`"
        raise FornixError(problem + ", ".join(there), where=name_of(recordings[0]), mend=mend)
    return Channels(names, sorted(bad))


def _picked(raw: Any, picks: list[str], where: str) -> list[str]:
    types = dict(zip(raw.ch_names, raw.get_channel_types(), strict=True))
    picks = [kind for pick in picks for kind in (MEG if pick == "meg" else (pick,))]
    for pick in picks:
        if pick not in types and pick not in TYPES:
            problem = f"'{pick}' is neither a channel nor a type of channel"
            mend = did_you_mean(pick, [*types, *set(types.values())])
            raise FornixError(problem, where=f"responses: picks ({where})", mend=mend)
    return [name for name, kind in types.items() if name in picks or kind in picks]


def places_of(info: Any) -> NDArray[np.float64]:
    """Return channels' places, (channel, 3), m; NaN where none is known."""
    places = np.array([channel["loc"][:3] for channel in info["chs"]], dtype=np.float64)
    known = np.isfinite(places).all(axis=1) & (places != 0).any(axis=1)
    places[~known] = np.nan
    return places


def _require_places(raw: Any, picked: list[str], where: str) -> None:
    places = dict(zip(raw.ch_names, places_of(raw.info), strict=True))
    lost = [name for name in picked if not np.isfinite(places[name]).all()]
    if lost:
        problem = f"{len(lost)} of {len(picked)} channels have no position: {', '.join(lost[:5])}"
        mend = "save the recording with its sensors' positions, or set positions: optional"
        raise FornixError(problem, where=where, mend=mend)


def _unusable(raw: Any, where: str) -> set[str]:
    try:
        values = raw.get_data(verbose="ERROR")
    except (OSError, ValueError, RuntimeError) as error:
        problem = f"MNE can't read the recording's samples: {error}"
        mend = "fetch the file again: it may be cut short"
        raise FornixError(problem, where=where, mend=mend) from None
    usable = np.isfinite(values).all(axis=1) & (np.ptp(values, axis=1) > 0)
    return {name for name, good in zip(raw.ch_names, usable, strict=True) if not good}
