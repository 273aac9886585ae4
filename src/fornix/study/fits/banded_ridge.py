"""Banded ridge and multiple-kernel ridge."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from fornix.study.fits.encoding import SpacesSection

Kernel = Literal["linear", "polynomial", "gaussian"]


class BandedRidgeFit(SpacesSection):
    """Encoding: ridge regression with a penalty for each space of features and unit.

    Weights of the spaces are drawn at random; of these and the penalties, an inner grouped
    cross-validation on the training samples chooses for each unit. With kernels that aren't linear
    this is multiple-kernel ridge.

    All spaces together are the target ``joint``, all but one ``joint-<space>``; each layer is a
    target as well. The score table says how the joint model's R² and r divide among the spaces
    (``product_r2``, ``split_r2``, ``split_r``), and what each adds to the others (``unique_r2``).
    """

    MODEL: ClassVar[str] = "banded ridge regression"
    units_apart: ClassVar[bool] = True

    kind: Literal["banded_ridge"] = Field(description="encoding by banded ridge regression")
    joint: bool = Field(True, description="always: spaces with a penalty each are fitted together")
    alphas: tuple[float, float, int] = Field(
        (-4.0, 4.0, 17),
        description="penalties: log10 of the first, of the last, how many; for spaces whose "
        "samples have a mean squared length of 1",
    )
    n_candidates: int = Field(
        100, ge=1, description="weights of the spaces that are tried, each with all penalties"
    )
    n_steps: int = Field(
        0, ge=0, description="steps down the gradient of a unit's penalties, from the best of these"
    )
    kernel: Kernel = Field(
        "linear", description="similarity of samples in a space, as scikit-learn defines it"
    )
    kernels: dict[str, Kernel] = Field(
        {}, description="space -> its own kernel, where it isn't that of the others"
    )
    degree: int = Field(3, ge=1, description="polynomial: its degree")
    width: float = Field(
        1.0, gt=0, description="gaussian: exp(-d² / (width² features)), d of z-scored features"
    )
    pca: int | None = Field(
        None,
        ge=1,
        description="principal components that are kept of each space, fitted on the training "
        "samples of each fold",
    )

    @model_validator(mode="after")
    def _is_joint(self) -> Self:
        if not self.joint:
            msg = "banded_ridge fits spaces together: leave joint out, or take kind: ridge"
            raise ValueError(msg)
        return self

    def extras(self) -> list[str]:
        """Return what else the reader should know of the settings, a phrase each."""
        pca = [f"{self.pca} principal components of each space"] if self.pca else []
        kernels = sorted({self.kernel, *self.kernels.values()} - {"linear"})
        kernel = [f"{' and '.join(kernels)} kernels"] if kernels else []
        steps = f" and {self.n_steps} steps down their gradient" if self.n_steps else ""
        penalty = (
            f"a penalty for each space and unit, of {self.n_candidates} weights of the spaces and "
            f"{self.alphas[2]} penalties{steps}, by {self.inner_splits}-fold inner cross-validation"
        )
        return [*pca, *kernel, *super().extras(), penalty]
