from __future__ import annotations

import numpy as np
import pandas as pd

from fornix.preprocess.material import Journal, text
from fornix.preprocess.windows import merge_blocks, window_means, windows_of
from fornix.study.responses import FmriSamples


def table(onset, duration, trial_type, **more):
    return pd.DataFrame({"onset": onset, "duration": duration, "trial_type": trial_type} | more)


def test_events_of_a_condition_merge_across_small_gaps_only():
    events = table(
        [0.0, 2.0, 4.0, 10.0, 12.0, 14.0],
        [1.0, 1.0, 1.0, 1.0, np.nan, 1.0],
        ["a", "a", "a", "a", "b", "b"],
        stimulus=["s1", "s2", "s2", "s1", "s3", "s3"],
    )
    blocks = merge_blocks(events, "trial_type", merge_gap=2.0)
    assert blocks["onset"].tolist() == [0.0, 10.0, 12.0]
    assert blocks["duration"].tolist() == [5.0, 1.0, 3.0]
    assert blocks["trial_type"].tolist() == ["a", "a", "b"]
    assert blocks["stimulus"].map(text).tolist() == ["", "s1", "s3"]
    assert blocks["n_events"].tolist() == [3, 1, 2]


def test_a_gap_as_long_as_merge_gap_is_within_the_block():
    events = table([0.0, 1.1], [0.1, 0.1], ["a", "a"])
    assert len(merge_blocks(events, "trial_type", merge_gap=1.0)) == 1
    assert len(merge_blocks(events, "trial_type", merge_gap=0.99)) == 2


def test_block_means_by_hand():
    # Volumes at 0, 2, 4, ... s with the values 0, 1, 2, ...; the block from 4 to 8 s, read 2 s
    # later, is [6, 10): volumes 3 and 4.
    signals = np.arange(8, dtype=np.float32)[:, None] * [1, 10]
    times = 2.0 * np.arange(8)
    windows = windows_of(table([4.0], [4.0], ["a"]), FmriSamples(method="block", shift=2.0))
    means, kept = window_means(signals, times, windows, "r", Journal())
    assert kept.all()
    np.testing.assert_allclose(means, [[3.5, 35.0]])


def test_a_window_that_decimals_miss_still_takes_its_volume():
    times = 0.1 * np.arange(100)
    windows = np.array(
        [[0.3, 0.7]]
    )  # 0.1 * 3 is 0.30000000000000004, 0.1 * 7 is 0.7000000000000001
    means, _ = window_means(
        np.arange(100, dtype=np.float32)[:, None], times, windows, "r", Journal()
    )
    assert means.item() == np.mean([3, 4, 5, 6])


def test_trial_windows_follow_the_onset():
    windows = windows_of(table([10.0], [np.nan], ["a"]), FmriSamples(method="trial", window=(4, 8)))
    np.testing.assert_allclose(windows, [[14.0, 18.0]])


def test_windows_outside_the_run_or_without_a_volume_are_counted():
    journal = Journal()
    windows = np.array([[-1.0, 2.0], [4.0, 8.0], [18.0, 22.0], [5.0, 5.0], [16.0, 20.0]])
    signals = np.ones((10, 3), dtype=np.float32)
    _, kept = window_means(signals, 2.0 * np.arange(10), windows, "r", journal)
    assert kept.tolist() == [False, True, False, False, True]
    assert [(one["n"], one["detail"][:6]) for one in journal.exclusions] == [
        (2, "window"),
        (1, "no vol"),
    ]
