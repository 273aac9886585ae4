"""What is published is the artifact that the study means now, beside what people put there."""

from __future__ import annotations

from pathlib import Path

import pytest

from fornix.errors import FornixError
from fornix.store import Recipe, Target, create, open_artifact
from fornix.store.publish import publish


def make(path: Path, text: str) -> Path:
    with create(Target(path), Recipe("report", {"text": text}, {})) as draft:
        draft.file("report.html").write_text(text, encoding="utf-8")
        draft.write_json("claims.json", [text])
    return path


def test_a_published_artifact_is_whole(tmp_path):
    source, folder = make(tmp_path / "cache" / "small-1", "one"), tmp_path / "results" / "small"
    assert publish(source, folder)
    made = open_artifact(folder)
    made.verify()
    assert made.digest == open_artifact(source).digest
    assert (folder / "report.html").read_text(encoding="utf-8") == "one"


def test_publishing_again_copies_nothing(tmp_path):
    source, folder = make(tmp_path / "small-1", "one"), tmp_path / "results"
    publish(source, folder)
    before = (folder / "report.html").stat().st_mtime_ns
    assert not publish(source, folder)
    assert (folder / "report.html").stat().st_mtime_ns == before
    (folder / "report.html").unlink()
    assert publish(source, folder)
    assert (folder / "report.html").exists()


def test_a_setting_can_go_there_and_back(tmp_path):
    one, two = make(tmp_path / "small-1", "one"), make(tmp_path / "small-2", "two")
    folder = tmp_path / "results"
    for source, text in ((one, "one"), (two, "two"), (one, "one")):
        assert publish(source, folder)
        assert (folder / "report.html").read_text(encoding="utf-8") == text
        assert open_artifact(folder).json("claims.json") == [text]


def test_what_a_user_put_there_stays(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    publish(make(tmp_path / "small-1", "one"), folder)
    publish(make(tmp_path / "small-2", "two"), folder)
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert not list(folder.glob(".*.tmp"))


def test_a_folder_takes_the_place_of_the_one_before(tmp_path):
    folder = tmp_path / "results"
    for name in ("one", "two"):
        with create(Target(tmp_path / name), Recipe("report", {"text": name}, {})) as draft:
            draft.file(f"figures/{name}.svg").write_text(name, encoding="utf-8")
        assert publish(tmp_path / name, folder)
        assert [path.name for path in (folder / "figures").iterdir()] == [f"{name}.svg"]
        open_artifact(folder).verify()
    assert not list(folder.glob(".*.tmp"))


def test_there_must_be_something_to_publish(tmp_path):
    with pytest.raises(FornixError, match="no artifact here"):
        publish(tmp_path / "nothing", tmp_path / "results")
    assert not (tmp_path / "results").exists()
