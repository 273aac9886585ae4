"""A change to a study that is tried without writing it down: ``features.vit.layers=[3,6]``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fornix.errors import FornixError, did_you_mean
from fornix.study.load import apply_variant, merge, parse_study, read_raw
from fornix.study.study import Study

NAMED = ("datasets", "responses", "features", "fits", "analyses")
"""Parts of a study that are a mapping of names, each with a section."""


def edited(path: Path, variant: str | None, edits: Sequence[str]) -> dict[str, Any]:
    """Return the config of a study with some values changed, as Snakemake takes it.

    Parameters
    ----------
    path
        The study file.
    variant
        One of its variants, which is merged in first.
    edits
        ``KEY=VALUE``: the dotted path of a value, and the value as YAML. A mapping is merged into
        the one that is there, as those of variants are; anything else takes its place.

    Raises
    ------
    FornixError
        If a path leads nowhere (names the nearest key that there is), or the study with the
        edits isn't one.

    Examples
    --------
    >>> edited(Path("config/studies/demo.yaml"), None, ["scores.permutations=10"])["scores"]
    {'permutations': 10}
    """
    raw, lines = read_raw(path)
    study = parse_study(raw, source=str(path), variant=variant, lines=lines)
    changed = apply_variant(dict(raw), variant, str(path))
    for edit in edits:
        steps, value = _parsed(edit)
        if steps[0] == "variants":
            problem = "a variant is edited through the study that it makes"
            mend = "give --variant NAME, and the KEY that it overrides"
            raise FornixError(problem, where=f"--edit {edit}", mend=mend)
        changed = _put(changed, steps, value, edit=edit, study=study)
    # The variant has been merged; a name without overrides keeps the name of its results.
    changed["variants"] = {variant: {}} if variant else {}
    parse_study(changed, source=f"{path} with --edit {' --edit '.join(edits)}", variant=variant)
    return changed | ({"variant": variant} if variant else {})


def _parsed(edit: str) -> tuple[list[str], Any]:
    key, equals, text = edit.partition("=")
    where, steps = f"--edit {edit}", [step.strip() for step in key.split(".")]
    if not equals or not all(steps):
        problem = "an edit is KEY=VALUE"
        raise FornixError(problem, where=where, mend="such as features.vit.layers=[3,6]")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        problem = f"the value isn't valid YAML: {getattr(error, 'problem', error)}"
        raise FornixError(problem, where=where, mend="quote it for the shell") from None
    if not text.strip():
        problem = "the value is empty"
        raise FornixError(problem, where=where, mend="write null to take one away")
    return steps, value


def _put(here: Any, steps: Sequence[str], value: Any, *, edit: str, study: Study) -> Any:
    """Return a copy of a raw study with one value changed."""
    depth = len(edit.partition("=")[0].split(".")) - len(steps)
    done = edit.partition("=")[0].split(".")[:depth]
    step, rest = steps[0], steps[1:]
    if isinstance(here, list):
        if not step.isdigit() or int(step) >= len(here):
            problem = f"{'.'.join(done)} is a list of {len(here)}, and has no item '{step}'"
            mend = f"items are 0 to {len(here) - 1}" if here else "give the whole list"
            raise FornixError(problem, where=f"--edit {edit}", mend=mend)
        at = int(step)
        new = _put(here[at], rest, value, edit=edit, study=study) if rest else value
        return [*here[:at], new, *here[at + 1 :]]
    if here is not None and not isinstance(here, Mapping):
        problem = f"{'.'.join(done)} is the value {here!r}, and has no key '{step}'"
        raise FornixError(problem, where=f"--edit {edit}", mend=f"edit {'.'.join(done)} itself")
    here = dict(here or {})
    before = here.get(step)
    new_section = len(done) == 1 and done[0] in NAMED and not rest and isinstance(value, Mapping)
    allowed = set(_keys(study, done)) | set(map(str, here))
    if step not in allowed and not new_section:
        problem = f"there is no key '{step}' in {'.'.join(done) or 'the study'}"
        raise FornixError(problem, where=f"--edit {edit}", mend=did_you_mean(step, allowed))
    if rest:
        here[step] = _put(here.get(step), rest, value, edit=edit, study=study)
    else:
        here[step] = merge(here[step], value) if step in here else value
        if value is None and isinstance(before, Mapping):  # as in a variant
            del here[step]
    return here


def _keys(study: Study, path: Sequence[str]) -> Iterator[str]:
    """Yield the keys that a place of the checked study has, written or by default."""
    here: Any = study
    for step in path:
        if isinstance(here, Mapping):
            here = here.get(step)
        elif isinstance(here, list | tuple):
            here = here[int(step)] if step.isdigit() and int(step) < len(here) else None
        else:
            here = getattr(here, step, None)
    if isinstance(here, Mapping):
        yield from map(str, here)
    else:
        yield from (key for key in getattr(type(here), "model_fields", {}) if key != "variants")
