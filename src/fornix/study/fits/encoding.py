"""What every encoding model has: features to responses."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from fornix.study.base import Name, Section, joined
from fornix.study.fits.base import BrainFitSection, CrossValidation


class Align(Section):
    """How features of events become features of samples that follow one another in time.

    - ``hrf``: convolved with a hemodynamic response (nilearn's), as in a GLM;
    - ``lanczos``: low-passed at the samples' Nyquist frequency (Huth et al. 2016);
    - ``mean``, ``sum``: of the events that begin within a sample's interval;
    - ``last``: of the event that began last.

    Without ``hrf``, ``delays`` let the fit find the shape of the response itself (FIR).
    """

    method: Literal["hrf", "lanczos", "mean", "sum", "last"] = Field("hrf", description="see above")
    hrf: Literal["spm", "glover"] = Field("spm", description="hrf: nilearn's name of it")
    impulse: bool = Field(False, description="hrf: every event is a moment, whatever its duration")
    lobes: int = Field(3, ge=1, description="lanczos: lobes of the filter on each side")
    delays: list[float] = Field(
        [0.0],
        min_length=1,
        description="copies of the features, each this much later (s): a finite impulse response",
    )
    each_delay: bool = Field(
        False,
        description="one more fit of each delay alone, for scores over delays (lag_r)",
    )

    @model_validator(mode="after")
    def _delays_differ(self) -> Self:
        if self.each_delay and len(set(self.delays)) < 2:
            msg = "each_delay compares delays, and there is one: name several in delays"
            raise ValueError(msg)
        return self

    def at(self, delay: float) -> Align:
        """Return the same with one delay alone."""
        return self.model_copy(update={"delays": [delay], "each_delay": False})

    def describe(self) -> str:
        """Say how features come to samples."""
        how = {
            "hrf": f"convolved with the HRF ({self.hrf})",
            "lanczos": f"resampled by a Lanczos filter of {self.lobes} lobes",
            "mean": "averaged over each sample's interval",
            "sum": "summed over each sample's interval",
            "last": "as the last event left them",
        }[self.method]
        if self.delays == [0.0]:
            return how
        return f"{how} and delayed by {joined([f'{delay:g}' for delay in self.delays])} s"


class EncodingSection(BrainFitSection):
    """Encoding: from each layer's features to every unit."""

    task: ClassVar[str] = "encoding"

    features: list[Name] = Field(description="names in features", min_length=1)
    average_repeats: bool = Field(
        True, description="average a stimulus' samples before fitting (within the held-out groups)"
    )
    cv: CrossValidation = Field(default_factory=CrossValidation, description="outer folds")
    inner_splits: int = Field(
        5, ge=2, description="inner folds, on which everything but the weights is chosen"
    )
    shuffle: bool = Field(
        False,
        description="control: permute the stimuli of the features; continuous samples: shift the "
        "features in time, in a circle",
    )
    align: Align | None = Field(
        None, description="continuous samples: features to samples; null: an HRF (spm)"
    )

    MODEL: ClassVar[str]
    """The model in words."""

    units_apart: ClassVar[bool] = False
    """Whether no unit has a part in another one's fit, nor in what is noted of it."""

    def reads(self) -> list[str]:
        """Return the names in features that the fit needs."""
        return list(self.features)

    def describe(self, held_out: str = "") -> str:
        """Say in a sentence what was fitted, for the report's methods."""
        averaged = self.average_repeats and self.align is None
        folds = self.cv.describe(held_out) + ("; repeats averaged" if averaged else "")
        extras = [self.align.describe()] if self.align is not None else []
        extra = "".join(f", {text}" for text in [*extras, *self.extras()])
        control = " Control: stimuli were shuffled." if self.shuffle else ""
        return (
            f"{self.MODEL} from {joined(self.features)} to {self.responses}{extra}; "
            f"{folds}.{control}"
        )

    def extras(self) -> list[str]:
        """Return what else the reader should know of the settings, a phrase each."""
        return []


class SpacesSection(EncodingSection):
    """An encoding model that can have several spaces of features side by side.

    With ``joint``, one more fit has all spaces side by side (target ``joint``), and one for each
    space has all others (``joint-<space>``): what a space adds to the others is its own.
    """

    joint: bool = Field(False, description="fit all spaces together, and all but each one")
    spaces: dict[Name, list[str]] = Field(
        {},
        description="joint: space -> its layers, as <features>/<layer> (patterns are allowed); "
        "without it, every layer is a space",
    )

    @model_validator(mode="after")
    def _spaces_are_joined(self) -> Self:
        if self.spaces and not self.joint:
            msg = "spaces are what joint puts together: set joint: true, or leave spaces out"
            raise ValueError(msg)
        if taken := sorted(set(self.spaces) & {*self.features, "joint"}):
            msg = f"the space '{taken[0]}' has the name of something else: give it another"
            raise ValueError(msg)
        return self

    def extras(self) -> list[str]:
        """Return what else the reader should know of the settings, a phrase each."""
        return ["each space's own contribution by leaving it out"] if self.joint else []
