from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fornix.study.fits.base import CrossValidation
from fornix.study.fits.ridge import RidgeFit
from fornix.training.leaks import fold_notes, repeated

SECTION = RidgeFit(kind="ridge", responses="r", features=["f"])


def given(features, fold, *, grouping="stimulus", inner=5):
    fold = np.asarray(fold)
    pairs = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in np.unique(fold)]
    return SimpleNamespace(
        features=features,
        table=pd.DataFrame({"fold": fold}),
        matrix=np.zeros((len(fold), 2)),
        folds=[SimpleNamespace(grouping=grouping)] * len(pairs),
        pairs=pairs,
        inner=lambda train: np.arange(len(train)) % inner,
    )


def test_copies_of_a_stimulus_in_other_folds_are_counted():
    X = np.random.default_rng(0).normal(size=(20, 3))
    fold = np.arange(20) % 5
    assert repeated({"a": X}, fold) == 0
    X[7] = X[3]  # folds 2 and 3
    X[10] = X[5]  # both in fold 0
    assert repeated({"a": X}, fold) == 2
    other = np.random.default_rng(1).normal(size=(20, 3))
    assert repeated({"a": X, "b": other}, fold) == 0
    assert repeated({"a": X, "flat": np.ones((20, 2))}, fold) == 2


def test_categories_are_no_copies():
    kinds = np.eye(4)[np.arange(20) % 4]
    assert repeated({"category": kinds}, np.arange(20) % 5) == 0


def test_notes_say_what_the_folds_are_not():
    X = np.random.default_rng(0).normal(size=(20, 3))
    assert fold_notes(SECTION, given({"a": X}, np.arange(20) % 5)) == []
    X[7] = X[3]
    (note,) = fold_notes(SECTION, given({"a": X}, np.arange(20) % 5))
    assert note.startswith("2 of 20 samples have the same features")
    few = fold_notes(SECTION, given({"a": X}, np.arange(20) % 2, grouping="run", inner=3))
    assert [note.split(":")[0] for note in few] == [
        "2 outer folds instead of 5",
        "3 inner folds instead of 5",
    ]


@pytest.mark.parametrize("n_splits", [None, 2])
def test_folds_as_they_were_asked_for_need_no_note(n_splits):
    section = SECTION.model_copy(update={"cv": CrossValidation(n_splits=n_splits)})
    X = np.random.default_rng(0).normal(size=(20, 3))
    assert fold_notes(section, given({"a": X}, np.arange(20) % 2)) == []
