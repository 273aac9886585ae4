"""Models of torchvision."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from fornix.study.features.base import ModelSection


class TorchvisionFeatures(ModelSection):
    """A classification model of torchvision, of pictures.

    Layers are ``embeddings``, ``block1`` to ``blockN`` (stages of a convolutional network count
    as blocks; of AlexNet and VGG, each convolution with what follows it) and ``pooler``;
    ``logits`` and the path of any module, such as ``layer3.0.conv2``, are asked for by name or
    pattern.
    """

    SPEED: ClassVar[frozenset[str]] = ModelSection.SPEED

    kind: Literal["torchvision"] = Field(description="layers of a torchvision model")
    model: str = Field(description="torchvision name, such as resnet50")
    weights: str = Field(
        "DEFAULT", description="which published weights, such as IMAGENET1K_V2; DEFAULT: the best"
    )
    weights_file: str | None = Field(
        None,
        description="local .safetensors file of weights instead; ${VARIABLE} is expanded",
    )
    pickled: bool = Field(
        False,
        description="take torchvision's published weights, which are no safetensors; they are "
        "still read with weights_only, so that no code runs",
    )
    config: dict[str, Any] = Field(
        {},
        description="arguments of the model (image_size, num_classes, ...), with init: random or "
        "weights_file",
    )

    @model_validator(mode="after")
    def _consistent(self) -> TorchvisionFeatures:
        if self.init == "pretrained" and self.config and self.weights_file is None:
            msg = "config needs init: random or weights_file: published weights have their own"
            raise ValueError(msg)
        if self.init == "random" and self.weights_file is not None:
            msg = "weights_file is given, but init: random draws them: take one of the two"
            raise ValueError(msg)
        return self
