"""A dataset's listing follows contents: not time stamps, and not by reading everything again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fornix.errors import FornixError
from fornix.ingest import listing
from fornix.ingest.listing import entities, scan

FILES = {
    "dataset_description.json": "{}",
    "participants.tsv": "participant_id\nsub-01\nsub-02\n",
    "sub-01/func/sub-01_task-view_run-1_bold.nii.gz": "one",
    "sub-01/func/sub-01_task-view_run-1_events.tsv": "onset\n1\n",
    "sub-02/func/sub-02_task-view_run-1_bold.nii.gz": "two",
    "derivatives/clean/sub-02/func/sub-02_desc-clean_bold.nii.gz": "three",
    "stimuli/face.png": "face",
}
BOLD = "sub-01/func/sub-01_task-view_run-1_bold.nii.gz"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for name, text in FILES.items():
        write(root, name, text)
    return root


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "listings"


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """Return the names of the files that are read, as they are read."""
    seen: list[str] = []
    digest = listing.file_digest

    def counted(path: Path) -> str:
        seen.append(path.name)
        return digest(path)

    monkeypatch.setattr(listing, "file_digest", counted)
    return seen


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_every_file_is_listed_with_its_contents(root, cache):
    found = scan(root, cache)
    assert list(found.files) == sorted(FILES)
    assert found.digest == scan(root, None).digest
    assert found.files["stimuli/face.png"] != found.files[BOLD]


def test_the_place_of_the_dataset_does_not_count(root, cache):
    before = scan(root, cache).digest
    root.rename(root.with_name("moved"))
    assert scan(root.with_name("moved"), cache).digest == before


def test_a_second_listing_reads_nothing(root, cache, reads):
    before = scan(root, cache)
    assert len(reads) == len(FILES)
    reads.clear()
    assert scan(root, cache) == before
    assert reads == []
    scan(root, None)
    assert len(reads) == len(FILES)


def test_a_file_that_was_touched_is_read_once_and_is_the_same(root, cache, reads):
    before = scan(root, cache).digest
    reads.clear()
    (root / BOLD).touch()
    assert scan(root, cache).digest == before
    assert reads == [Path(BOLD).name]
    reads.clear()
    assert scan(root, cache).digest == before
    assert reads == []


def test_a_file_that_was_written_again_with_the_same_contents_is_the_same(root, cache):
    before = scan(root, cache).digest
    write(root, BOLD, "one")
    assert scan(root, cache).digest == before


def test_a_change_of_the_same_size_is_seen(root, cache):
    before = scan(root, cache)
    write(root, BOLD, "eno")
    after = scan(root, cache)
    assert after.digest != before.digest
    assert {name for name in FILES if after.files[name] != before.files[name]} == {BOLD}
    write(root, BOLD, "one")
    assert scan(root, cache).digest == before.digest


def test_a_change_whose_time_was_set_back_is_seen(root, cache):
    """Tools that keep time stamps can't keep the time of the change itself."""
    before = scan(root, cache).digest
    stamp = (root / BOLD).stat()
    write(root, BOLD, "eno")
    os.utime(root / BOLD, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert (root / BOLD).stat().st_mtime_ns == stamp.st_mtime_ns
    assert scan(root, cache).digest != before


def test_quick_changes_are_all_seen(root, cache):
    """Faster than the clock of the file system ticks."""
    digests = set()
    for number in range(40):
        write(root, BOLD, f"{number:03d}")
        digests.add(scan(root, cache).digest)
    assert len(digests) == 40


@pytest.mark.parametrize("hours", [-1, 0, 1])
def test_quick_changes_are_seen_whatever_clock_the_file_server_has(root, cache, hours, monkeypatch):
    """Its clock is wrong, and ticks so slowly that two changes have one time stamp."""
    monkeypatch.setattr(listing, "_stamp", stamps_of_a_server(hours, tick_ns=50_000_000))
    digests = set()
    for number in range(8):
        write(root, BOLD, f"{number:03d}")
        digests.add(scan(root, cache).digest)
    assert len(digests) == 8


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_wrong_clock_makes_nothing_slow(root, cache, reads, hours, monkeypatch):
    monkeypatch.setattr(listing, "_stamp", stamps_of_a_server(hours, tick_ns=50_000_000))
    before = scan(root, cache)
    reads.clear()
    assert scan(root, cache) == before
    assert reads == []


def test_stamps_of_whole_seconds_are_waited_for(root, cache, monkeypatch):
    monkeypatch.setattr(listing, "_stamp", stamps_of_a_server(0, tick_ns=1_000_000_000))
    write(root, BOLD, "one")
    before = scan(root, cache).digest
    write(root, BOLD, "eno")
    assert scan(root, cache).digest != before


def stamps_of_a_server(hours: int, tick_ns: int):
    """Return a function that gives a file the time stamps of another machine's clock."""

    def stamp(found: os.stat_result) -> list[int]:
        shift = hours * 3600 * 10**9
        times = (found.st_mtime_ns, found.st_ctime_ns)
        return [found.st_size, *(one // tick_ns * tick_ns + shift for one in times), found.st_ino]

    return stamp


def test_a_replaced_file_is_seen(root, cache):
    before = scan(root, cache).digest
    other = write(root.parent, "other", "eno")
    os.utime(other, ns=(0, (root / BOLD).stat().st_mtime_ns))
    other.replace(root / BOLD)
    assert scan(root, cache).digest != before


def test_files_that_come_go_or_move_are_seen(root, cache):
    digests = [scan(root, cache).digest]
    (root / BOLD).rename(root / BOLD.replace("run-1", "run-2"))
    digests.append(scan(root, cache).digest)
    write(root, "sub-03/func/sub-03_bold.nii.gz", "")
    digests.append(scan(root, cache).digest)
    (root / "stimuli" / "face.png").unlink()
    digests.append(scan(root, cache).digest)
    assert len(set(digests)) == 4


@pytest.mark.parametrize(
    "name",
    [
        ".git/objects/ab",
        ".bidsignore",
        "sub-01/.DS_Store",
        "sub-01/func/sub-01_task-view_run-1_events.json.lock",
        "sourcedata/raw.dcm",
        "code/run.py",
        "logs/today.log",
    ],
)
def test_what_is_no_data_is_left_out(root, cache, name):
    before = scan(root, cache).digest
    write(root, name, "anything")
    assert scan(root, cache).digest == before


def test_folders_of_the_same_name_further_down_are_data(root, cache):
    before = scan(root, cache).digest
    write(root, "derivatives/clean/code/weights.bin", "anything")
    assert scan(root, cache).digest != before


def test_other_subjects_can_be_left_out(root, cache, reads):
    found = scan(root, cache, ["01"])
    assert not [name for name in found.files if "sub-02" in name]
    assert BOLD in found.files
    assert "stimuli/face.png" in found.files
    assert len(reads) == len(found.files)
    write(root, "sub-02/func/sub-02_task-view_run-1_bold.nii.gz", "changed")
    assert scan(root, cache, ["01"]).digest == found.digest


def test_a_choice_of_subjects_does_not_forget_the_others(root, cache, reads):
    everybody = scan(root, cache)
    scan(root, cache, ["01"])
    reads.clear()
    assert scan(root, cache) == everybody
    assert reads == []


def test_links_are_followed(root, cache):
    """DataLad and git-annex keep contents behind links."""
    before = scan(root, cache)
    annex = write(root, ".git/annex/objects/x", "one")
    (root / BOLD).unlink()
    (root / BOLD).symlink_to(annex)
    assert scan(root, cache).digest == before.digest
    (root / "linked").symlink_to(root.parent / "shared")
    write(root.parent, "shared/image.png", "png")
    assert "linked/image.png" in scan(root, cache).files


def test_a_link_that_leads_nowhere_is_an_error(root, cache):
    (root / BOLD).unlink()
    (root / BOLD).symlink_to(root / ".git" / "annex" / "objects" / "gone")
    with pytest.raises(FornixError, match="leads nowhere") as caught:
        scan(root, cache)
    assert caught.value.where == str(root / BOLD)
    assert "datalad get" in caught.value.mend
    assert BOLD not in scan(root, cache, ["02"]).files


@pytest.mark.parametrize("folder", [".", "sub-01", "sub-01/func"])
def test_a_link_back_to_a_folder_above_is_an_error(root, cache, folder):
    (root / "sub-01" / "func" / "again").symlink_to(root / folder)
    with pytest.raises(FornixError, match="leads back to a folder that contains it"):
        scan(root, cache)


def test_a_link_to_itself_is_an_error(root, cache):
    (root / "loop").symlink_to("loop")
    with pytest.raises(FornixError, match="leads nowhere"):
        scan(root, cache)


def test_a_folder_that_is_missing_is_an_error(tmp_path, cache):
    with pytest.raises(FornixError, match="doesn't exist") as caught:
        scan(tmp_path / "nowhere", cache)
    assert "FORNIX_REAL_DATA" in caught.value.mend
    with pytest.raises(FornixError, match="doesn't exist"):
        scan(write(tmp_path, "file", ""), cache)


def test_a_file_that_cannot_be_read_is_an_error(root, cache, monkeypatch):
    def fail(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(listing, "file_digest", fail)
    with pytest.raises(FornixError, match="can't be read: Permission denied"):
        scan(root, cache)
    assert not cache.exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"participants.tsv": 1}', '{"participants.tsv": {}}']
)
def test_notes_that_are_broken_are_made_anew(root, cache, text):
    before = scan(root, cache)
    scan(root, cache)
    (notes,) = cache.glob("*.json")
    notes.write_text(text, encoding="utf-8")
    assert scan(root, cache) == before
    assert json.loads(notes.read_text(encoding="utf-8")).keys() >= set(FILES)


def test_names_that_are_not_utf8_are_listed(root, cache):
    (root / os.fsdecode(b"r\xe9sum\xe9.txt")).touch()
    assert scan(root, cache).digest == scan(root, cache).digest
    assert len(scan(root, cache).files) == len(FILES) + 1


def test_recordings_are_found_by_their_names(root, cache):
    found = scan(root, cache).recordings("bold")
    assert [one["sub"] for one in found] == ["02", "01", "02"]
    assert found[0]["desc"] == "clean"
    assert scan(root, cache).recordings("eeg") == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sub-01_ses-a_task-x_run-02_bold.nii.gz", {"sub": "01", "ses": "a", "run": "02"}),
        ("sub-A1+B_eeg.vhdr", {"sub": "A1+B", "suffix": "eeg", "extension": ".vhdr"}),
        ("participants.tsv", {"suffix": "participants", "extension": ".tsv"}),
        ("README", {"suffix": "README", "extension": ""}),
        ("sub-01_odd_part_bold.json", {"sub": "01", "suffix": "bold"}),
    ],
)
def test_entities_come_from_the_name(name, expected):
    assert expected.items() <= entities(name).items()
