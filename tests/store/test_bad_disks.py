"""Disks that are full and folders that are closed: one error, nothing half-written, then go on."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest

from fornix.errors import FornixError
from fornix.stages import features
from fornix.store import Read, Recipe, Target, adopt, create, open_artifact
from fornix.store.draft import Draft
from fornix.study.compute import Compute
from fornix.study.features.pixels import PixelFeatures
from mounts import read_only, small_disk

RECIPE = Recipe("features", {}, {})
GROUP = 4000


def write_pictures(root: Path) -> dict[str, Path]:
    """Write stimuli and the index that names them."""
    from builders import fmri_dataset
    from fornix.stages import ingest
    from fornix.study.datasets import LocalDataset

    fmri_dataset(root / "data", subjects=["01"], runs=["01"])
    section = LocalDataset(source="local", path=str(root / "data"))
    ingest.run(section, {"root": root / "data"}, Target(root / "index"), Compute())
    return {"root": root / "data", "ingest": root / "index"}


def test_features_go_on_when_there_is_room_again(tmp_path, monkeypatch):
    inputs = write_pictures(tmp_path)
    section = PixelFeatures(kind="pixels", dataset="d", size=64)
    monkeypatch.setattr(features, "BLOCK_BYTES", 1)  # a row a block: 48 kB
    features.run(section, inputs, Target(tmp_path / "alone"), Compute())
    with small_disk(tmp_path / "disk", "10m") as disk:
        filler = disk.fill(leave=60_000)
        target = Target(tmp_path / "disk/made")
        with pytest.raises(FornixError, match=r"the disk is full after \d of \d rows") as caught:
            features.run(section, inputs, target, Compute())
        assert "free at least" in caught.value.mend
        filler.unlink()
        features.run(section, inputs, target, Compute())
        made = open_artifact(target.path)
        assert made.manifest["notes"]["rows_resumed"] > 0
        assert made.digest == open_artifact(tmp_path / "alone").digest
        made.verify()


def test_a_manifest_that_has_no_room(tmp_path):
    with small_disk(tmp_path / "disk", "1m") as disk:
        target = Target(tmp_path / "disk/made")
        with (
            pytest.raises(FornixError, match="the disk is full: 0 MB are free") as caught,
            create(target, RECIPE) as draft,
        ):
            draft.write_json("a.json", "x" * 5000)
            filler = disk.fill()
        assert caught.value.where == str(target.path.with_name(".made.partial"))
        assert "of this had been written" in caught.value.problem
        assert [*target.path.parent.iterdir()] == [filler]
        filler.unlink()
        with create(target, RECIPE) as draft:
            draft.write_json("a.json", "x" * 5000)
        open_artifact(target.path).verify()


def test_nothing_is_worked_on_where_nothing_can_be_written(tmp_path):
    with create(Target(tmp_path / "made"), RECIPE) as draft:
        draft.write_json("a.json", 1)
    with read_only(tmp_path):
        assert adopt(Target(tmp_path / "made"), RECIPE)
        assert not adopt(Target(tmp_path / "other"), RECIPE)
        with (
            pytest.raises(FornixError, match="nothing can be written here: Read-only"),
            create(Target(tmp_path / "other"), RECIPE),
        ):
            pytest.fail("the work began")


def make_as(user: int, path: Path, text: str, umask: int = 0o002) -> str:
    """Make or adopt an artifact in another process as some user; return what is said of it."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # another user can't always start this Python anew
        try:
            os.umask(umask)
            os.setgroups([])
            os.setgid(GROUP)
            os.setuid(user)
            recipe = Recipe("features", {"text": text}, {})
            said = "adopted"
            if not adopt(Target(path), recipe):
                with create(Target(path), recipe) as draft:
                    draft.write_json("a.json", text)
                said = "made"
        except BaseException as error:
            said = str(error)
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def shared():
    """Return a folder that a group shares."""
    if os.geteuid() != 0:
        pytest.skip("only root can be other users")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chown(folder, 0, GROUP)
        folder.chmod(0o2775)
        yield folder


