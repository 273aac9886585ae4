"""``training``: how a network is trained, the same settings for every kind of network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fornix.study.base import Section


class Training(Section):
    """Optimiser, its rate over the steps, and when training ends."""

    epochs: int = Field(15, ge=1, description="passes over the training samples, at most")
    steps: int | None = Field(
        None, ge=1, description="optimiser steps after which training ends; null: all epochs"
    )
    batch_size: int = Field(16, ge=1, description="samples a step")
    optimizer: Literal["adamw", "adam", "sgd"] = Field(
        "adamw", description="torch's; sgd has a momentum of 0.9"
    )
    learning_rate: float = Field(5e-4, gt=0, description="of the optimiser, at its highest")
    weight_decay: float = Field(1e-4, ge=0, description="of the optimiser")
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="learning rate after the warm-up"
    )
    warmup: float = Field(
        0.0, ge=0, lt=1, description="share of the steps in which the rate rises from zero"
    )
    final_rate: float = Field(
        0.0, ge=0, le=1, description="cosine: share of the rate that is left at the end"
    )
    clip: float | None = Field(
        None, gt=0, description="largest norm of the gradient; null: not clipped"
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="epochs without a better validation after which training ends; null: never",
    )
    precision: Literal["32-true", "bf16-mixed"] = Field(
        "32-true", description="of the products, as Lightning Fabric names it"
    )

    def describe(self) -> str:
        """Say how the network was trained, for the report's methods."""
        length = f"{self.steps} steps" if self.steps else f"{self.epochs} epochs"
        clip = f", gradients clipped at {self.clip:g}" if self.clip else ""
        schedule = "" if self.schedule == "constant" else f", {self.schedule} schedule"
        return (
            f"{self.optimizer} for up to {length}, batches of {self.batch_size}, learning rate "
            f"{self.learning_rate:g}{schedule}, weight decay {self.weight_decay:g}{clip}"
        )
