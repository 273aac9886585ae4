"""Progress: a line now and then, never in the way."""

from __future__ import annotations

import pytest

from fornix import progress
from fornix.progress import track


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that a test turns on: ``clock.now += 3``."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


def work(clock, items, seconds, **kwargs):
    done = []
    for item in track(items, "folds", **kwargs):
        clock.now += seconds
        done.append(item)
    return done


def test_quick_work_says_nothing(clock, capsys):
    assert work(clock, range(10), 0.1) == list(range(10))
    assert capsys.readouterr() == ("", "")


def test_long_work_says_how_far_it_is(clock, capsys):
    assert work(clock, ["a", "b", "c", "d"], 4) == ["a", "b", "c", "d"]
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "folds: 2/4, 8 s left (0.25/s)\n"


def test_a_line_every_few_seconds(clock, capsys):
    work(clock, range(100), 1)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 19
    assert lines[0] == "folds: 5/100, 95 s left (1/s)"
    assert lines[-1] == "folds: 95/100, 5 s left (1/s)"


def test_work_of_unknown_length_has_no_end(clock, capsys):
    assert work(clock, (item for item in range(3)), 6) == [0, 1, 2]
    assert capsys.readouterr().err.splitlines() == ["folds: 1 (0.167/s)", "folds: 2 (0.167/s)"]
    work(clock, (item for item in range(3)), 6, total=3)
    assert capsys.readouterr().err.startswith("folds: 1/3, 12 s left")


def test_items_are_taken_one_at_a_time(clock):
    taken = []

    def items():
        for item in range(3):
            taken.append(item)
            yield item

    tracked = track(items(), "items")
    assert taken == []
    next(tracked)
    assert taken == [0]


def test_an_error_of_the_work_passes_through(clock):
    def items():
        yield 1
        msg = "broken"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="broken"):
        work(clock, items(), 1)


def test_nothing_to_do_is_fine(clock, capsys):
    assert work(clock, [], 10) == []
    assert capsys.readouterr().err == ""
