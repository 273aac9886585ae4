"""Code digests: what can change a number changes them, and nothing else does."""

from __future__ import annotations

import ast
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from fornix.dag import code, essence
from fornix.dag.code import code_of

TREE = {
    "__init__.py": '"""The package."""\n__version__ = "1.0"\n',
    "errors.py": "class FornixError(Exception): ...\n",
    "study/__init__.py": "",
    "study/fits.py": (
        '"""Fits."""\n'
        "import pydantic\n"
        "from pydantic import Field\n"
        'size: int = Field(3, ge=1, description="side, pixels")\n'
    ),
    "stages/__init__.py": "",
    "stages/fit.py": (
        "from __future__ import annotations\n"
        "from typing import TYPE_CHECKING\n"
        "from fornix.study import fits\n"
        "if TYPE_CHECKING:\n"
        "    from fornix.drawing import figure\n"
        "    import matplotlib\n"
        "def run(x):\n"
        '    """Run it."""\n'
        "    from fornix.models.ridge import solve\n"
        "    return solve(x)  # at last\n"
    ),
    "models/__init__.py": "",
    "models/ridge.py": "import sklearn.linear_model\nfrom .solve import svd\ndef solve(x): ...\n",
    "models/solve.py": "from ..errors import FornixError\nimport json\ndef svd(x): ...\n",
    "models/rsa.py": "import torch\nimport nilearn\n",
    "drawing.py": "import matplotlib\nfigure = 1\n",
    "report/__init__.py": "",
    "report/page.py": "import jinja2\n",
    "report/page.html.j2": "<p>{{ title }}</p>\n",
    "report/style.css": "p { margin: 0 }\n",
    "report/notes.txt": "nothing\n",
}


class Package:
    """A package on disk that can be edited."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        forget()

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new))


def forget() -> None:
    for cached in (code_of, code._essence, code._path, code._exists, code._version):
        cached.cache_clear()
    essence._noted.cache_clear()
    essence._file.cache_clear()
    essence._FRESH.clear()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a small package that stands in for fornix."""
    root = tmp_path / "fornix"
    monkeypatch.setattr(code, "SOURCE", root)
    package = Package(root)
    for name, text in TREE.items():
        package.write(name, text)
    yield package
    monkeypatch.undo()
    forget()


def test_the_closure_follows_every_import(package):
    """At the top, in a function, of a module from its package, relative; and the packages."""
    assert set(code_of("fornix.stages.fit").modules) == {
        "fornix",
        "fornix.errors",
        "fornix.models",
        "fornix.models.ridge",
        "fornix.models.solve",
        "fornix.stages",
        "fornix.stages.fit",
        "fornix.study",
        "fornix.study.fits",
    }


def test_imports_for_type_checkers_are_left_out(package):
    found = code_of("fornix.stages.fit")
    assert "fornix.drawing" not in found.modules
    assert "matplotlib" not in found.versions
    package.edit(
        "stages/fit.py", "import matplotlib\n", "import matplotlib\nelse:\n    import mne\n"
    )
    assert "mne" in code_of("fornix.stages.fit").versions


def test_imports_for_type_checkers_can_change_without_a_trace(package):
    before = code_of("fornix.stages.fit")
    package.edit("stages/fit.py", "    import matplotlib\n", "")
    assert code_of("fornix.stages.fit") == before


def test_a_kind_is_added_by_name(package):
    fit = code_of("fornix.stages.fit")
    with_rsa = code_of("fornix.stages.fit", "fornix.models.rsa")
    assert set(with_rsa.modules) - set(fit.modules) == {"fornix.models.rsa"}
    assert {"torch", "nilearn"} <= set(with_rsa.versions)
    assert "torch" not in fit.versions


def test_versions_are_those_that_decide_numbers(package):
    found = code_of("fornix.stages.fit").versions
    # scikit-learn by its distribution's name, with what it rests on; pydantic only checks.
    assert set(found) == {"scikit-learn", "numpy", "scipy"}
    assert found["scikit-learn"] == version("scikit-learn")


def test_a_new_version_of_a_library_changes_the_code(package, monkeypatch):
    before = code_of("fornix.stages.fit")
    code_of.cache_clear()
    monkeypatch.setattr(code, "_version", lambda name: f"{version(name)}.post1")
    after = code_of("fornix.stages.fit")
    assert after.modules == before.modules
    changed = set(after.words) - set(before.words)
    assert changed == {f"{name}=={version(name)}.post1" for name in before.versions}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("stages/fit.py", '"""Run it."""', '"""Run it, now documented.\n\n    At length.\n    """'),
        ("stages/fit.py", '    """Run it."""\n', ""),
        ("stages/fit.py", "  # at last", "  # a comment"),
        ("stages/fit.py", "return solve(x)", "return (\n        solve(x)\n    )"),
        ("study/fits.py", '"""Fits."""\n', '"""How fits are set."""\n\n\n'),
        ("study/fits.py", "side, pixels", "side of the image, pixels"),
        ("study/fits.py", ', description="side, pixels"', ""),
        ("__init__.py", "1.0", "1.1"),
        ("drawing.py", "1", "2"),
        ("report/style.css", "0", "1"),
    ],
)
def test_what_cannot_change_a_number_changes_nothing(package, name, old, new):
    before = code_of("fornix.stages.fit")
    package.edit(name, old, new)
    assert code_of("fornix.stages.fit") == before


