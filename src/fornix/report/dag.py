"""The study's graph as a drawing: stages from left to right, artifacts as boxes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape

BOX_WIDTH, BOX_HEIGHT = 148, 44
GAP_X, GAP_Y = 52, 12
MARGIN = 4
MAX_LABEL = 21


@dataclass
class Node:
    """A box: all jobs of one name in one stage.

    Attributes
    ----------
    key
        Unique name.
    column
        Place from left to right.
    title, detail
        First and second line.
    kind
        Class of the box, for its colour.
    needs
        Keys of the boxes to its left that it reads.
    """

    key: str
    column: int
    title: str
    detail: str
    kind: str
    needs: list[str] = field(default_factory=list)


def draw(nodes: Iterable[Node]) -> str:
    """Return an SVG drawing; texts are escaped."""
    columns: dict[int, list[Node]] = {}
    for node in nodes:
        columns.setdefault(node.column, []).append(node)
    tallest = max(len(column) for column in columns.values())
    height = tallest * (BOX_HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN
    width = len(columns) * (BOX_WIDTH + GAP_X) - GAP_X + 2 * MARGIN
    places: dict[str, tuple[float, float]] = {}
    for number, (_, column) in enumerate(sorted(columns.items())):
        used = len(column) * (BOX_HEIGHT + GAP_Y) - GAP_Y
        top = (height - used) / 2
        for row, node in enumerate(_ordered(column, places)):
            left = MARGIN + number * (BOX_WIDTH + GAP_X)
            places[node.key] = (left, top + row * (BOX_HEIGHT + GAP_Y))
    lines, boxes = [], []
    for node in (node for column in columns.values() for node in column):
        x, y = places[node.key]
        boxes.append(_box(node, x, y))
        for need in node.needs:
            if need in places:
                lines.append(_line(places[need], (x, y), skips=x - places[need][0]))
    return (
        f'<svg class="dag" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Graph of the study\'s stages" xmlns="http://www.w3.org/2000/svg">'
        f"{''.join(lines)}{''.join(boxes)}</svg>"
    )


def _ordered(column: list[Node], places: dict[str, tuple[float, float]]) -> list[Node]:
    """Order boxes by the mean height of what they read, so that fewer lines cross."""

    def height(node: Node) -> float:
        found = [places[need][1] for need in node.needs if need in places]
        return sum(found) / len(found) if found else 0.0

    return sorted(column, key=height)


def _box(node: Node, x: float, y: float) -> str:
    title = node.title if len(node.title) <= MAX_LABEL else node.title[: MAX_LABEL - 1] + "…"
    return (
        f'<g class="{escape(node.kind)}"><title>{escape(node.title)}</title>'
        f'<rect x="{x:g}" y="{y:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"/>'
        f'<text x="{x + 10:g}" y="{y + 18:g}" class="name">{escape(title)}</text>'
        f'<text x="{x + 10:g}" y="{y + 34:g}" class="detail">{escape(node.detail)}</text></g>'
    )


def _line(start: tuple[float, float], end: tuple[float, float], *, skips: float) -> str:
    x1, y1 = start[0] + BOX_WIDTH, start[1] + BOX_HEIGHT / 2
    x2, y2 = end[0], end[1] + BOX_HEIGHT / 2
    bend = min(GAP_X * 0.6, skips / 3)
    return (
        f'<path d="M{x1:g} {y1:g} C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}" '
        f'class="edge"/>'
    )
