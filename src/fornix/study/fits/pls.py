"""Partial least squares."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fornix.study.fits.encoding import SpacesSection


class PlsFit(SpacesSection):
    """Encoding: partial least squares from each layer's features to all units together.

    Components of the features that covary most with all units; a unit takes as many of them as an
    inner grouped cross-validation on the training samples finds best, from none (the mean).
    """

    MODEL: ClassVar[str] = "partial least squares"

    kind: Literal["pls"] = Field(description="encoding by partial least squares")
    n_components: int = Field(25, ge=1, description="the most components that are tried")

    def extras(self) -> list[str]:
        """Return what else the reader should know of the settings, a phrase each."""
        chosen = (
            f"up to {self.n_components} components, as many a unit as {self.inner_splits}-fold "
            "inner cross-validation chose"
        )
        return [*super().extras(), chosen]
