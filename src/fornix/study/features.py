"""``features``: what models make of the stimuli, every layer in one pass."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from fornix.study.base import Glob, Name, Section

Layers = Literal["all"] | list[str]
"""``all``, or patterns of layer names."""


class ColumnFeatures(Section):
    """Columns of the stimulus table, one layer a column.

    Text columns become one indicator ("one-hot") feature a value, numeric columns stay one
    number. A missing value is a row of zeros. ``any_of`` adds layers that are 1 where any of the
    named columns is set.
    """

    kind: Literal["columns"] = Field(description="columns of the stimulus table")
    dataset: Name = Field(description="a name in datasets")
    columns: list[Glob] = Field(["*"], description="patterns of column names")
    any_of: dict[Name, list[str]] = Field(
        {},
        description="layer name -> columns; left out, with a note in the report, where the table "
        "lacks one of the columns",
    )
    stack: dict[Name, list[str]] = Field(
        {}, description="layer name -> columns placed side by side, such as position: [x, y]"
    )
    onehot: list[Glob] = Field([], description="numeric columns to treat as categories")
    layers: Layers = Field("all", description="layers to keep")


class PixelFeatures(Section):
    """The pixels themselves, as grey or colour values of a shrunken image."""

    kind: Literal["pixels"] = Field(description="pixels of the images")
    dataset: Name = Field(description="a name in datasets")
    size: int = Field(32, ge=2, description="side of the shrunken image, pixels")
    colour: bool = Field(False, description="keep the three colour channels")
    layers: Layers = Field("all", description="layers to keep")


class GaborFeatures(Section):
    """Gabor pyramid: oriented energy at ``n_levels`` scales, an octave apart.

    Layer ``level1`` is the finest. Each level is the square root of the summed squares of a
    quadrature pair (complex-cell energy), averaged over a grid of ``grid`` x ``grid`` places.
    """

    kind: Literal["gabor"] = Field(description="energy of a Gabor pyramid")
    dataset: Name = Field(description="a name in datasets")
    size: int = Field(64, ge=16, description="images are resized to this side, pixels")
    n_levels: int = Field(4, ge=1, le=8, description="scales; the finest has 0.25 cycles/pixel")
    n_orientations: int = Field(4, ge=1, description="orientations, evenly spaced over 180 deg")
    grid: int = Field(8, ge=1, description="places a side at which energy is averaged")
    layers: Layers = Field("all", description="layers to keep")

    @model_validator(mode="after")
    def _fits_the_size(self) -> GaborFeatures:
        # The coarsest level needs a whole cycle a picture, and a place at least a pixel.
        most = (self.size // 4).bit_length()
        if self.n_levels > most:
            msg = f"n_levels: {self.n_levels} needs size {2 ** (self.n_levels + 1)} or more; "
            raise ValueError(msg + f"size {self.size} has room for {most}")
        if self.grid > self.size:
            msg = f"grid: {self.grid} places a side are more than the {self.size} pixels"
            raise ValueError(msg)
        return self


class HuggingFaceFeatures(Section):
    """Hidden states of a Hugging Face vision or text model."""

    kind: Literal["huggingface"] = Field(description="hidden states of a Hugging Face model")
    dataset: Name = Field(description="a name in datasets")
    model: str = Field(description="hub name (org/name) or a local folder; ${VARIABLE} is expanded")
    revision: str | None = Field(None, description="hub revision (commit, tag); pin it")
    modality: Literal["auto", "image", "text"] = Field("auto", description="what goes in")
    init: Literal["pretrained", "random"] = Field(
        "pretrained", description="random: the untrained twin, from the config and the seed"
    )
    config: dict[str, Any] = Field(
        {},
        description="model config values to override; with init: random and model naming an "
        "architecture (vit, bert, gpt2, ...) no files are needed",
    )
    pooling: Literal["mean", "cls", "last", "max", "flatten"] = Field(
        "mean", description="tokens to one vector; padding never counts"
    )
    batch_size: int = Field(32, ge=1, description="stimuli a forward pass")
    seed: int = Field(0, ge=0, description="seed of a random init")
    layers: Layers = Field("all", description="layers to keep")

    @model_validator(mode="after")
    def _random_needs_no_revision(self) -> HuggingFaceFeatures:
        if self.init == "pretrained" and self.config:
            msg = "config overrides need init: random; pretrained weights come with their own"
            raise ValueError(msg)
        return self

    def identity(self) -> dict[str, Any]:
        """Leave out the batch size, which changes speed and not numbers."""
        return self.model_dump(mode="json", exclude={"batch_size"})


Features = Annotated[
    ColumnFeatures | PixelFeatures | GaborFeatures | HuggingFaceFeatures,
    Field(discriminator="kind"),
]
