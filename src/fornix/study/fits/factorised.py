"""The factorised readout."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fornix.study.fits.network import NetworkSection


class FactorisedFit(NetworkSection):
    """Encoding: a place to look at, times what to look for there.

    Each unit weighs the places of a feature map by a field that is the same for all features, and
    these features by weights that are the same at all places (St-Yves & Naselaris 2018,
    NeuroImage 180:188; Klindt et al. 2017, NeurIPS). It needs features with their places:
    ``readouts: [tokens]``.
    """

    MODEL: ClassVar[str] = "factorised readout"

    kind: Literal["factorised"] = Field(description="encoding by a field times feature weights")
    field: Literal["softmax", "gaussian"] = Field(
        "softmax", description="any field that sums to one, or a Gaussian with a centre and a size"
    )
    fields: Literal["unit", "region"] = Field("unit", description="what has a field of its own")

    def extras(self) -> list[str]:
        """Return what else the reader should know of the settings, a phrase each."""
        return [f"one {self.field} field a {self.fields}", *super().extras()]
