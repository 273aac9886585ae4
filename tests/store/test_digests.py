"""Digests of contents: names and bytes count, order and time stamps don't."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fornix.store import Recipe, Target, create, open_artifact
from fornix.store.digests import combine, file_digest, part_digest

PAIRS = st.dictionaries(
    st.text(st.characters(exclude_characters="\0\n", exclude_categories=["Cs"])),
    st.text("0123456789abcdef"),
)


@given(PAIRS, st.randoms(use_true_random=False))
def test_the_order_does_not_count(pairs, order):
    items = list(pairs.items())
    order.shuffle(items)
    assert combine(items) == combine(pairs.items())


@given(PAIRS, PAIRS)
def test_other_pairs_have_another_digest(one, other):
    assert (combine(one.items()) == combine(other.items())) == (one == other)


def test_names_and_values_are_kept_apart():
    assert combine([("ab", "c")]) != combine([("a", "bc")])


def test_a_digest_never_changes(tmp_path):
    """It is in everybody's manifests."""
    path = tmp_path / "file"
    path.write_bytes(b"fornix")
    assert file_digest(path) == "32119128db4e119e7f49bb0c4b86c34a"
    assert combine([("file", file_digest(path))]) == "4387568065626b826dfd645eea5ceee6"


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_files_of_any_size_are_read_to_their_end(tmp_path, size):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(bytes(size))
    other.write_bytes(bytes(size) + b"\1")
    assert file_digest(one) == part_digest(one)
    assert file_digest(one) != file_digest(other)


def test_a_folder_is_its_files_with_their_names(tmp_path):
    def make(name: str, files: dict[str, str]) -> str:
        for key, text in files.items():
            path = tmp_path / name / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return part_digest(tmp_path / name)

    first = make("a", {"x/1": "one", "x/2": "two"})
    assert make("b", {"x/2": "two", "x/1": "one"}) == first
    assert make("c", {"x/2": "one", "x/1": "two"}) != first
    assert make("d", {"y/1": "one", "y/2": "two"}) != first
    os.utime(tmp_path / "a" / "x" / "1", (1, 1))
    assert part_digest(tmp_path / "a") == first
    assert make("a", {"x/3": ""}) != first


def test_names_that_are_not_utf8_have_a_digest_too(tmp_path):
    name = os.fsdecode(b"r\xe9sum\xe9.txt")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / name).touch()
    assert part_digest(tmp_path / "a") != combine([])


def test_the_digest_of_some_parts_leaves_the_others_out(tmp_path):
    digests = []
    for text in ("one", "two"):
        target = Target(tmp_path / text)
        with create(target, Recipe("fit", {}, {})) as draft:
            draft.write_json("same.json", 1)
            draft.write_json("other.json", text)
        made = open_artifact(target.path)
        digests.append((made.digests("same.json"), made.digests("same.json", "other.json")))
    assert digests[0][0] == digests[1][0]
    assert digests[0][1] != digests[1][1]
