"""What pydantic found wrong with a study, in the words and the line numbers of its file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel

from fornix.errors import did_you_mean
from fornix.study.study import Study, UnknownNameError

PATTERNS = {
    r"^[A-Za-z][A-Za-z0-9_]*$": "letters, digits and underscores, starting with a letter",
    r"^[A-Za-z0-9+]+$": "a BIDS label: letters and digits, without 'sub-', 'ses-' or the like",
}
"""What the patterns of names mean."""


def describe(
    details: Sequence[Any], source: str, lines: yaml.Node | None = None, variant: str | None = None
) -> list[str]:
    """Return problems as ``file:line: section.key: what is wrong``, one a place.

    Parameters
    ----------
    details
        What pydantic found.
    source
        The file.
    lines
        Its YAML tree; without it there are no line numbers.
    variant
        The variant that was merged in: its lines are looked at first.
    """
    trees = _trees(lines, variant)
    found: dict[str, list[str]] = {}
    ends: dict[str, str] = {}
    for detail in details:
        what = _describe(detail)
        error = detail.get("ctx", {}).get("error")
        path = error.location if isinstance(error, UnknownNameError) else _keys(detail["loc"])
        line = _line(trees, path)
        place = f"{source}:{line}: " if line else ""
        place += ".".join(map(str, path)) or "study"
        # A value that may have several types has failed each of them: still one problem.
        what, _, ends[place] = what.partition("; found ")
        found.setdefault(place, []).append(what)
    ends = {place: f"; found {end}" if end else "" for place, end in ends.items()}
    return [f"{place}: {' or '.join(whats)}{ends[place]}" for place, whats in found.items()]


def _describe(detail: Any) -> str:
    """Return what is wrong, in a study's words."""
    location: tuple[int | str, ...] = detail["loc"]
    context = detail.get("ctx", {})
    found = repr(detail["input"])
    found = found if len(found) < 60 else found[:57] + "..."
    match detail["type"]:
        case "extra_forbidden":
            what = f"unknown key; {did_you_mean(str(location[-1]), _fields_at(location[:-1]))}"
        case "missing":
            what = f"missing: this key is required ({_description(location)})"
        case "union_tag_invalid":
            allowed = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
            tag = context["discriminator"].strip("'")
            what = f"{tag} {context['tag']!r} isn't known; {did_you_mean(context['tag'], allowed)}"
        case "union_tag_not_found":
            what = f"missing the key {context['discriminator']}"
        case "value_error":
            what = str(context["error"])
        case "dict_type" | "model_type" | "model_attributes_type":
            what = f"should be a mapping of keys to values; found {found}"
        case "string_type" if isinstance(detail["input"], int | float | date):
            what = f"should be text: put it in quotes; found {found}"
        case "string_pattern_mismatch" if context["pattern"] in PATTERNS:
            what = f"should be {PATTERNS[context['pattern']]}; found {found}"
        case _:
            what = f"{detail['msg'].replace('Input should', 'should')}; found {found}"
    return what


def _trees(lines: yaml.Node | None, variant: str | None) -> list[yaml.Node]:
    """Return the trees in which to look for a line: the variant's overrides, then the study."""
    if lines is None:
        return []
    overrides = lines
    for step in ("variants", variant) if variant else ():
        overrides = _child(overrides, step) or lines
    return [overrides, lines]


def _line(trees: list[yaml.Node], path: Sequence[int | str]) -> int:
    """Return the line of a place, or of what encloses it, where the file comes closest to it."""
    best = (0, 0)
    for node in trees:
        line, depth, here = 0, 0, node
        for step in path:
            if (child := _child(here, step)) is None:
                break
            line, depth, here = _line_of(here, step), depth + 1, child
        best = max(best, (depth, line), key=lambda one: one[0])
    return best[1]


def _child(node: yaml.Node, step: int | str | None) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): value for key, value in _pairs(node)}.get(str(step))
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        child: yaml.Node = node.value[step]
        return child
    return None


def _line_of(node: yaml.Node, step: int | str) -> int:
    """Return the line of a child that is there: that of its key, if it has one."""
    if isinstance(node, yaml.MappingNode):
        keys = {str(key.value): key for key, _ in _pairs(node)}
        return int(keys[str(step)].start_mark.line) + 1
    return int(node.value[int(step)].start_mark.line) + 1


def _pairs(node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    """Return a mapping's pairs, those of merge keys (``<<``) first."""
    merged: list[tuple[yaml.Node, yaml.Node]] = []
    for key, value in node.value:
        if key.value == "<<":
            sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for one in reversed(sources):  # the first of several wins
                merged.extend(_pairs(one) if isinstance(one, yaml.MappingNode) else [])
    return merged + list(node.value)


def _walk(location: tuple[int | str, ...]) -> Iterator[tuple[int | str, bool, Any]]:
    """Follow a pydantic location through the schema: (step, whether it is a key, type there)."""
    here: Any = Study
    for step in location:
        is_key = True
        if isinstance(here, type) and issubclass(here, BaseModel):
            field = here.model_fields.get(str(step))
            here = field.annotation if field else None
        elif get_origin(here) in (Union, UnionType):
            is_key = False  # the tag of a section's type, or the word for a value's type
            members = [kind for kind in get_args(here) if str(step) in _tags(kind)]
            here = next(iter(members or [kind for kind in get_args(here) if get_args(kind)]), None)
        elif step == "[key]":
            is_key = False
        elif get_args(here):
            here = get_args(here)[-1]
        here = _strip(here)
        yield step, is_key, here


def _keys(location: tuple[int | str, ...]) -> list[int | str]:
    """Return a pydantic location as the file has it, without the names of types."""
    return [step for step, is_key, _ in _walk(location) if is_key]


def _type_at(location: tuple[int | str, ...]) -> Any:
    """Return the type that the schema has at a pydantic location."""
    return ([Study] + [kind for _, _, kind in _walk(location)])[-1]


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
        for tag in ("source", "kind", "test", "name")
        if tag in fields
        for value in get_args(fields[tag].annotation)
    }


def _fields_at(location: tuple[int | str, ...]) -> set[str]:
    return set(getattr(_type_at(location), "model_fields", {}))


def _description(location: tuple[int | str, ...]) -> str:
    parent = _type_at(location[:-1])
    field = getattr(parent, "model_fields", {}).get(str(location[-1]))
    return (field.description if field else None) or "see the schema"
