"""Linear classifiers."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from fornix.study.fits.base import BrainFitSection, CrossValidation


class ClassifierFit(BrainFitSection):
    """Decoding: a linear classifier from responses to a label of the samples.

    With ``window``, one classifier for each position of a sliding window over the epoch (the
    window's samples are averaged); without it, one on everything. With ``baseline``, the
    classes are "this window" against the mean of the ``baseline`` interval of the same trials;
    what the two have in common is taken off both.
    """

    task: ClassVar[str] = "decoding"
    kind: Literal["classifier"] = Field(description="decoding by a linear classifier")
    label: str = Field("trial_type", description="sample column to decode")
    estimator: Literal["logistic", "ridge", "svm", "lda"] = Field(
        "logistic", description="scikit-learn's linear classifiers, on standardised features"
    )
    regularization: float = Field(
        1.0, gt=0, description="C of logistic and svm; alpha of ridge; unused by lda"
    )
    window: float | None = Field(None, gt=0, description="length of the sliding window, s")
    step: float | None = Field(None, gt=0, description="its step, s; default half the window")
    baseline: tuple[float, float] | None = Field(
        None, description="reference interval, s from onset"
    )
    decimate: float | None = Field(
        None, gt=0, description="without window: average time into bins of this length, s"
    )
    cv: CrossValidation = Field(default_factory=CrossValidation, description="folds")
    shuffle: bool = Field(False, description="control: permute the labels within groups")

    @model_validator(mode="after")
    def _baseline_needs_window(self) -> ClassifierFit:
        if self.baseline is not None and self.window is None:
            msg = "baseline compares windows with an interval: give window too"
            raise ValueError(msg)
        return self

    def describe(self, held_out: str = "") -> str:
        """Say in a sentence what was fitted, for the report's methods."""
        what = f"decoding of {self.label}"
        if self.baseline is not None:
            start, end = self.baseline
            what = f"decoding of each window of {self.window:g} s against {start:g} to {end:g} s"
        elif self.window is not None:
            what += f" in windows of {self.window:g} s"
        name = {"svm": "a linear SVM", "lda": "LDA", "ridge": "a ridge classifier"}
        estimator = name.get(self.estimator, "logistic regression")
        control = " Control: labels were shuffled." if self.shuffle else ""
        folds = self.cv.describe(held_out)
        return f"{what} from {self.responses} by {estimator}; {folds}.{control}"
