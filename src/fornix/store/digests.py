"""Content digests of files and folders."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

_BLOCK = 1 << 20


def file_digest(path: Path) -> str:
    """Return the blake2b digest (32 hex digits) of a file's bytes."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def combine(parts: Iterable[tuple[str, str]]) -> str:
    """Return one digest of (name, digest) pairs, whatever their order."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(parts):
        # File names that aren't UTF-8 come from the system with their bytes escaped.
        digest.update(f"{name}\0{value}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def part_digest(path: Path) -> str:
    """Return the digest of a file, or of a folder's files with their relative names."""
    if path.is_file():
        return file_digest(path)
    files = (file for file in path.rglob("*") if file.is_file())
    return combine((file.relative_to(path).as_posix(), file_digest(file)) for file in files)
