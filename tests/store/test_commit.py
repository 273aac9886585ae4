"""A kill at any moment leaves an artifact that is whole, or none; never a user's file less."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from fornix.errors import FornixError
from fornix.store import Recipe, Target, adopt, create, open_artifact

PARTS = ("a.json", "b.json")
OLD_PARTS = {"old": ("c.json", "d.json"), "new": ()}
"""What only the old artifact has, and must not be taken for a user's files."""

RECIPES = {text: Recipe("features", {"text": text}, {}) for text in ("old", "new")}

CREATE = """
import os, signal, sys
from pathlib import Path
from fornix.store import Recipe, Target, create

path, fatal = Path(sys.argv[1]), int(sys.argv[2])
CHANGES = {"os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}
done = 0

def watch(event, arguments):
    global done
    if event in CHANGES:
        done += 1
        if done == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
with create(Target(path), Recipe("features", {"text": "new"}, {})) as draft:
    for name in ("a.json", "b.json"):
        draft.write_json(name, "new")
"""
"""Kills itself just before its n-th change of the folder tree."""

HANG = """
import sys, time
from pathlib import Path
from fornix.store import Recipe, Target, create

with create(Target(Path(sys.argv[1])), Recipe("features", {}, {})) as draft:
    draft.write_json("a.json", 1)
    print("working", flush=True)
    time.sleep(60)
"""


def write(path: Path, text: str) -> None:
    with create(Target(path), RECIPES[text]) as draft:
        for name in (*PARTS, *OLD_PARTS[text]):
            draft.write_json(name, text)


def contents(path: Path) -> str | None:
    """Return what an artifact holds after making sure that it is whole; None if there's none."""
    try:
        made = open_artifact(path)
    except FornixError:
        assert not (path / "manifest.json").exists()
        return None
    made.verify()
    texts = {made.json(name) for name in PARTS}
    assert texts == {made.manifest["recipe"]["section"]["text"]}
    return str(texts.pop())


def killed_at(path: Path, fatal: int) -> bool:
    """Replace an artifact in another process that is killed at its n-th change."""
    call = [sys.executable, "-S", "-c", CREATE, str(path), str(fatal)]
    code = subprocess.run(call, check=False, env=environment()).returncode
    assert code in (0, -signal.SIGKILL)
    return code != 0


def environment() -> dict[str, str]:
    """Return an environment in which ``python -S`` finds what this process finds, quickly."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def test_a_replacement_that_is_killed_anywhere_can_be_done_again(tmp_path):
    outcomes = []
    for fatal in range(1, 100):
        path = tmp_path / str(fatal) / "artifact"
        write(path, "old")
        (path / "mine.txt").write_text("mine", encoding="utf-8")
        was_killed = killed_at(path, fatal)
        outcomes.append(contents(path))
        if not was_killed:
            break
        # Whatever was left, the next run does what this one should have done.
        write(path, "new")
        assert contents(path) == "new"
        assert (path / "mine.txt").read_text(encoding="utf-8") == "mine"
        found = {one.name for one in path.iterdir()}
        assert found == {*PARTS, "manifest.json", ".manifest.json", "mine.txt"}
        assert [one.name for one in path.parent.iterdir()] == ["artifact"]
    assert outcomes[0] == "old"
    assert outcomes[-1] == "new"
    assert None in outcomes, "the moment between the two was tried"
    first_new = outcomes.index("new")
    assert "old" not in outcomes[first_new:]
    assert len(outcomes) > 8


def test_two_kills_in_a_row_lose_nothing(tmp_path):
    """The user's file survives in the folder that the first kill left aside."""
    for number, (first, second) in enumerate(product(range(6, 10), (4, 6, 8))):
        path = tmp_path / str(number) / "artifact"
        write(path, "old")
        (path / "mine.txt").write_text("mine", encoding="utf-8")
        assert killed_at(path, first)
        killed_at(path, second)
        contents(path)
        write(path, "new")
        assert contents(path) == "new"
        assert (path / "mine.txt").read_text(encoding="utf-8") == "mine"
        found = {one.name for one in path.iterdir()}
        assert found == {*PARTS, "manifest.json", ".manifest.json", "mine.txt"}


def test_a_stage_that_is_killed_leaves_no_artifact(tmp_path):
    path = tmp_path / "artifact"
    call = [sys.executable, "-c", HANG, str(path)]
    with subprocess.Popen(call, stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"working\n"
        process.kill()
    assert not path.exists()
    assert (tmp_path / ".artifact.partial" / "a.json").exists()
    assert not adopt(Target(path), RECIPES["new"])
    write(path, "new")
    assert contents(path) == "new"
    assert not (tmp_path / ".artifact.partial").exists()


def test_the_kill_before_the_workflow_took_note_is_adopted(tmp_path):
    """Killed after the commit: the workflow deletes the manifest, the job finds its twin."""
    path = tmp_path / "artifact"
    write(path, "new")
    stamp = (path / "a.json").stat().st_mtime_ns
    (path / "manifest.json").unlink()
    assert adopt(Target(path), RECIPES["new"])
    assert contents(path) == "new"
    assert (path / "a.json").stat().st_mtime_ns == stamp


def test_parts_of_a_stage_that_never_finished_are_not_mixed_in(tmp_path):
    path = tmp_path / "artifact"
    partial = tmp_path / ".artifact.partial"
    partial.mkdir()
    (partial / "stale.json").write_text("1", encoding="utf-8")
    write(path, "new")
    assert set(json.loads((path / "manifest.json").read_text())["parts"]) == set(PARTS)
    assert not (path / "stale.json").exists()


@pytest.mark.parametrize("leftover", [".artifact.old", ".artifact.trash"])
def test_what_a_killed_commit_left_is_cleared_up(tmp_path, leftover):
    path = tmp_path / "artifact"
    write(path, "old")
    write(tmp_path / leftover, "old")
    write(path, "new")
    assert contents(path) == "new"
    assert [one.name for one in tmp_path.iterdir()] == ["artifact"]
