"""The smallest study that is right, and a place to break it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fornix.errors import FornixError
from fornix.study.load import load_study

SMALL = """\
name: small
datasets:
  data: {source: local, path: /nowhere}
responses:
  betas: {kind: fmri, dataset: data}
features:
  gabor: {kind: gabor, dataset: data}
fits:
  encoding: {kind: ridge, responses: betas, features: [gabor]}
"""


@pytest.fixture
def small() -> str:
    """Return a study of nine lines that is right."""
    return SMALL


@pytest.fixture
def study_file(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes a study and says where."""

    def write(text: str) -> Path:
        path = tmp_path / "small.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def complaint(study_file: Callable[[str], Path]) -> Callable[..., str]:
    """Return a function that gives the message about a bad study, without the folder's name."""

    def message(text: str, variant: str | None = None) -> str:
        path = study_file(text)
        with pytest.raises(FornixError) as caught:
            load_study(path, variant)
        assert caught.value.mend, "every complaint says what to do"
        assert str(path) in caught.value.where, "every complaint names the file"
        return str(caught.value).replace(f"{path.parent}/", "")

    return message
