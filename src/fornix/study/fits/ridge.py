"""Ridge regression."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fornix.study.fits.encoding import SpacesSection


class RidgeFit(SpacesSection):
    """Encoding: ridge regression from each layer's features to every unit.

    One penalty a unit, chosen by an inner grouped cross-validation on the training samples.

    With ``joint``, one more fit has all spaces side by side (target ``joint``), and one for each
    space has all others (``joint-<space>``): what a space adds to the others is its own.
    """

    MODEL: ClassVar[str] = "ridge regression"
    units_apart: ClassVar[bool] = True

    kind: Literal["ridge"] = Field(description="encoding by ridge regression")
    alphas: tuple[float, float, int] = Field(
        (-1.0, 6.0, 15), description="penalties: log10 of the first, of the last, how many"
    )
    pca: int | None = Field(
        None,
        ge=1,
        description="principal components that are kept of each space, fitted on the training "
        "samples of each fold",
    )

    def extras(self) -> list[str]:
        """Return what else the reader should know of the settings, a phrase each."""
        pca = [f"{self.pca} principal components of each space"] if self.pca else []
        penalty = f"one penalty a unit by {self.inner_splits}-fold inner cross-validation"
        return [*pca, *super().extras(), penalty]
