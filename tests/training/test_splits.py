from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from fornix.errors import FornixError
from fornix.study.fits.base import CrossValidation
from fornix.training.splits import deal, inner_folds, plan_folds


def trials(n_runs=4, n_sessions=1, conditions=("cat", "dog"), repeats=3) -> pd.DataFrame:
    """Return trials in time order, conditions in turn."""
    rows = [
        {"session": f"{s}", "run": f"{r}", "trial_type": c, "stimulus": c, "onset": 10.0 * i}
        for s in range(n_sessions)
        for r in range(n_runs)
        for i, c in enumerate(conditions * repeats)
    ]
    table = pd.DataFrame(rows)
    return table.assign(
        recording="s" + table["session"] + "r" + table["run"], trial=np.arange(len(table))
    )


def images(n=30, repeats=2) -> pd.DataFrame:
    table = trials(n_runs=repeats, conditions=tuple(f"im{i:02d}.png" for i in range(n)), repeats=1)
    return table.assign(trial_type="image")


def test_every_sample_is_held_out_once_and_never_with_its_own_group():
    table = trials(n_runs=7)
    folds = plan_folds(table, CrossValidation(), "decoding", "trial_type")
    assert np.array_equal(np.sort(np.concatenate([f.test for f in folds])), np.arange(len(table)))
    assert len(folds) == 5
    for fold in folds:
        assert not set(fold.train) & set(fold.test)
        assert not set(table["run"].iloc[fold.train]) & set(table["run"].iloc[fold.test])


@pytest.mark.parametrize(
    ("table", "task", "expected"),
    [
        (trials(), "decoding", "run"),
        (trials(n_runs=1), "decoding", "block"),
        (trials(n_runs=1, n_sessions=2), "decoding", "run"),
        (images(), "encoding", "stimulus"),
        (trials(), "encoding", "run"),
        (trials(n_runs=1), "encoding", "block"),
        (images(n=6), "encoding", "run"),
    ],
)
def test_auto_groups(table, task, expected):
    label = "trial_type" if task == "decoding" else None
    assert {fold.grouping for fold in plan_folds(table, CrossValidation(), task, label)} == {
        expected
    }


def test_many_conditions_that_are_the_trial_type_are_never_held_out_as_stimuli():
    table = trials(conditions=tuple(f"word{i}" for i in range(40)), repeats=1)
    assert plan_folds(table, CrossValidation(), "encoding")[0].grouping == "run"


def test_never_more_folds_than_groups_and_null_leaves_one_out():
    table = trials(n_runs=3)
    for cv in (CrossValidation(n_splits=5), CrossValidation(n_splits=None)):
        folds = plan_folds(table, cv, "decoding", "trial_type")
        assert [fold.groups for fold in folds] == [[f"ses-0 run-{i}"] for i in range(3)]


def test_blocks_are_contiguous_in_time_whatever_the_order_of_the_rows():
    table = trials(n_runs=1, repeats=10)
    shuffled = table.sample(frac=1, random_state=0).reset_index(drop=True)
    folds = plan_folds(shuffled, CrossValidation(n_splits=4), "decoding", "trial_type")
    assert len(folds) == 4
    for fold in folds:
        held_out = np.sort(shuffled["onset"].to_numpy()[fold.test])
        assert np.array_equal(np.diff(held_out), np.full(len(held_out) - 1, 10.0))


def test_samples_of_one_trial_stay_in_one_block():
    table = trials(n_runs=1, repeats=5)
    table = table.loc[table.index.repeat(3)].reset_index(drop=True)
    for fold in plan_folds(table, CrossValidation(n_splits=3), "decoding", "trial_type"):
        assert not set(table["trial"].iloc[fold.train]) & set(table["trial"].iloc[fold.test])


def test_stimuli_sorted_by_category_are_spread_over_folds():
    table = images(n=50, repeats=1)
    table["category"] = np.repeat(list("abcde"), 10)
    folds = plan_folds(table, CrossValidation(), "encoding")
    assert all(table["category"].iloc[fold.test].nunique() >= 3 for fold in folds)


def test_stimulus_folds_follow_the_seed_and_not_the_order_of_the_samples():
    table = images(n=40)
    held_out = [set(fold.groups) for fold in plan_folds(table, CrossValidation(), "encoding")]
    reverse = table.iloc[::-1].reset_index(drop=True)
    assert held_out == [set(f.groups) for f in plan_folds(reverse, CrossValidation(), "encoding")]
    other = plan_folds(table, CrossValidation(), "encoding", seed=1)
    assert held_out != [set(fold.groups) for fold in other]


def test_groups_of_one_class_are_dealt_so_that_folds_have_all_classes():
    # Eight images a class; an order by size or name would put a class into few folds.
    groups = np.repeat([f"g{i}" for i in range(16)], 4)
    classes = np.repeat(["a"] * 8 + ["b"] * 8, 4)
    dealt = deal(groups, classes, 4)
    for fold in range(4):
        assert sorted(classes[dealt == fold]) == ["a"] * 8 + ["b"] * 8


def test_a_fold_that_would_train_on_one_class_is_an_error_that_says_which():
    table = trials(n_runs=1, repeats=6)
    table["trial_type"] = ["cat"] * 6 + ["dog"] * 6
    with pytest.raises(FornixError) as caught:
        plan_folds(table, CrossValidation(n_splits=2), "decoding", "trial_type", where="fits.x.cv")
    text = str(caught.value)
    assert "fold 0" in text
    assert "dog: 6" in text
    assert "fits.x.cv" in text
    assert "n_splits" in text


def test_a_class_that_is_only_held_out_is_an_error():
    table = trials(n_runs=3)
    table.loc[0, "trial_type"] = "horse"
    with pytest.raises(FornixError, match="without any of class horse"):
        plan_folds(table, CrossValidation(), "decoding", "trial_type")


def test_one_group_and_unknown_columns_are_errors():
    with pytest.raises(FornixError, match="one session"):
        plan_folds(trials(), CrossValidation(groups="session"), "decoding", "trial_type")
    with pytest.raises(FornixError, match="did you mean 'trial_type'"):
        plan_folds(trials(), CrossValidation(), "decoding", "trial_typ")
    with pytest.raises(FornixError, match="none of the 24 samples"):
        plan_folds(trials().assign(stimulus=None), CrossValidation(), "encoding")


def test_rows_without_a_label_are_in_no_fold():
    table = trials()
    table.loc[[0, 5], "trial_type"] = ["", None]
    folds = plan_folds(table, CrossValidation(), "decoding", "trial_type")
    used = set(np.concatenate([fold.test for fold in folds]))
    assert used == set(range(len(table))) - {0, 5}


def test_inner_folds_keep_groups_whole_and_cut_a_single_one():
    groups = np.repeat(["a", "b", "c"], 4)
    inner = inner_folds(groups, 5)
    assert [len(set(inner[groups == g])) for g in "abc"] == [1, 1, 1]
    assert len(set(inner)) == 3
    assert inner_folds(np.repeat("a", 6), 3).tolist() == [0, 0, 1, 1, 2, 2]


def test_planning_imports_no_heavy_library():
    code = "import sys, fornix.training.splits as s; print({'sklearn', 'xarray'} & {*sys.modules})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
