"""What every encoding model has that is a network, trained by the loop."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from fornix.study.fits.encoding import EncodingSection
from fornix.study.training import Training


class ClippedTraining(Training):
    """As any training, with small gradients by default."""

    clip: float | None = Field(
        0.1, gt=0, description="largest norm of the gradient; null: not clipped"
    )


class NetworkSection(EncodingSection):
    """An encoding model that is a network.

    The inner folds choose the epoch: one of them is left out of training, and the epoch is kept
    whose predictions correlate best with it. Held-out samples of the outer folds are never looked
    at before they are predicted.
    """

    trained: ClassVar[bool] = True

    inner_splits: int = Field(
        10, ge=2, description="inner folds of the training samples; one of them chooses the epoch"
    )
    resamples: int = Field(
        1,
        ge=1,
        description="networks a fold, each with another inner fold to choose its epoch; their "
        "predictions are averaged",
    )
    refit: bool = Field(
        False,
        description="train once more on the samples of all folds, and store these weights; else "
        "each fold's are stored",
    )
    training: Training = Field(default_factory=Training, description="how it is trained")

    @model_validator(mode="after")
    def _folds_are_enough(self) -> Self:
        if self.resamples > self.inner_splits:
            msg = f"resamples: {self.resamples} networks can't each leave out another one of "
            msg += f"inner_splits: {self.inner_splits} inner folds"
            raise ValueError(msg)
        return self

    def extras(self) -> list[str]:
        """Return what else the reader should know of the settings, a phrase each."""
        epoch = f"the epoch chosen on one of {self.inner_splits} inner folds"
        several = f"predictions of {self.resamples} networks averaged"
        return [self.training.describe(), epoch, *([several] if self.resamples > 1 else [])]
