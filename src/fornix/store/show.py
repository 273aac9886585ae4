"""An artifact in words: what is in it, what made it, when, from what, with which versions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fornix.store.artifact import Artifact, open_artifact


def show(path: Path) -> str:
    """Return the text that ``fornix show`` prints.

    Raises
    ------
    FornixError
        If there is no artifact at the path.
    """
    artifact = open_artifact(path)
    blocks = [
        ("", _head(artifact)),
        ("parts", _parts(artifact)),
        ("section", _flat(artifact.manifest["recipe"]["section"])),
        ("inputs", _flat(artifact.manifest["recipe"]["inputs"])),
        ("versions", _flat(artifact.manifest["recipe"]["versions"])),
        ("code", _flat(artifact.manifest["recipe"]["code"])),
        ("notes", _flat(artifact.manifest["notes"])),
        ("history", _flat(artifact.manifest["provenance"])),
    ]
    lines = []
    for title, pairs in blocks:
        if rows := list(pairs):
            lines += [f"\n{title}"] if title else []
            width = max(len(key) for key, _ in rows)
            lines += [f"  {key:<{width}}  {value}" for key, value in rows]
    return "\n".join(lines)


def _head(artifact: Artifact) -> Iterator[tuple[str, str]]:
    damage = artifact.damage()
    yield "artifact", str(artifact.path)
    yield "stage", str(artifact.manifest["recipe"]["stage"])
    yield "digest", artifact.digest
    yield "state", f"DAMAGED: {', '.join(damage)}" if damage else "whole"


def _parts(artifact: Artifact) -> Iterator[tuple[str, str]]:
    for name in artifact.manifest["parts"]:
        path = artifact.path / name
        if not path.exists():
            yield name, "missing"
            continue
        yield name, _size(path)
        try:
            yield from list(_inside(artifact, name))
        except (OSError, ValueError, KeyError) as error:  # damaged: the head says so
            yield "", f"can't be read: {str(error).splitlines()[0]}"


def _inside(artifact: Artifact, name: str) -> Iterator[tuple[str, str]]:
    if name.endswith(".zarr"):
        dataset = artifact.dataset(name.removesuffix(".zarr"))
        for key, variable in {**dataset.data_vars, **dataset.coords}.items():
            dims = ", ".join(f"{dim} {size}" for dim, size in variable.sizes.items())
            units = variable.attrs.get("units", "")
            yield f"  {key}", f"({dims}) {variable.dtype}{f' [{units}]' if units else ''}"
    elif name.endswith(".parquet"):
        table = artifact.table(name.removesuffix(".parquet"))
        yield "", f"{len(table)} rows: {', '.join(map(str, table.columns))}"


def _size(path: Path) -> str:
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    size = float(sum(one.stat().st_size for one in files))
    if size < 1000:
        return f"{size:.0f} B"
    for unit in ("kB", "MB"):
        size /= 1000
        if size < 1000:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} GB"


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted key, value) pairs."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif path:
        yield path, value if isinstance(value, str) else json.dumps(value)
