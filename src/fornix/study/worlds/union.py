"""All worlds; a new one is a module beside this one and a line here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fornix.study.worlds.geometry import GeometryWorld
from fornix.study.worlds.hierarchy import HierarchyWorld
from fornix.study.worlds.routing import RoutingWorld
from fornix.study.worlds.scenes import ScenesWorld
from fornix.study.worlds.shapes import ShapesWorld

World = Annotated[
    ShapesWorld | RoutingWorld | GeometryWorld | HierarchyWorld | ScenesWorld,
    Field(discriminator="name"),
]
