"""Which code makes an artifact: the import closure of a stage, and the libraries it rests on.

The closure is read from the source, without importing anything: every ``fornix`` module that a
stage imports at any depth, wherever the import statement stands. Comments, docstrings and the
descriptions of schema fields can't change a number, so they don't change a digest either.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGE = "fornix"
SOURCE = Path(__file__).parents[1]
DATA_SUFFIXES = {".j2", ".css"}

DISTRIBUTIONS = {
    "PIL": "pillow",
    "bids": "pybids",
    "mne_bids": "mne-bids",
    "moten": "pymoten",
    "open_clip": "open_clip_torch",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
}
"""Distributions whose name isn't that of their module."""

BENEATH = {
    "mne": ("numpy", "scipy"),
    "nilearn": ("numpy", "scipy", "scikit-learn", "nibabel"),
    "open_clip_torch": ("torch", "timm", "torchvision", "ftfy"),
    "scikit-image": ("numpy", "scipy"),
    "scikit-learn": ("numpy", "scipy"),
    "timm": ("torch", "torchvision"),
    "transformers": ("torch", "numpy", "tokenizers"),
}
"""Libraries beneath a library that decide its numbers as well."""

BESIDE = frozenset(
    {"huggingface_hub", "jinja2", "pydantic", "safetensors", "threadpoolctl", "yaml"}
)
"""Libraries that decide no numbers: they check, print, fetch or store."""


@dataclass(frozen=True)
class Code:
    """The code of one stage.

    Attributes
    ----------
    modules
        Module (or package data file) -> digest of its source.
    versions
        Library -> version, for those that decide numbers.
    """

    modules: dict[str, str]
    versions: dict[str, str]

    def words(self) -> list[str]:
        """Return one word a module and a library, so that a difference names the culprit."""
        modules = [f"{name}={digest}" for name, digest in sorted(self.modules.items())]
        return modules + [f"{name}=={number}" for name, number in sorted(self.versions.items())]


def code_of(*modules: str) -> Code:
    """Return the code behind the named modules and everything that they import.

    Examples
    --------
    >>> "fornix.errors" in code_of("fornix.store").modules
    True
    """
    closure = _closure(modules)
    digests = {name: _digest(_path(name)) for name in closure}
    for folder in {_path(name).parent for name in closure if name.startswith(f"{PACKAGE}.report")}:
        files = (path for path in sorted(folder.iterdir()) if path.suffix in DATA_SUFFIXES)
        digests |= {path.relative_to(SOURCE).as_posix(): _digest(path) for path in files}
    libraries = set().union(*(_parsed(_path(name)).libraries for name in closure))
    names = {DISTRIBUTIONS.get(name, name) for name in libraries - BESIDE}
    names |= {beneath for name in names for beneath in BENEATH.get(name, ())}
    versions = {name: found for name in sorted(names) if (found := _version(name))}
    return Code(digests, versions)


@dataclass(frozen=True)
class _Parsed:
    digest: str
    modules: frozenset[str]
    libraries: frozenset[str]


def _closure(modules: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    queue = list(modules)
    while queue:
        name = queue.pop()
        if name in seen or not _exists(name):
            continue
        seen.add(name)
        parent = name.rpartition(".")[0]
        queue += [parent] if parent else []
        queue += _parsed(_path(name)).modules
    return seen


def _digest(path: Path) -> str:
    if path.suffix == ".py":
        return _parsed(path).digest
    return hashlib.blake2b(path.read_bytes(), digest_size=6).hexdigest()


@cache
def _parsed(path: Path) -> _Parsed:
    tree = _Essence().visit(ast.parse(path.read_bytes(), filename=str(path)))
    digest = hashlib.blake2b(ast.dump(tree).encode(), digest_size=6).hexdigest()
    names = set(_imports(tree, (PACKAGE, *path.parent.relative_to(SOURCE).parts)))
    inside = frozenset(name for name in names if name.split(".")[0] == PACKAGE)
    tops = {name.split(".")[0] for name in names - inside}
    return _Parsed(digest, inside, frozenset(tops - sys.stdlib_module_names))


def _imports(tree: ast.AST, package: Sequence[str]) -> Iterator[str]:
    """Yield every name that might be a module; those that aren't are dropped by ``_exists``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            if module.split(".")[0] == PACKAGE:
                yield from (f"{module}.{alias.name}" for alias in node.names)


class _Essence(ast.NodeTransformer):
    """Removes what can't change a number: docstrings, descriptions, imports for type checkers."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        test = node.test
        if isinstance(test, ast.Name) and test.id == "TYPE_CHECKING":
            return node.orelse
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        # A release without a change of code makes the same numbers; the provenance names it.
        if any(isinstance(one, ast.Name) and one.id == "__version__" for one in node.targets):
            return None
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "Field":
            node.keywords = [word for word in node.keywords if word.arg != "description"]
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self.generic_visit(node)


def _path(module: str) -> Path:
    path = SOURCE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _exists(module: str) -> bool:
    return module.startswith(PACKAGE) and _path(module).exists()


@cache
def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
