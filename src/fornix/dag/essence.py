"""What of a source file can change a number, and what it imports.

Comments, docstrings and the descriptions of schema fields can't change a number, so they don't
change a digest either. Reading that from a file's syntax takes milliseconds, and a stage has more
than a hundred files: what was read is noted by the file's content, for the jobs of a run to take.
"""

from __future__ import annotations

import ast
import hashlib
import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fornix.store.draft import write_atomically

NOTES = Path("cache/code")
"""Where notes are kept, in the project's folder; in a folder without a cache there are none."""


@dataclass(frozen=True)
class Essence:
    """What counts of a source file.

    Attributes
    ----------
    digest
        Digest of what can change a number, 12 hex digits.
    imports
        Every dotted name that it imports, and that might be a module, sorted.
    """

    digest: str
    imports: tuple[str, ...]


def essence_of(path: Path, module: str) -> Essence:
    """Return what counts of a source file.

    Parameters
    ----------
    path
        The file.
    module
        Its dotted name as a module.
    """
    source = path.read_bytes()
    content = hashlib.blake2b(source, digest_size=16).hexdigest()
    known = _noted().get(module)
    if known is None or known["content"] != content:
        tree = _Essence().visit(ast.parse(source, filename=str(path)))
        package = module if path.stem == "__init__" else module.rpartition(".")[0]
        digest = hashlib.blake2b(ast.dump(tree).encode(), digest_size=6).hexdigest()
        imports = sorted(set(_imports(tree, package.split("."))))
        known = {"content": content, "digest": digest, "imports": imports}
        _FRESH[module] = known
    return Essence(known["digest"], tuple(known["imports"]))


def note() -> None:
    """Keep what this process had to read, for others."""
    if not _FRESH or not NOTES.parent.is_dir():
        return
    path = _file()
    try:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, json.dumps(_noted() | _FRESH))
    except OSError:  # nobody may write here: they read the sources again
        return
    _noted().update(_FRESH)
    _FRESH.clear()


_FRESH: dict[str, dict[str, Any]] = {}
"""Module -> what was read of it and isn't noted yet."""


@cache
def _noted() -> dict[str, dict[str, Any]]:
    try:
        notes = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}


@cache
def _file() -> Path:
    """Return the file of the notes that this very code makes, under this very Python."""
    own = Path(__file__).read_bytes() + platform.python_version().encode()
    return NOTES / f"{hashlib.blake2b(own, digest_size=6).hexdigest()}.json"


def _imports(tree: ast.AST, package: Sequence[str]) -> Iterator[str]:
    """Yield every name that might be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            if module.split(".")[0] == package[0]:
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
