"""Lists that stand for several sections: the checkpoints of a training run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

AXIS = "checkpoint"
USERS = ("fits", "analyses")
"""Sections that name features in a list."""


def expand_axes(raw: dict[str, Any]) -> dict[str, Any]:
    """Replace a section with a list of checkpoints by one section a checkpoint.

    Parameters
    ----------
    raw
        A study as it was read, not yet checked.

    Returns
    -------
    dict
        The study with sections ``<name>_<checkpoint>``, and all of them wherever a fit or an
        analysis names ``<name>``.

    Examples
    --------
    >>> raw = {"features": {"lm": {"checkpoint": ["step1", "step-2"]}}}
    >>> list(expand_axes(raw | {"fits": {"f": {"features": ["lm"]}}})["features"])
    ['lm_step1', 'lm_step_2']
    """
    features = raw.get("features")
    if not isinstance(features, Mapping):
        return raw
    names: dict[str, list[str]] = {}
    expanded: dict[str, Any] = {}
    for name, section in features.items():
        points = section.get(AXIS) if isinstance(section, Mapping) else None
        if not isinstance(points, list):
            expanded[name] = section
            continue
        names[name] = []
        for point in points:
            one = f"{name}_{re.sub(r'[^A-Za-z0-9_]', '_', str(point))}"
            names[name].append(one)
            expanded[one] = {**section, AXIS: str(point)}
    if not names:
        return raw
    found = {**raw, "features": expanded}
    for kind in USERS:
        if isinstance(sections := raw.get(kind), Mapping):
            found[kind] = {key: _renamed(one, names) for key, one in sections.items()}
    return found


def _renamed(section: Any, names: Mapping[str, list[str]]) -> Any:
    if not isinstance(section, Mapping) or not isinstance(section.get("features"), list):
        return section
    used = [new for one in section["features"] for new in names.get(str(one), [one])]
    return {**section, "features": used}
