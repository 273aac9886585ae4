"""Tiny checkpoints, written once a session."""

from __future__ import annotations

import os

import pytest
import tiny
import tiny_vlm

# These need torchvision, which must not be seen by the other tests: see test_vision_families.py.
collect_ignore = (
    []
    if os.environ.get("FORNIX_VISION")
    else ["test_timm.py", "test_open_clip.py", "test_torchvision.py"]
)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """Return a function: architecture -> folder of a tiny checkpoint of it."""
    return maker(tmp_path_factory.mktemp("checkpoints"), tiny.MAKERS)


@pytest.fixture(scope="session")
def vlm(tmp_path_factory):
    """Return a function: architecture -> folder of a tiny vision-language checkpoint of it."""
    return maker(tmp_path_factory.mktemp("vlm"), tiny_vlm.MAKERS)


def maker(root, makers):
    def folder(name):
        path = root / name
        return path if path.exists() else makers[name](path)

    return folder


@pytest.fixture
def images(tmp_path):
    """Return five pictures as a stimulus table, and the folder that they lie in."""
    return tiny.pictures(tmp_path), tmp_path
