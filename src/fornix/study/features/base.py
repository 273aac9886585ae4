"""What every section of ``features`` has, and what every section of a pretrained model has."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, Literal

from pydantic import Field

from fornix.study.base import Name, Section

Layers = Literal["all"] | list[str | int]
"""``all``, or patterns of layer names, or positions in the list of layers (-1 is the last)."""

Readout = Literal["cls", "mean", "max", "last", "window", "flatten", "tokens"]
"""What is kept of a layer's tokens or places.

- ``cls``: the class token
- ``mean``, ``max``: over tokens or places; padding never counts
- ``last``: the last token
- ``window``: the mean over all that the model has read so far: of a word, over the words before it
  (``context``) and its own; of a step of a sound or clip, from the beginning of its piece on
- ``flatten``: all, side by side
- ``tokens``: all, as a grid: (token, feature), or (row, column, feature) of a picture's places
"""


class FeatureSection(Section):
    """What every kind has."""

    SPEED: ClassVar[frozenset[str]] = frozenset({"parts", "optional"})
    """Settings that change how and whether the numbers come, and not the numbers."""

    dataset: Name = Field(description="a name in datasets")
    layers: Layers = Field("all", description="layers to keep: names, patterns, or positions")
    optional: bool = Field(
        False,
        description="leave it out, with a note, where its model or the columns it reads aren't "
        "there; claims about it are not testable then",
    )
    parts: int = Field(
        1, ge=1, description="jobs that share the stimuli, such as one a GPU; changes no number"
    )
    part: str | None = Field(
        None, pattern=r"^[1-9]\d*/[1-9]\d*$", description="set by parts: one share, such as 1/4"
    )

    def identity(self) -> dict[str, Any]:
        """Leave out what changes speed and not numbers."""
        return self.model_dump(mode="json", exclude=set(self.SPEED))

    def describe(self) -> str:
        """Say in a sentence what is computed, for the report's methods."""
        text = inspect.getdoc(type(self)) or type(self).__name__
        return text.partition("\n\n")[0].replace("\n", " ")

    def layers_in_words(self) -> str:
        """Say which layers are kept."""
        return (
            "all layers" if self.layers == "all" else f"layers {', '.join(map(str, self.layers))}"
        )


class Projection(Section):
    """Sparse random projection, which keeps distances (Li, Hastie & Church 2006, KDD)."""

    n_components: int = Field(ge=1, description="features that remain; smaller layers stay whole")
    seed: int = Field(0, ge=0, description="seed of the projection")


class NetworkSection(FeatureSection):
    """What every pretrained network has."""

    SPEED: ClassVar[frozenset[str]] = FeatureSection.SPEED | {"batch_size", "compile"}

    model: str = Field(description="name of the model or its local path; ${VARIABLE} is expanded")
    init: Literal["pretrained", "random"] = Field(
        "pretrained", description="random: the untrained twin, drawn from the seed"
    )
    seed: int = Field(0, ge=0, description="seed of a random init")
    batch_size: int | Literal["auto"] = Field(
        "auto", description="stimuli a forward pass; auto: as many as memory_mb holds"
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="of the forward pass; features are stored as float32"
    )


class ModelSection(NetworkSection):
    """What every network has whose layers are read."""

    readouts: list[Readout] = Field(
        ["mean"],
        min_length=1,
        description="what is kept of each layer's tokens or places; with several, layers are "
        "named <layer>@<readout>, all from the same forward pass",
    )
    projection: Projection | None = Field(
        None, description="sparse random projection of each layer, to cap its size"
    )
    compile: bool = Field(False, description="torch.compile: slow to start, faster on a GPU")

    def describe(self) -> str:
        """Say in a sentence which model it is, and what is kept of it."""
        start = "untrained " if self.init == "random" else ""
        kept = f"{start}{self.model} (kind {getattr(self, 'kind', '')}), {self.layers_in_words()}"
        kept += f", {' and '.join(self.readouts)} over tokens"
        if self.projection is not None:
            kept += f", randomly projected to {self.projection.n_components} features"
        return f"{kept}."
