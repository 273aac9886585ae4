"""What every fit has that learns from stimuli alone."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from fornix.study.base import Name
from fornix.study.fits.base import FitSection
from fornix.study.training import Training


class PretrainingPlan(Training):
    """How a network is trained on pictures: steps count, not epochs."""

    epochs: int = Field(1_000_000, ge=1, description="passes over the pictures, at most")
    steps: int = Field(10_000, ge=1, description="optimiser steps")
    batch_size: int = Field(64, ge=2, description="pictures a step")
    learning_rate: float = Field(5e-4, gt=0, description="of the optimiser, at its highest")
    weight_decay: float = Field(0.04, ge=0, description="of the optimiser; of matrices alone")
    schedule: Literal["constant", "cosine"] = Field(
        "cosine", description="learning rate after the warm-up"
    )
    warmup: float = Field(
        0.1, ge=0, lt=1, description="share of the steps in which the rate rises from zero"
    )
    clip: float | None = Field(
        3.0, gt=0, description="largest norm of the gradient; null: not clipped"
    )


class PretrainingSection(FitSection):
    """Self-supervised: a network learns from a dataset's pictures, without brain data.

    Its checkpoints are models for ``features`` (``model: fit:<name>``).
    """

    task: ClassVar[str] = "pretraining"
    scope: ClassVar[Literal["subject", "cohort", "stimuli"]] = "stimuli"
    trained: ClassVar[bool] = True

    dataset: Name = Field(description="a name in datasets, whose pictures it learns from")
    training: PretrainingPlan = Field(
        default_factory=PretrainingPlan, description="optimiser, its rate, and how long"
    )
    checkpoints: list[int] = Field(
        [],
        description="steps after which the model is kept; step 0, which is the untrained twin, "
        "and the last always are",
    )
    watch: str | None = Field(
        None,
        description="a column of the stimulus table: at every checkpoint the log tells how well "
        "nearest neighbours give it; nothing is learnt from it",
    )

    @model_validator(mode="after")
    def _checkpoints_are_steps(self) -> Self:
        last = self.training.steps
        if wrong := [one for one in self.checkpoints if not 0 <= one <= last]:
            msg = f"checkpoints: there is no step {wrong[0]}; steps run from 0 to {last}"
            raise ValueError(msg)
        return self

    @property
    def kept(self) -> list[int]:
        """All steps after which the model is kept, in order."""
        return sorted({0, self.training.steps, *self.checkpoints})
