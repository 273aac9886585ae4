"""Which layers to keep, by pattern."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from fornix.errors import FornixError, did_you_mean
from fornix.study.features.base import Layers


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a whole name is one of the patterns (``*``, ``?``), whatever its case.

    Examples
    --------
    >>> matches("block12", ["Block*"])
    True
    """
    low = name.lower()
    return any(low == one.lower() or fnmatchcase(low, one.lower()) for one in patterns)


def select_layers(names: Sequence[str], wanted: Layers, *, where: str) -> list[str]:
    """Return the layers to keep, in the model's order.

    Raises
    ------
    FornixError
        If a pattern matches no layer.
    """
    if wanted == "all":
        return list(names)
    kept: set[str] = set()
    for one in wanted:
        if isinstance(one, int):
            if not -len(names) <= one < len(names):
                problem = f"there is no layer {one}: the model has {len(names)}, from 0"
                mend = f"give {-len(names)} to {len(names) - 1}, or names"
                raise FornixError(problem, where=f"{where}: layers", mend=mend)
            kept.add(names[one])
            continue
        found = {name for name in names if matches(name, [one])}
        if not found:
            problem = f"no layer matches {one!r}"
            mend = f"{did_you_mean(one, names)}; or layers: all"
            raise FornixError(problem, where=f"{where}: layers", mend=mend)
        kept |= found
    if not kept:
        problem, mend = "no layer is asked for", f"name some of: {', '.join(names)}; or all"
        raise FornixError(problem, where=f"{where}: layers", mend=mend)
    return [name for name in names if name in kept]
