"""The values of a study's settings, each by its dotted key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value); lists of mappings are walked into, other lists are values.

    Examples
    --------
    >>> list(leaves({"fits": {"ridge": {"alphas": [0, 2, 3]}}, "claims": [{"test": "tie"}]}))
    [('fits.ridge.alphas', [0, 2, 3]), ('claims.0.test', 'tie')]
    """
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        for at, inner in enumerate(value):
            yield from leaves(inner, f"{path}.{at}")
    else:
        yield path, value
