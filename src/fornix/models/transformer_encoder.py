"""The transformer brain encoder: each region's query attends to a picture's tokens."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from fornix.errors import FornixError
from fornix.models.attention import RegionQueries, regions_of
from fornix.models.interface import Context, EncodingData, Predictions
from fornix.models.networks import fit_networks, tokens

if TYPE_CHECKING:
    from fornix.study.fits.transformer_encoder import TransformerEncoderFit


class Encoder(nn.Module):
    """Region queries that take tokens as they are stored: in a row, or in rows and columns."""

    def __init__(self, queries: RegionQueries) -> None:
        super().__init__()
        self.queries = queries

    def forward(self, features: Tensor) -> Tensor:
        """Return (sample, unit)."""
        found: Tensor = self.queries(self._tokens(features))
        return found

    def attend(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return (sample, unit), and attention (sample, region, token)."""
        return self.queries.attend(self._tokens(features))

    @staticmethod
    def _tokens(features: Tensor) -> Tensor:
        return features.reshape(len(features), -1, features.shape[-1])


def fit(section: TransformerEncoderFit, data: EncodingData, context: Context) -> Predictions:
    """Predict every held-out sample from each layer's tokens.

    Raises
    ------
    FornixError
        If a layer has no tokens, or the heads can't share out its width.
    """
    names, regions = regions_of(data.units["roi"].astype(str).tolist())

    def view(target: str, values: NDArray[Any]) -> NDArray[Any]:
        values = tokens(target, values, kind=section.kind)
        if section.width is None and values.shape[-1] % section.heads:
            problem = f"heads: {section.heads} can't share out the {values.shape[-1]} features of "
            mend = "set width to a multiple of heads, or take another number of heads"
            raise FornixError(problem + target, where="fits: heads", mend=mend)
        return values

    found = fit_networks(section, data, context, view=view, build=partial(_build, section, regions))
    for attention in found.attention.values():
        attention.regions = names
    return found


def _build(
    section: TransformerEncoderFit, regions: NDArray[np.intp], inputs: NDArray[Any]
) -> Encoder:
    rows, columns = inputs.shape[1:3] if inputs.ndim == 4 else (1, inputs.shape[1])
    queries = RegionQueries(
        (rows, columns),
        inputs.shape[-1],
        regions,
        width=section.width or inputs.shape[-1],
        heads=section.heads,
        hidden=section.hidden,
        dropout=section.dropout,
    )
    return Encoder(queries)
