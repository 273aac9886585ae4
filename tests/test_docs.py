"""What the documentation says is there, is there."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fornix.cli import parser
from fornix.features.extractor import Context
from fornix.study.claims import Claim
from fornix.study.datasets import Dataset
from fornix.study.features.union import Features
from fornix.study.fits.union import Fit
from fornix.study.responses import Responses

PROJECT = Path(__file__).parents[1]
PAGES = [
    PROJECT / "README.md",
    PROJECT / "CONTRIBUTING.md",
    *sorted((PROJECT / "docs").glob("*.md")),
]


def load_hooks():
    spec = importlib.util.spec_from_file_location("hooks", PROJECT / "docs/hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("union", [Dataset, Responses, Features, Fit, Claim])
def test_every_kind_is_in_the_reference(union):
    hooks = load_hooks()
    text = hooks.on_page_markdown((PROJECT / "docs/study.md").read_text())
    for model in get_args(get_args(union)[0]):
        assert f"### {hooks.title(model)}\n" in text
        for name in model.model_fields:
            assert f"| `{name}` |" in text


def test_a_page_without_the_mark_stays_as_it_is():
    assert load_hooks().on_page_markdown("nothing here") == "nothing here"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_relative_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_exist(page):
    text = page.read_text()
    makefile = (PROJECT / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z]+)|`make ([a-z]+)`", text, flags=re.MULTILINE):
        assert re.search(rf"^{''.join(target)}:", makefile, flags=re.MULTILINE), target
    known = parser().format_help()
    for command in re.findall(r"(?:bin/|`)fornix ([a-z]+)", text):
        assert f"    {command} " in known, command
    for study in re.findall(r"config/studies/(\w+)\.yaml", text):
        if study not in ("my_study",):
            assert (PROJECT / f"config/studies/{study}.yaml").exists()


def test_the_extractor_of_the_docs_works(tmp_path):
    text = (PROJECT / "docs/extending.md").read_text()
    blocks = re.findall(r'```python\n("""Mean colour.*?)```', text, flags=re.DOTALL)
    example: dict = {"__name__": "tint"}
    for code in blocks:
        exec(compile(code, "docs", "exec", dont_inherit=True), example)  # noqa: S102 - ours
    Image.new("RGB", (8, 8), (10, 20, 30)).save(tmp_path / "one.png")
    rows = pd.DataFrame({"stimulus": ["one"], "path": ["one.png"]})
    section = example["TintFeatures"](kind="tint", dataset="d")
    with example["open_extractor"](section, rows, Context(tmp_path)) as extractor:
        (found,) = extractor([rows], ["tint"])
    assert found["tint"].shape == (1, *extractor.shapes["tint"])
    assert np.allclose(found["tint"], [10, 20, 30])