@pytest.mark.parametrize(
    ("name", "old", "new", "changed"),
    [
        ("stages/fit.py", "solve(x)", "solve(x + 1)", "fornix.stages.fit"),
        ("stages/fit.py", "def run(x):", "def run(x, y=1):", "fornix.stages.fit"),
        ("study/fits.py", "Field(3", "Field(4", "fornix.study.fits"),
        ("study/fits.py", "ge=1", "ge=2", "fornix.study.fits"),
        ("models/solve.py", "def svd(x): ...", "def svd(x): return x", "fornix.models.solve"),
        ("models/__init__.py", "", "import fornix.errors\n", "fornix.models"),
    ],
)
def test_an_edit_names_the_module(package, name, old, new, changed):
    before = code_of("fornix.stages.fit")
    package.edit(name, old, new) if old else package.write(name, new)
    after = code_of("fornix.stages.fit")
    differing = {key for key in after.modules if after.modules[key] != before.modules.get(key)}
    assert differing == {changed}
    words = set(after.words) ^ set(before.words)
    assert {word.partition("=")[0] for word in words} == {changed}


def test_a_string_that_is_used_counts(package):
    package.write("errors.py", 'WORDS = "one"\n')
    before = code_of("fornix.errors")
    package.write("errors.py", 'WORDS = "two"\n')
    assert code_of("fornix.errors") != before


def test_templates_and_styles_belong_to_the_report(package):
    found = code_of("fornix.report.page")
    assert {"report/page.html.j2", "report/style.css"} <= set(found.modules)
    assert "report/notes.txt" not in found.modules
    before = found.modules["report/style.css"]
    package.edit("report/style.css", "0", "1em")
    assert code_of("fornix.report.page").modules["report/style.css"] != before
    assert "report/style.css" not in code_of("fornix.stages.fit").modules


def test_circles_of_imports_end(package):
    package.write("models/solve.py", "from fornix.models import ridge\n")
    assert "fornix.models.ridge" in code_of("fornix.models.solve").modules


def test_a_module_that_is_not_there_is_no_part(package):
    package.write("errors.py", "import fornix.nowhere\nfrom fornix.study import fits, nothing\n")
    assert set(code_of("fornix.errors").modules) == {
        "fornix",
        "fornix.errors",
        "fornix.study",
        "fornix.study.fits",
    }


def test_the_place_of_the_package_does_not_count(package, tmp_path, monkeypatch):
    before = code_of("fornix.stages.fit", "fornix.report.page")
    shutil.copytree(package.root, tmp_path / "elsewhere" / "fornix")
    monkeypatch.setattr(code, "SOURCE", tmp_path / "elsewhere" / "fornix")
    forget()
    assert code_of("fornix.stages.fit", "fornix.report.page") == before


def test_nothing_is_imported_to_find_out(package):
    package.write("errors.py", "import sys\nsys.fornix_was_run = True\nraise SystemExit\n")
    code_of("fornix.errors")
    assert not hasattr(sys, "fornix_was_run")


def test_what_was_read_is_noted_by_content(package, tmp_path, monkeypatch):
    monkeypatch.setattr(essence, "NOTES", tmp_path / "cache/code")
    (tmp_path / "cache").mkdir()
    forget()
    first = code_of("fornix.stages.fit")
    forget()
    monkeypatch.setattr(essence.ast, "parse", lambda *_, **__: pytest.fail("read again"))
    assert code_of("fornix.stages.fit") == first
    monkeypatch.undo()
    monkeypatch.setattr(code, "SOURCE", package.root)
    package.edit("models/solve.py", "def svd(x): ...", "def svd(x): return x")
    after = code_of("fornix.stages.fit")
    changed = {name for name, digest in after.modules.items() if first.modules[name] != digest}
    assert changed == {"fornix.models.solve"}


REAL = Path(code.__file__).parents[1]


def test_real_modules_are_followed():
    found = code_of("fornix.dag.graph")
    assert {"fornix.study.study", "fornix.ingest.listing", "fornix.store.digests"} <= set(
        found.modules
    )
    assert set(found.modules) == {name for name in found.modules if code._exists(name)}


def test_the_study_stays_apart_by_sections():
    """A stage imports the module of its section only, so another section's edit spares it."""
    found = code_of("fornix.study.features.gabor").modules
    assert "fornix.study.base" in found
    others = {"fits", "responses", "study", "features.union", "features.huggingface"}
    assert not {f"fornix.study.{name}" for name in others} & set(found)


@pytest.mark.parametrize("path", sorted(REAL.glob("study/**/*.py")), ids=lambda path: path.stem)
def test_descriptions_of_the_real_sections_do_not_count(path, tmp_path, monkeypatch):
    """Every description of a study's settings is changed: no digest may follow."""
    inside = path.relative_to(REAL).with_suffix("").as_posix()
    module = f"fornix.{inside.replace('/', '.')}".removesuffix(".__init__")
    before = code_of(module)
    shutil.copytree(REAL / "study", tmp_path / "fornix" / "study")
    for name in ("__init__.py", "errors.py"):
        shutil.copy(REAL / name, tmp_path / "fornix" / name)
    for one in (tmp_path / "fornix" / "study").rglob("*.py"):
        tree = Reworded().visit(ast.parse(one.read_text(encoding="utf-8")))
        one.write_text(ast.unparse(tree), encoding="utf-8")
    monkeypatch.setattr(code, "SOURCE", tmp_path / "fornix")
    forget()
    after = code_of(module)
    monkeypatch.undo()
    forget()
    assert after == before


class Reworded(ast.NodeTransformer):
    def visit_keyword(self, node: ast.keyword) -> ast.keyword:
        if node.arg == "description":
            node.value = ast.Constant("other words")
        return node
