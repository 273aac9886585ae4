"""The factorised readout: a field over places, times weights of features."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fornix.models.attention import regions_of
from fornix.models.interface import Context, EncodingData, Predictions
from fornix.models.networks import fit_networks, tokens

if TYPE_CHECKING:
    from fornix.study.fits.factorised import FactorisedFit

START_SIZE = 0.25
"""Standard deviation of a Gaussian field before training, as a share of the grid's side."""


class Factorised(nn.Module):
    """A field over places and weights of features for every unit.

    Parameters
    ----------
    grid
        Rows and columns of the places.
    features
        Features of a place.
    owner
        Field of each unit, from 0.
    gaussian
        Whether a field is a Gaussian; else any that is positive and sums to one.
    """

    def __init__(
        self, grid: tuple[int, int], features: int, owner: NDArray[np.intp], *, gaussian: bool
    ) -> None:
        super().__init__()
        n_fields, n_places = int(owner.max()) + 1, grid[0] * grid[1]
        self.owner: Tensor
        self.places: Tensor
        self.register_buffer("owner", torch.from_numpy(owner), persistent=False)
        axes = [(torch.arange(n) + 0.5) / n - 0.5 for n in grid]
        places = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
        self.register_buffer("places", places, persistent=False)
        self.gaussian = gaussian
        # A Gaussian: row, column and the logarithm of the size; else a logit a place.
        start = torch.zeros(n_fields, 3 if gaussian else n_places)
        if gaussian:
            start[:, 2] = math.log(START_SIZE)
        self.field = nn.Parameter(start)
        self.weight = nn.Parameter(torch.randn(len(owner), features) / math.sqrt(features))
        self.bias = nn.Parameter(torch.zeros(len(owner)))

    def fields(self) -> Tensor:
        """Return (field, place), each with a sum of one."""
        if not self.gaussian:
            return self.field.softmax(1)
        centre, size = self.field[:, None, :2], self.field[:, 2:].exp()
        distance = ((self.places - centre) ** 2).sum(2)
        return (-distance / (2 * size**2)).softmax(1)

    def forward(self, maps: Tensor) -> Tensor:
        """Return (sample, unit) from (sample, ..., feature)."""
        flat = maps.reshape(len(maps), -1, maps.shape[-1])
        seen = torch.einsum("sp,npf->nsf", self.fields(), flat)
        return torch.einsum("nuf,uf->nu", seen[:, self.owner], self.weight) + self.bias


def fit(section: FactorisedFit, data: EncodingData, context: Context) -> Predictions:
    """Predict every held-out sample from each layer's feature maps.

    Raises
    ------
    FornixError
        If a layer has no places.
    """
    owner = np.arange(len(data.units))
    if section.fields == "region":
        _, owner = regions_of(data.units["roi"].astype(str).tolist())

    def build(inputs: NDArray[Any]) -> nn.Module:
        rows, columns = inputs.shape[1:3] if inputs.ndim == 4 else (1, inputs.shape[1])
        gaussian = section.field == "gaussian"
        return Factorised((rows, columns), inputs.shape[-1], owner, gaussian=gaussian)

    view = partial(tokens, kind=section.kind)
    return fit_networks(section, data, context, view=view, build=build)
