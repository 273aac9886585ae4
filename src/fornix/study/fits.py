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
    gap: float = Field(
        20.0,
        ge=0,
        description="continuous samples: s left out of training on both sides of a held-out "
        "block, since neighbours know of each other",
    )


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


class RidgeFit(Section):
    """Encoding: ridge regression from each layer's features to every unit.

    One penalty a unit, chosen by an inner grouped cross-validation on the training samples.

    With ``joint``, one more fit has all spaces side by side (target ``joint``), and one for each
    space has all others (``joint-<space>``): what a space adds to the others is its own.
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
    shuffle: bool = Field(
        False,
        description="control: permute the stimuli of the features; continuous samples: shift the "
        "features in time, in a circle",
    )
    align: Align | None = Field(
        None, description="continuous samples: features to samples; null: an HRF (spm)"
    )
    pca: int | None = Field(
        None,
        ge=1,
        description="principal components that are kept of each space, fitted on the training "
        "samples of each fold",
    )
    joint: bool = Field(False, description="fit all spaces together, and all but each one")
    spaces: dict[Name, list[str]] = Field(
        {},
        description="joint: space -> its layers, as <features>/<layer> (patterns are allowed); "
        "without it, every layer is a space",
    )

    @model_validator(mode="after")
    def _spaces_are_joined(self) -> RidgeFit:
        if self.spaces and not self.joint:
            msg = "spaces are what joint puts together: set joint: true, or leave spaces out"
            raise ValueError(msg)
        if taken := sorted(set(self.spaces) & {*self.features, "joint"}):
            msg = f"the space '{taken[0]}' has the name of something else: give it another"
            raise ValueError(msg)
        return self


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
