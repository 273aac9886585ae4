"""Read a study file: YAML in, a checked :class:`Study` out, or one error that says it all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from fornix.errors import FornixError, did_you_mean
from fornix.study.study import Study

MAX_REPORTED = 12
"""Problems listed in one message; more would scroll the first ones away."""


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
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = f"can't read the study file: {error}"
        raise FornixError(
            problem, where=str(path), mend="see config/studies/ for examples"
        ) from None
    try:
        raw = yaml.safe_load(text)
        lines = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = f"not valid YAML: {getattr(error, 'problem', error)}"
        raise FornixError(problem, where=where, mend="check indentation, colons, quotes") from None
    return parse_study(raw, source=str(path), variant=variant, lines=lines)


def parse_study(
    raw: Any, *, source: str = "study", variant: str | None = None, lines: yaml.Node | None = None
) -> Study:
    """Check a study that is already in memory; ``lines`` gives problems their line numbers."""
    if not isinstance(raw, Mapping):
        problem = f"a study is a mapping of sections, not {type(raw).__name__}"
        raise FornixError(problem, where=source, mend="start with `fornix new NAME`")
    raw = apply_variant(dict(raw), variant, source)
    try:
        return Study.model_validate(raw)
    except ValidationError as error:
        found = error.errors()
        problems = [_describe(detail, source, lines) for detail in found[:MAX_REPORTED]]
        if len(found) > MAX_REPORTED:
            problems.append(f"... and {len(found) - MAX_REPORTED} more")
        count = "one problem" if len(found) == 1 else f"{len(found)} problems"
        problem = "\n".join([f"{count} in the study file", *(f"- {text}" for text in problems)])
        mend = "mend the lines above; `fornix new NAME` writes a commented example"
        raise FornixError(problem, where=source, mend=mend) from None


def apply_variant(raw: dict[str, Any], variant: str | None, source: str) -> dict[str, Any]:
    """Merge the overrides of ``variants.<variant>`` into a raw study.

    Mappings are merged key by key; anything else replaces what was there. A mapping that gives
    another ``source``, ``kind``, ``test`` or ``name`` replaces the old one whole, since its keys
    belong to another type.
    """
    if variant is None:
        return raw
    variants = raw.get("variants") or {}
    if variant not in variants:
        problem = f"the study has no variant '{variant}'"
        raise FornixError(problem, where=source, mend=did_you_mean(variant, variants))
    return dict(_merge(raw, variants[variant]))


def _merge(old: Any, new: Any) -> Any:
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return new
    for tag in ("source", "kind", "test"):
        if tag in new and new[tag] != old.get(tag):
            return new
    merged = dict(old)
    for key, value in new.items():
        merged[key] = _merge(old[key], value) if key in old else value
    return merged


def _describe(detail: Any, source: str, lines: yaml.Node | None) -> str:
    """Return one problem as ``file:line: section.key: what is wrong``."""
    location: tuple[int | str, ...] = detail["loc"]
    line, path = _find(lines, location)
    where = f"{source}:{line}: " if line else ""
    name = ".".join(path) or "study"
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            known = sorted(_fields_at(location[:-1]))
            what = f"unknown key; {did_you_mean(str(location[-1]), known)}"
        case "missing":
            what = f"missing: this key is required ({_description(location)})"
        case "union_tag_invalid":
            allowed = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
            what = f"{context['discriminator'].strip(chr(39))} {context['tag']!r} isn't known; "
            what += did_you_mean(context["tag"], allowed)
        case "union_tag_not_found":
            what = f"missing the key {context['discriminator']}"
        case "value_error":
            what = str(context["error"])
        case _:
            found = repr(detail["input"])
            what = f"{detail['msg']}; found {found if len(found) < 60 else found[:57] + '...'}"
    return f"{where}{name}: {what}"


def _find(node: yaml.Node | None, location: tuple[int | str, ...]) -> tuple[int, list[str]]:
    """Follow a pydantic location through YAML nodes: (line, path without union tags)."""
    line, path = 0, []
    for i, step in enumerate(location):
        if isinstance(node, yaml.MappingNode):
            pairs = {str(key.value): (key, value) for key, value in _pairs(node)}
            if str(step) in pairs:
                key, node = pairs[str(step)]
                line = key.start_mark.line + 1
            elif i < len(location) - 1:
                continue  # a union's tag: not a key of the file
        elif (
            isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value)
        ):
            node = node.value[step]
            line = node.start_mark.line + 1
        path.append(str(step))
    return line, path


def _pairs(node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    """Return a mapping's pairs, those of merge keys (``<<``) first."""
    merged: list[tuple[yaml.Node, yaml.Node]] = []
    for key, value in node.value:
        if key.value == "<<" and isinstance(value, yaml.MappingNode):
            merged.extend(_pairs(value))
    return merged + list(node.value)


def _type_at(location: tuple[int | str, ...]) -> Any:
    """Return the type that the schema has at a pydantic location."""
    here: Any = Study
    for step in location:
        here = _strip(here)
        if isinstance(here, type) and issubclass(here, BaseModel):
            field = here.model_fields.get(str(step))
            here = field.annotation if field else None
        elif get_origin(here) in (Union, UnionType):
            here = next((kind for kind in get_args(here) if str(step) in _tags(kind)), None)
        elif get_args(here):
            here = get_args(here)[-1]
    return _strip(here)


def _strip(kind: Any) -> Any:
    """Remove ``Annotated`` and ``| None`` from a type."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        rest = [one for one in get_args(kind) if one is not NoneType]
        if len(rest) == 1:
            return _strip(rest[0])
    return kind


def _tags(kind: Any) -> set[str]:
    """Return the discriminator values of a union's member."""
    fields = getattr(kind, "model_fields", {})
    return {
        str(value)
        for tag in ("source", "kind", "test")
        if tag in fields
        for value in get_args(fields[tag].annotation)
    }


def _fields_at(location: tuple[int | str, ...]) -> set[str]:
    return set(getattr(_type_at(location), "model_fields", {}))


def _description(location: tuple[int | str, ...]) -> str:
    parent = _type_at(location[:-1])
    field = getattr(parent, "model_fields", {}).get(str(location[-1]))
    return (field.description if field else None) or "see the schema"
