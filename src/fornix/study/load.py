"""Read a study file: YAML in, a checked :class:`Study` out, or one error that says it all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from fornix.errors import FornixError, did_you_mean
from fornix.study.axes import expand_axes
from fornix.study.problems import describe
from fornix.study.study import Study

MAX_REPORTED = 12
"""Problems listed in one message; more would scroll the first ones away."""
MAX_DEPTH = 100
"""Mappings and lists within one another; no section needs a tenth of it."""


def load_study(path: Path | str, variant: str | None = None) -> Study:
    """Read and check a study file.

    Parameters
    ----------
    path
        The YAML file.
    variant
        Name in ``variants`` whose overrides are merged in.

    Raises
    ------
    FornixError
        With every problem found: line, what was found, what is allowed.
    """
    raw, lines = read_raw(path)
    return parse_study(raw, source=str(path), variant=variant, lines=lines)


def read_raw(path: Path | str) -> tuple[Any, yaml.Node | None]:
    """Return what a study file says, unchecked, and its YAML tree.

    Raises
    ------
    FornixError
        If the file can't be read, or isn't YAML.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = f"can't read the study file: {error}"
        raise FornixError(
            problem, where=str(path), mend="see config/studies/ for examples"
        ) from None
    try:
        return read_yaml(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: dates that don't exist
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = f"not valid YAML: {getattr(error, 'problem', error)}"
        raise FornixError(problem, where=where, mend="check indentation, colons, quotes") from None


def read_yaml(text: str) -> tuple[Any, yaml.Node | None]:
    """Return what a text says, and its tree; by libyaml, which is ten times as fast, if it's there.

    Raises
    ------
    yaml.YAMLError, ValueError
        If it isn't YAML, is nested too deep, or holds a date that doesn't exist.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    depth = 0
    for event in yaml.parse(text, Loader=loader):  # no recursion, which would end the process
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise yaml.YAMLError("nested too deep")  # noqa: EM101 - as libyaml words its own
    return loader(text).get_single_data(), loader(text).get_single_node()


def parse_study(
    raw: Any, *, source: str = "study", variant: str | None = None, lines: yaml.Node | None = None
) -> Study:
    """Check a study that is already in memory; ``lines`` gives problems their line numbers."""
    if not isinstance(raw, Mapping):
        found = "the file is empty" if raw is None else f"this is a {type(raw).__name__}"
        problem = f"a study is a mapping of sections, but {found}"
        raise FornixError(problem, where=source, mend="start with `fornix new NAME`")
    _refuse_twins(lines, source)
    raw = expand_axes(apply_variant(dict(raw), variant, source))
    try:
        return Study.model_validate(raw)
    except ValidationError as error:
        listed = describe(error.errors(), source, lines, variant)
        problems = listed[:MAX_REPORTED]
        if len(listed) > MAX_REPORTED:
            problems.append(f"... and {len(listed) - MAX_REPORTED} more")
        count = "one problem" if len(listed) == 1 else f"{len(listed)} problems"
        problem = "\n".join([f"{count} in the study file", *(f"- {text}" for text in problems)])
        mend = "mend the lines above; `fornix new NAME` writes a commented example"
        raise FornixError(problem, where=source, mend=mend) from None


def apply_variant(raw: dict[str, Any], variant: str | None, source: str) -> dict[str, Any]:
    """Merge the overrides of ``variants.<variant>`` into a raw study.

    Mappings are merged key by key; anything else replaces what was there, and null in the place of
    a mapping takes it away. A mapping that gives another ``source``, ``kind`` or ``test`` replaces
    the old one whole, since its keys belong to another type.
    """
    if variant is None:
        return raw
    variants = raw.get("variants") or {}
    if not isinstance(variants, Mapping) or variant not in variants:
        problem = f"the study has no variant '{variant}'"
        known = variants if isinstance(variants, Mapping) else {}
        mend = did_you_mean(variant, known) if known else "define it under `variants`"
        raise FornixError(problem, where=source, mend=mend)
    if not isinstance(overrides := variants[variant], Mapping):
        problem = f"a variant is a mapping of overrides, not {overrides!r}"
        mend = "give the sections to change, as at the top of the file; {} changes nothing"
        raise FornixError(problem, where=f"{source}: variants.{variant}", mend=mend)
    merged = dict(raw)
    for key, value in overrides.items():
        merged[key] = merge(raw[key], value) if key in raw else value
    return merged


def merge(old: Any, new: Any) -> Any:
    """Return a value with an override merged in, as :func:`apply_variant` says."""
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return new
    for tag in ("source", "kind", "test"):
        if tag in new and new[tag] != old.get(tag):
            return new
    merged = dict(old)
    for key, value in new.items():
        if value is None and isinstance(old.get(key), Mapping):
            del merged[key]
        else:
            merged[key] = merge(old[key], value) if key in old else value
    return merged


def _refuse_twins(node: yaml.Node | None, source: str) -> None:
    """Raise if a mapping has a key twice: YAML would silently take the last one."""
    queue, seen = [node], set()
    while queue:
        node = queue.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            queue += node.value
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                line, name = key.start_mark.line + 1, str(key.value)
                if name in lines:
                    problem = f"the key '{name}' is there twice; the first is on line {lines[name]}"
                    raise FornixError(problem, where=f"{source}:{line}", mend="keep one of them")
                lines[name] = line
                queue.append(value)
