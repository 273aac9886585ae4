"""What every fit has, and how samples are held out."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fornix.study.base import Name, Section


class CrossValidation(Section):
    """How samples are held out. Samples of one group are never split.

    ``auto``: stimuli for encoding (repeats of an image stay together), runs for decoding where
    there are two or more, else contiguous blocks of trials.
    """

    groups: Literal["auto", "stimulus", "run", "session", "block"] = Field(
        "auto", description="what is held out together"
    )
    n_splits: int | None = Field(
        5, ge=2, description="folds; null leaves one group out; never more than groups"
    )
    gap: float = Field(
        20.0,
        ge=0,
        description="continuous samples: s left out of training on both sides of a held-out "
        "block, since neighbours know of each other",
    )

    def describe(self, found: str = "") -> str:
        """Say what is held out; ``found`` is what ``auto`` came to."""
        chosen = found if self.groups == "auto" and found else self.groups
        group = {"auto": "group", "block": "contiguous block"}.get(chosen, chosen)
        if self.n_splits is None:
            return f"one {group} left out at a time"
        plural = {"stimulus": "stimuli"}.get(group, f"{group}s")
        return f"{self.n_splits} folds of {plural}"


class FitSection(Section):
    """What every kind has."""

    task: ClassVar[str]
    """What is fitted to what; names the modules of ``fornix.stages.tasks`` and, where it is
    scored, of ``fornix.evaluation``."""

    scope: ClassVar[Literal["subject", "cohort", "stimuli"]] = "subject"
    """Whether there is one model a subject, or one of all subjects."""

    trained: ClassVar[bool] = False
    """Whether it is trained by the loop, for so long that checkpoints outlive a kill."""

    def reads(self) -> list[str]:
        """Return the names in features that the fit needs."""
        return []

    def describe(self, held_out: str = "") -> str:
        """Say in a sentence what was fitted, for the report's methods.

        Parameters
        ----------
        held_out
            What the fit held out together, as it found it.
        """
        raise NotImplementedError


class BrainFitSection(FitSection):
    """What every kind has that joins responses with something."""

    responses: Name = Field(description="a name in responses")
    shuffle: bool = Field(False, description="control: what should be predicted is permuted")
