"""Which code makes an artifact: the import closure of a stage, and the libraries it rests on.

The closure is read from the source, without importing anything: every ``fornix`` module that a
stage imports at any depth, wherever the import statement stands. Of each, only what can change a
number counts (:mod:`fornix.dag.essence`).
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from fornix.dag.essence import Essence, essence_of, note

PACKAGE = "fornix"
SOURCE = Path(__file__).parents[1]
DATA_SUFFIXES = {".j2", ".css"}
_VERSION = re.compile(r"^Version: *(\S+)", re.MULTILINE)

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
    {
        "dask_jobqueue",
        "distributed",
        "huggingface_hub",
        "jinja2",
        "pydantic",
        "safetensors",
        "threadpoolctl",
        "yaml",
    }
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

    @cached_property
    def words(self) -> list[str]:
        """One word a module and a library, so that a difference names the culprit."""
        modules = [f"{name}={digest}" for name, digest in sorted(self.modules.items())]
        return modules + [f"{name}=={number}" for name, number in sorted(self.versions.items())]

    @cached_property
    def text(self) -> str:
        """The words as Snakemake compares them; the jobs of a kind share this one."""
        return f"code: {' '.join(self.words)}"


@cache
def code_of(*modules: str) -> Code:
    """Return the code behind the named modules and everything that they import.

    Examples
    --------
    >>> "fornix.errors" in code_of("fornix.store").modules
    True
    """
    closure = _closure(modules)
    note()
    digests = {name: _essence(name).digest for name in closure}
    for folder in {_path(name).parent for name in closure if name.startswith(f"{PACKAGE}.report")}:
        files = (path for path in sorted(folder.iterdir()) if path.suffix in DATA_SUFFIXES)
        digests |= {path.relative_to(SOURCE).as_posix(): _content(path) for path in files}
    libraries = set().union(*(_libraries(name) for name in closure))
    names = {DISTRIBUTIONS.get(name, name) for name in libraries - BESIDE}
    names |= {beneath for name in names for beneath in BENEATH.get(name, ())}
    versions = {name: found for name in sorted(names) if (found := _version(name))}
    return Code(digests, versions)


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
        queue += _inside(name)
    return seen


def _inside(module: str) -> list[str]:
    """Return what a module imports of the package; names that are no modules drop out later."""
    return [name for name in _essence(module).imports if name.split(".")[0] == PACKAGE]


def _libraries(module: str) -> set[str]:
    """Return the libraries that a module imports."""
    tops = {name.split(".")[0] for name in _essence(module).imports}
    return tops - sys.stdlib_module_names - {PACKAGE}


def _content(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=6).hexdigest()


@cache
def _essence(module: str) -> Essence:
    return essence_of(_path(module), module)


@cache
def _path(module: str) -> Path:
    path = SOURCE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _exists(module: str) -> bool:
    return module.startswith(PACKAGE) and _path(module).exists()


@cache
def _version(library: str) -> str:
    try:
        found = distribution(library)
    except PackageNotFoundError:
        return ""
    # `found.version` reads the whole description, as an e-mail: a millisecond a library.
    line = _VERSION.search(found.read_text("METADATA") or "")
    return line[1] if line else found.version
