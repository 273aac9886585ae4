"""Readouts by hand."""

from __future__ import annotations

import pytest
import torch

from fornix.features.readouts import read

STATE = torch.tensor([[[1.0, 2], [3, 4], [90, 90]], [[5, 6], [7, -8], [9, 1]]])
MASK = torch.tensor([[1, 1, 0], [1, 1, 1]])


@pytest.mark.parametrize(
    ("readout", "expected"),
    [
        ("mean", [[2.0, 3], [7, -1 / 3]]),
        ("max", [[3.0, 4], [9, 6]]),
        ("cls", [[1.0, 2], [5, 6]]),
        ("last", [[3.0, 4], [9, 1]]),
    ],
)
def test_padding_never_counts(readout, expected):
    torch.testing.assert_close(read(STATE, readout, MASK), torch.tensor(expected))
    # not even if it isn't a number, as some models leave it
    state = STATE.clone()
    state[0, 2] = torch.nan
    torch.testing.assert_close(read(state, readout, MASK), torch.tensor(expected))


def test_maps_are_read_over_places():
    maps = torch.arange(24.0).reshape(2, 3, 2, 2)
    torch.testing.assert_close(
        read(maps, "mean"), torch.tensor([[1.5, 5.5, 9.5], [13.5, 17.5, 21.5]])
    )
    torch.testing.assert_close(read(maps, "max"), torch.tensor([[3.0, 7, 11], [15, 19, 23]]))
    assert read(maps, "flatten").shape == (2, 12)


def test_vectors_are_left_alone():
    torch.testing.assert_close(read(STATE[:, 0], "mean"), STATE[:, 0])
