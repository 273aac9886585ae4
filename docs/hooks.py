"""Fill the study file's reference from the models themselves, so that it can't be out of date."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from fornix.study.study import Study

MARK = "<!-- the tables of all sections -->"
LEAF_SECTIONS = ("paper", "scores", "report", "compute")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the mark on a page by the reference."""
    return markdown.replace(MARK, "\n".join(reference())) if MARK in markdown else markdown


def reference() -> Iterator[str]:
    """Yield the reference in Markdown: a heading and a table a section."""
    yield from table("The study", Study)
    for name in ("datasets", "responses", "features", "fits", "claims"):
        yield f"\n## {name}\n"
        for model in members(Study.model_fields[name].annotation):
            yield from table(title(model), model, level=3)
    for name in LEAF_SECTIONS:
        yield from table(name, Study.model_fields[name].annotation)


def table(heading: str, model: Any, level: int = 2) -> Iterator[str]:
    """Yield one model's heading, docstring and fields, then the models inside it."""
    yield f"\n{'#' * level} {heading}\n"
    yield cleandoc(model.__doc__ or "")
    yield "\n| key | type | default | what |\n|---|---|---|---|"
    inner: list[tuple[str, Any]] = []
    for name, field in model.model_fields.items():
        yield f"| `{name}` | {kind(field.annotation)} | {default(field)} | {field.description} |"
        inner += [(name, one) for one in members(field.annotation)]
    if model is not Study:
        for name, one in inner:
            yield from table(f"{heading}: {name}", one, level + 1)


def members(annotation: Any) -> list[Any]:
    """Return the models that an annotation can hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found: list[Any] = []
    for part in get_args(annotation):
        found += [one for one in members(part) if one not in found]
    return found


def title(model: Any) -> str:
    """Return ``kind: fmri`` and the like."""
    for tag in ("source", "kind", "test"):
        field = model.model_fields.get(tag)
        if field is not None and get_origin(field.annotation) is Literal:
            return f"{tag}: {get_args(field.annotation)[0]}"
    return str(model.__name__)


def kind(annotation: Any) -> str:
    """Return a type in words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        words = kind(parts[0])
    elif origin is Literal:
        words = ", ".join(f"`{part}`" for part in parts)
    elif origin in (Union, UnionType):
        words = " or ".join("null" if part is NoneType else kind(part) for part in parts)
    elif origin is list:
        words = f"list of {kind(parts[0])}"
    elif origin is tuple:
        words = f"[{', '.join(map(kind, parts))}]"
    elif origin is dict:
        words = f"name: {kind(parts[1])}"
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        words = "section"
    else:
        names = {str: "text", int: "integer", float: "number", bool: "true or false"}
        words = names.get(annotation, "any")
    return words


def default(field: Any) -> str:
    """Return a default as it would be written."""
    if field.default_factory is not None:
        return "defaults"
    if field.default is PydanticUndefined:
        return "required"
    value = list(field.default) if isinstance(field.default, tuple) else field.default
    return "null" if value is None else f"`{value}`".replace("'", "").replace("``", '`""`')
