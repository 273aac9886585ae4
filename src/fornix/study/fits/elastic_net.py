"""Elastic net and lasso."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fornix.study.fits.encoding import SpacesSection


class ElasticNetFit(SpacesSection):
    """Encoding: an elastic net from each layer's features to each unit; ``l1_ratio: 1``: the lasso.

    Few features get a weight. A unit's penalty is chosen by an inner grouped cross-validation on
    the training samples, from the smallest with which all weights are 0 downwards.
    """

    MODEL: ClassVar[str] = "an elastic net"

    kind: Literal["elastic_net"] = Field(description="encoding by elastic net or lasso")
    l1_ratio: float = Field(
        0.5, gt=0, le=1, description="share of the penalty that is on absolute weights; 1: lasso"
    )
    n_penalties: int = Field(20, ge=1, description="penalties that are tried, a unit's own")
    smallest: float = Field(
        1e-3, gt=0, lt=1, description="the last penalty, as a share of the first"
    )
    most_hours: float = Field(
        2.0, gt=0, description="hours that a subject's fit may take, by the time of its first units"
    )

    def extras(self) -> list[str]:
        """Return what else the reader should know of the settings, a phrase each."""
        share = "lasso" if self.l1_ratio == 1 else f"l1 ratio {self.l1_ratio:g}"
        chosen = f"one of {self.n_penalties} penalties a unit by {self.inner_splits}-fold inner "
        return [*super().extras(), share, chosen + "cross-validation"]
