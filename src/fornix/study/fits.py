"""``fits``: the models that join features and responses."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

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


class RidgeFit(Section):
    """Encoding: ridge regression from each layer's features to every unit.

    One penalty a unit, chosen by an inner grouped cross-validation on the training samples.
    """

    task: ClassVar[str] = "encoding"
    kind: Literal["ridge"] = Field(description="encoding by ridge regression")
    responses: Name = Field(description="a name in responses")
    features: list[Name] = Field(description="names in features", min_length=1)
    alphas: tuple[float, float, int] = Field(
        (-1.0, 6.0, 15), description="penalties: log10 of the first, of the last, how many"
    )
    average_repeats: bool = Field(
        True, description="average a stimulus' samples before fitting (within the held-out groups)"
    )
    cv: CrossValidation = Field(default_factory=CrossValidation, description="outer folds")
    inner_splits: int = Field(5, ge=2, description="inner folds for the penalty")
    shuffle: bool = Field(False, description="control: permute the stimuli of the features")


class ClassifierFit(Section):
    """Decoding: a linear classifier from responses to a label of the samples.

    With ``window``, one classifier for each position of a sliding window over the epoch (the
    window's samples are averaged); without it, one on everything. With ``baseline``, the
    classes are "this window" against the mean of the ``baseline`` interval of the same trials;
    what the two have in common is taken off both.
    """

    task: ClassVar[str] = "decoding"
    kind: Literal["classifier"] = Field(description="decoding by a linear classifier")
    responses: Name = Field(description="a name in responses")
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


class RsaFit(Section):
    """RSA: dissimilarities of the features against those of the brain."""

    task: ClassVar[str] = "rsa"
    kind: Literal["rsa"] = Field(description="comparison of dissimilarities")
    responses: Name = Field(description="a name in responses")
    features: list[Name] = Field(description="names in features", min_length=1)
    distance: Literal["correlation", "euclidean", "cityblock"] = Field(
        "correlation",
        description="of features; layers of one or two numbers use their difference, indicator "
        "layers (columns) use disagreement",
    )
    brain_distance: Literal["correlation", "euclidean"] = Field(
        "correlation", description="of responses (unused where they are RDMs already)"
    )
    shuffle: bool = Field(False, description="control: permute the stimuli of the features")


Fit = Annotated[RidgeFit | ClassifierFit | RsaFit, Field(discriminator="kind")]
