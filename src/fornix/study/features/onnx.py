"""Networks in the ONNX format."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fornix.study.features.base import ModelSection


class OnnxFeatures(ModelSection):
    """Layers of a network of pictures or texts that is stored as an ONNX graph.

    Layers are tensors of the graph, named as there (``/`` becomes ``.``). ``all`` leaves out what
    comes before an activation function or normalisation, branches before they are joined, and
    operations that only move values. Graphs in half precision are run in single precision.
    """

    kind: Literal["onnx"] = Field(description="layers of an ONNX graph")
    model: str = Field(description="path of the .onnx file; ${VARIABLE} is expanded")
    size: int | None = Field(
        None, ge=1, description="side of the square picture, pixels; null: what the graph takes"
    )
    resize: Literal["crop", "squash", "pad"] = Field(
        "crop",
        description="to the square: crop the middle after resizing the shorter side, squash, or "
        "pad with mid grey",
    )
    channels: Literal["rgb", "bgr"] = Field("rgb", description="order of the colours")
    scale: float = Field(1 / 255, gt=0, description="factor of grey levels, in units of the level")
    mean: tuple[float, ...] = Field(
        (0.485, 0.456, 0.406),
        description="taken off each channel after scaling, in units of the scaled levels",
    )
    std: tuple[float, ...] = Field(
        (0.229, 0.224, 0.225),
        description="each channel is divided by it, in units of the scaled levels",
    )
    tokenizer: str | None = Field(
        None, description="texts: folder of the tokenizer; null: that of the graph"
    )

    @model_validator(mode="after")
    def _only_what_onnx_has(self) -> OnnxFeatures:
        if self.precision != "float32" or self.compile:
            msg = "precision and compile are torch's: an ONNX graph runs as it is, in float32"
            raise ValueError(msg)
        if "window" in self.readouts:
            msg = "the readout window is for words in running text and rows in time: take mean"
            raise ValueError(msg)
        if len(self.mean) != len(self.std) or not all(one > 0 for one in self.std):
            msg = "mean and std need as many values as there are channels, std above 0"
            raise ValueError(msg)
        return self
