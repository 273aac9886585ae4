"""Tiny checkpoints, written once a session."""

from __future__ import annotations

import pytest
import tiny


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """Return a function: architecture -> folder of a tiny checkpoint of it."""
    root = tmp_path_factory.mktemp("checkpoints")

    def folder(name):
        path = root / name
        return path if path.exists() else tiny.MAKERS[name](path)

    return folder


@pytest.fixture
def images(tmp_path):
    """Return five pictures as a stimulus table, and the folder that they lie in."""
    return tiny.pictures(tmp_path), tmp_path
