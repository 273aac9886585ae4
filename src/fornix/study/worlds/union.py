"""All worlds; a new one is a module beside this one and a line here."""

from __future__ import annotations

from fornix.study.worlds.shapes import ShapesWorld

World = ShapesWorld
