"""Stacked regression."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from fornix.study.fits.encoding import SpacesSection


class StackedFit(SpacesSection):
    """Encoding: ridge regressions of several spaces of features, averaged for each unit.

    Each space has its own ridge regression. Their weights in the average, not negative and with a
    sum of 1, are those with which their predictions for samples held out in inner folds come
    nearest to the responses. All spaces are the target ``joint``, all but one ``joint-<space>``.
    """

    MODEL: ClassVar[str] = "stacked regression"
    units_apart: ClassVar[bool] = True

    kind: Literal["stacked"] = Field(description="encoding by stacked ridge regressions")
    joint: bool = Field(True, description="always: spaces are put together")
    alphas: tuple[float, float, int] = Field(
        (-1.0, 6.0, 15), description="penalties: log10 of the first, of the last, how many"
    )
    inner_splits: int = Field(
        5,
        ge=3,
        description="inner folds: one is held out for the average, the others choose penalties",
    )

    @model_validator(mode="after")
    def _is_joint(self) -> Self:
        if not self.joint:
            msg = "stacked puts spaces together: leave joint out, or take kind: ridge"
            raise ValueError(msg)
        return self

    def extras(self) -> list[str]:
        """Return what else the reader should know of the settings, a phrase each."""
        average = (
            "a convex combination of the spaces' ridge regressions for each unit, by their "
            f"predictions in {self.inner_splits} inner folds"
        )
        return [average, *super().extras()]
