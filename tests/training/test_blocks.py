from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fornix.errors import FornixError
from fornix.study.fits.base import CrossValidation
from fornix.training.blocks import contiguous, plan_blocks, shifted_rows

TR = 2.0


def samples(*lengths: int) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {
                "recording": f"run-{run}",
                "session": "",
                "run": str(run),
                "onset": TR * np.arange(n),
                "duration": TR,
            }
        )
        for run, n in enumerate(lengths, 1)
    ]
    found = pd.concat(parts, ignore_index=True)
    return found.assign(trial=np.arange(len(found)))


def test_one_recording_is_cut_in_contiguous_blocks_with_gaps():
    table = samples(100)
    folds = plan_blocks(table, CrossValidation(gap=6.0))
    assert [fold.grouping for fold in folds] == ["block"] * 5
    held_out = np.concatenate([fold.test for fold in folds])
    np.testing.assert_array_equal(np.sort(held_out), np.arange(100))
    for fold in folds:
        np.testing.assert_array_equal(np.diff(fold.test), 1)
        distance = np.abs(fold.train[:, None] - fold.test).min(1)
        assert distance.min() == 4  # 3 volumes of 2 s are left out on each side
        sides = int(fold.test[0] > 0) + int(fold.test[-1] < 99)
        assert len(fold.train) == 100 - len(fold.test) - 3 * sides


def test_a_gap_of_nothing_trains_on_all_others():
    for fold in plan_blocks(samples(50), CrossValidation(gap=0.0)):
        assert len(fold.train) + len(fold.test) == 50


def test_several_recordings_are_left_out_whole_and_need_no_gap():
    folds = plan_blocks(samples(40, 30, 50), CrossValidation(n_splits=None))
    assert {fold.grouping for fold in folds} == {"run"}
    assert sorted(len(fold.test) for fold in folds) == [30, 40, 50]
    assert all(len(fold.train) + len(fold.test) == 120 for fold in folds)


def test_blocks_of_several_recordings_keep_their_gap_to_themselves():
    table = samples(40, 40)
    folds = plan_blocks(table, CrossValidation(groups="block", n_splits=4, gap=4.0))
    first = folds[0]
    np.testing.assert_array_equal(first.test, np.arange(20))
    # The other run begins at the same time, and is another recording.
    np.testing.assert_array_equal(first.train, np.r_[22:80])


@pytest.mark.parametrize(
    ("cv", "word"),
    [
        ({"groups": "stimulus"}, "stimulus"),
        ({"gap": 1000.0}, "gap"),
        ({"groups": "run"}, "one run"),
    ],
)
def test_what_cannot_be_held_out_is_an_error(cv, word):
    with pytest.raises(FornixError) as caught:
        plan_blocks(samples(50), CrossValidation(**cv))
    assert word in caught.value.problem + str(caught.value.mend)


def test_inner_folds_are_contiguous():
    found = contiguous(17, 5)
    assert (np.diff(found) >= 0).all()
    assert set(found) == set(range(5))


def test_a_shift_keeps_the_order_within_each_recording():
    table = samples(40, 30).iloc[::-1].reset_index(drop=True)
    source = shifted_rows(table, np.random.default_rng(0))
    assert sorted(source) == list(range(70))
    for rows in table.groupby("recording").indices.values():
        order = rows[np.argsort(table["onset"].to_numpy()[rows])]
        onset = table["onset"].to_numpy()[source[order]]
        assert set(table["recording"].to_numpy()[source[order]]) == {
            table["recording"].to_numpy()[order[0]]
        }
        steps = np.diff(onset) / TR
        assert (steps == 1).sum() == len(order) - 2  # and one jump back to the start
        away = np.abs(onset - table["onset"].to_numpy()[order]).min() / TR
        assert away >= 0.1 * len(order)