def test_two_users_of_one_group_share_a_cache(shared):
    path = shared / "fits/made"
    assert make_as(4001, path, "one") == "made"
    assert make_as(4002, path, "one") == "adopted"
    assert make_as(4002, path, "two") == "made"  # takes the place of what the other has made
    assert make_as(4001, path, "two") == "adopted"
    open_artifact(path).verify()
    assert open_artifact(path).json("a.json") == "two"
    assert sorted(one.name for one in path.parent.iterdir()) == [".made.lock", "made"]


def test_a_user_whose_group_may_not_write_is_told_how_to_share(shared):
    path = shared / "fits/made"
    assert make_as(4001, path, "one", umask=0o022) == "made"
    said = make_as(4002, path, "two")
    assert "nothing can be written here: Permission denied" in said
    assert "umask 002" in said
    open_artifact(path).verify()
    assert open_artifact(path).json("a.json") == "one"


def test_what_a_kill_left_in_a_draft_becomes_no_part(tmp_path):
    def stage(target: Target, *, killed: bool) -> None:
        with create(target, RECIPE) as draft:
            draft.write_json("a.json", 1)
            (draft.path / "features.zarr").mkdir(exist_ok=True)
            (draft.path / "features.zarr/c").write_bytes(b"chunk")
            if killed:
                draft.save({})
                raise KeyboardInterrupt

    stage(Target(tmp_path / "alone"), killed=False)
    with pytest.raises(KeyboardInterrupt):
        stage(Target(tmp_path / "made"), killed=True)
    draft = tmp_path / ".made.partial"
    (draft / ".progress.json.123.tmp").write_text("{")
    (draft / "features.zarr/c.0a1b.partial").write_bytes(b"ch")  # as zarr names it
    assert Draft(draft, RECIPE.describe(Target(tmp_path / "made"))).resumed == {}
    stage(Target(tmp_path / "made"), killed=False)
    made, alone = (open_artifact(tmp_path / name) for name in ("made", "alone"))
    assert made.manifest["parts"] == alone.manifest["parts"]


def test_adopting_clears_up_what_a_killed_commit_left(tmp_path):
    target = Target(tmp_path / "made", identity="new")
    with create(target, RECIPE) as draft:
        draft.write_json("a.json", 1)
    old = tmp_path / ".made.old"
    old.mkdir()
    (old / ".manifest.json").write_text(json.dumps({"parts": {"b.json": "0"}}))
    (old / "b.json").write_text("2")
    (old / "mine.txt").write_text("mine")
    for name in (".made.trash", ".made.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").touch()
    (target.path / ".manifest.json.7.tmp").write_text("{")
    assert adopt(target, RECIPE)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".made.lock", "made"]
    found = {path.name for path in target.path.iterdir()}
    assert found == {"a.json", "manifest.json", ".manifest.json", "mine.txt"}


def test_only_the_artifact_that_is_meant_is_read(tmp_path):
    target = Target(tmp_path / "made", identity="mine")
    with create(target, RECIPE) as draft:
        draft.write_json("a.json", 1)
    read = Read.begin(target.path, "mine")
    read.check_same()
    (target.path / "manifest.json").unlink()  # a run that is about to look at it again
    assert Read.begin(target.path, "mine") == read
    with pytest.raises(FornixError, match="made from other data, settings or code"):
        Read.begin(target.path, "other")


def test_nothing_is_made_of_what_was_replaced_meanwhile(tmp_path):
    def make(path: Path, value: int, reads: tuple[Read, ...] = ()) -> None:
        with create(Target(path, identity="same", reads=reads), RECIPE) as draft:
            draft.write_json("a.json", value)
            if reads:
                make(tmp_path / "above", value + 1)

    make(tmp_path / "above", 1)
    read = Read.begin(tmp_path / "above", "same")
    with pytest.raises(FornixError, match="replaced this artifact while a job was reading"):
        make(tmp_path / "below", 1, (read,))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["above"]
