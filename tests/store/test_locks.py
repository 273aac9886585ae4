"""Two processes that make one artifact: the second waits, and takes what the first made."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from threading import Timer

from fornix.store import Recipe, Target, adopt, create, locks, open_artifact

PATIENCE_S = 30

MAKE = """
import os, sys
from pathlib import Path
from fornix.store import Recipe, Target, adopt, create

target, recipe = Target(Path(sys.argv[1])), Recipe("features", {}, {})
if adopt(target, recipe):
    print("adopted", flush=True)
else:
    print("making", flush=True)
    with create(target, recipe) as draft:
        draft.write_json("maker.json", os.getpid())
        sys.stdin.readline()
    print("made", flush=True)
    sys.stdin.readline()
"""


def start(path: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}
    pipe = subprocess.PIPE
    call = [sys.executable, "-c", MAKE, str(path)]
    process = subprocess.Popen(
        call, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment
    )
    # If one waits for the other in a way that wasn't meant, the test fails instead of hanging.
    timer = Timer(PATIENCE_S, process.kill)
    timer.daemon = True
    timer.start()
    return process


def say(process: subprocess.Popen[str], text: str = "go") -> None:
    assert process.stdin is not None
    process.stdin.write(f"{text}\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str], *, errors: bool = False) -> str:
    stream = process.stderr if errors else process.stdout
    assert stream is not None
    return stream.readline().strip()


def test_the_second_process_waits_and_adopts(tmp_path):
    path = tmp_path / "cache" / "artifact"
    with start(path) as first, start_after(first, path) as second:
        assert hear(second, errors=True) == f"waiting for another process that makes {path}"
        say(first)
        assert hear(first) == "made"
        assert second.poll() is None, "the artifact is the first one's until that ends"
        say(first)
        first.wait(20)
        assert hear(second) == "adopted"
        second.wait(20)
    assert open_artifact(path).json("maker.json") == first.pid


def test_the_second_process_makes_it_if_the_first_was_killed(tmp_path):
    path = tmp_path / "artifact"
    with start(path) as first, start_after(first, path) as second:
        assert hear(second, errors=True).startswith("waiting")
        first.kill()
        assert hear(second) == "making"
        say(second)
        assert hear(second) == "made"
        say(second)
    assert open_artifact(path).json("maker.json") == second.pid


def start_after(first: subprocess.Popen[str], path: Path) -> subprocess.Popen[str]:
    """Start a process once another one has begun to make the artifact."""
    assert hear(first) == "making"
    return start(path)


def test_other_artifacts_are_not_waited_for(tmp_path):
    with start(tmp_path / "one") as first, start_after(first, tmp_path / "two") as second:
        assert hear(second) == "making"
        for process in (first, second):
            say(process)
            assert hear(process) == "made"
            say(process)


def test_one_process_may_come_back_to_its_artifact(tmp_path, capsys):
    target, recipe = Target(tmp_path / "artifact"), Recipe("features", {}, {})
    for made_before in (False, True, True):
        assert adopt(target, recipe) is made_before
        if not made_before:
            with create(target, recipe) as draft:
                draft.write_json("a.json", 1)
    assert capsys.readouterr().err == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == [".artifact.lock", "artifact"]


def test_a_file_system_without_locks_is_used_and_said(tmp_path, monkeypatch, capsys):
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    locks.hold(tmp_path / "artifact")
    assert "has no locks" in capsys.readouterr().err
    locks.refuse_second_run(tmp_path / "studies/.small.lock", "small").close()
    assert "one run at a time" in capsys.readouterr().err
    assert not adopt(Target(tmp_path / "artifact"), Recipe("features", {}, {}))


def test_a_place_where_nothing_can_be_written_is_not_locked(tmp_path):
    (tmp_path / "file").touch()
    locks.hold(tmp_path / "file" / "artifact")
