"""A linear readout of a vision model that learns with it, or of which parts are frozen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fornix.errors import FornixError, did_you_mean
from fornix.features import hub
from fornix.features.checkpoints import load_model
from fornix.models.interface import Context, EncodingData, Predictions
from fornix.models.networks import Scale, fit_networks
from fornix.seeds import generator
from fornix.study.features.huggingface import HuggingFaceFeatures

if TYPE_CHECKING:
    from fornix.study.fits.backbone import BackboneFit

WHERE = "fits (kind: backbone)"


class Readout(nn.Module):
    """A vision model, and a linear map from one of its layers to the units.

    Parameters
    ----------
    model
        A Hugging Face model of pictures.
    example
        One picture as the model takes it, (1, row, column, channel).
    section
        Which layer, what is read of it, and what is frozen.
    n_units
        Units.
    """

    def __init__(self, model: Any, example: Tensor, section: BackboneFit, n_units: int) -> None:
        super().__init__()
        self.model = model
        self.layer, self.readout, self.rate = section.layer, section.readout, section.backbone_rate
        freeze(model, section.freeze)
        self.linear = nn.Linear(self.read(example).shape[1], n_units)

    def train(self, mode: bool = True) -> Readout:
        """Leave a model that is frozen throughout in evaluation mode."""
        super().train(mode)
        if not any(one.requires_grad for one in self.model.parameters()):
            self.model.eval()
        return self

    def read(self, pictures: Tensor) -> Tensor:
        """Return one vector a picture (sample, row, column, channel)."""
        pixels = pictures.permute(0, 3, 1, 2).contiguous()
        found = self.model(pixel_values=pixels, output_hidden_states=True)
        state: Tensor = found.hidden_states[self.layer]
        if self.readout == "flatten":
            return state.flatten(1)
        if state.ndim == 4:  # (sample, channel, row, column)
            return state.mean((2, 3))
        return state[:, 0] if self.readout == "cls" else state.mean(1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (sample, unit)."""
        told: Tensor = self.linear(self.read(pictures))
        return told

    def groups(self, rate: float) -> Iterator[dict[str, Any]]:
        """Yield the parameters that learn, the backbone's with a rate of their own."""
        learnt = [one for one in self.model.parameters() if one.requires_grad]
        if learnt:
            yield {"params": learnt, "lr": rate * self.rate}
        yield {"params": list(self.linear.parameters())}


def fit(section: BackboneFit, data: EncodingData, context: Context) -> Predictions:
    """Predict every held-out sample from its picture.

    Raises
    ------
    FornixError
        If a layer holds no pictures of the model's size, or the model can't be built.
    """
    described = _described(section, context.seed)
    folder = hub.locate(described)
    hub.note_revision(described, folder, context.notes)
    draw = partial(load_model, described, folder, "image", context.notes)
    side = _side(draw().model)

    def view(target: str, values: NDArray[Any]) -> NDArray[Any]:
        name = target.partition("/")[0]
        if values.ndim != 4 or values.shape[-1] not in (1, 3):
            problem = f"layer {target} holds no pictures"
            mend = f"name features of kind pixels with grid: true instead of {name}"
            raise FornixError(problem, where=f"{WHERE}: features", mend=mend)
        if side is not None and tuple(values.shape[1:3]) != (side, side):
            found = f"{values.shape[1]} by {values.shape[2]}"
            problem = f"{section.model} takes pictures of {side} by {side}; {target} has {found}"
            mend = f"set size: {side} in features.{name}"
            raise FornixError(problem, where=f"{WHERE}: model", mend=mend)
        return values

    def build(inputs: NDArray[Any]) -> nn.Module:
        example = torch.from_numpy(np.asarray(inputs[:1], dtype=np.float32))
        return Readout(draw().model, example, section, len(data.units))

    scale = _scale(section, folder)
    return fit_networks(section, data, context, view=view, build=build, scale=scale)


def fingerprint(section: BackboneFit, seed: int) -> str:
    """Return the digest of the model's files, or of what draws it."""
    return hub.fingerprint(_described(section, seed))


def freeze(model: nn.Module, patterns: list[str]) -> None:
    """Keep the parameters that patterns name from learning.

    Raises
    ------
    FornixError
        If a pattern names none.
    """
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in names):
            problem = f"the model has no parameter like '{pattern}'"
            raise FornixError(problem, where=f"{WHERE}: freeze", mend=did_you_mean(pattern, names))
    for name, one in model.named_parameters():
        one.requires_grad_(not any(fnmatch(name, pattern) for pattern in patterns))


def _described(section: BackboneFit, seed: int) -> HuggingFaceFeatures:
    """Return the model as a section of features would name it, so that it is built as theirs."""
    drawn = int(generator(seed, "backbone").integers(2**31))
    return HuggingFaceFeatures(
        kind="huggingface",
        dataset="pictures",
        model=section.model,
        revision=section.revision,
        init=section.init,
        seed=drawn,
        config=section.config,
        modality="image",
    )


def _side(model: Any) -> int | None:
    """Return the side of the pictures that a model takes; None where any will do."""
    side = getattr(model.config, "image_size", None)
    if isinstance(side, list | tuple):
        side = side[0]
    return int(side) if side else None


def _scale(section: BackboneFit, folder: Path | None) -> Scale | None:
    """Return how a pretrained model wants its colours; None: z-scored, for one that learns anew."""
    if section.init == "random" or folder is None:
        return None
    path = folder / "preprocessor_config.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    mean, spread = found.get("image_mean"), found.get("image_std")
    if not (isinstance(mean, list) and isinstance(spread, list) and all(spread)):
        problem = f"{section.model} doesn't say how its pictures are scaled"
        mend = f"give its folder a {path.name} with image_mean and image_std"
        raise FornixError(problem, where=f"{WHERE}: model", mend=mend)
    return Scale(np.asarray(mean, dtype=np.float32), np.asarray(spread, dtype=np.float32))
