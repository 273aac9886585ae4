"""Representational similarity."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from fornix.study.base import Name, Section, joined
from fornix.study.fits.base import BrainFitSection

METRICS = {
    "spearman": "spearman_rho",
    "rho_a": "rho_a",
    "kendall": "kendall_tau_a",
    "pearson": "pearson_r",
    "cosine": "cosine",
    "whitened_cosine": "whitened_cosine",
    "whitened_correlation": "whitened_correlation",
    "cka": "cka",
    "procrustes": "procrustes",
}
"""Comparison -> the metric's name in the score table."""

WEIGHTED = ("spearman", "rho_a", "pearson", "cosine")
"""Comparisons whose stimuli can be drawn with replacement."""


class Transform(Section):
    """Geo-topological transform of dissimilarities (Lin & Kriegeskorte 2023, arXiv:2309.11028).

    Each matrix is rank-transformed to 0..1; below the quantile ``lower`` it becomes 0, above
    ``upper`` 1, and rises linearly between. Close bounds keep the topology (which stimuli are
    neighbours), distant ones the geometry. ``geodesic`` then takes the shortest paths along the
    pairs that are nearer than ``upper``.
    """

    lower: float = Field(0.0, ge=0, le=1, description="quantile, share of the pairs set to 0")
    upper: float = Field(1.0, ge=0, le=1, description="quantile, share of the pairs below 1")
    geodesic: bool = Field(False, description="distances along neighbours instead")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.lower > self.upper:
            msg = f"lower ({self.lower:g}) lies above upper ({self.upper:g})"
            raise ValueError(msg)
        return self

    def describe(self) -> str:
        """Say what is done to dissimilarities."""
        geodesic = ", geodesic" if self.geodesic else ""
        return f"geo-topological transform ({self.lower:g} to {self.upper:g}{geodesic})"


class BrainDistance(Section):
    """How the brain's dissimilarities are measured.

    - ``correlation``: 1 - Pearson's r; ``euclidean``;
    - ``mahalanobis``: squared, whitened by the noise, divided by the number of units;
    - ``crossnobis``: the same, cross-validated over independent parts of the trials: unbiased,
      0 on average for equal patterns, possibly negative.
    """

    brain_distance: Literal["correlation", "euclidean", "mahalanobis", "crossnobis"] = Field(
        "correlation", description="of responses (unused where they are RDMs already)"
    )
    noise: Literal["auto", "residuals", "none"] = Field(
        "auto",
        description="residuals: whiten patterns by the Ledoit-Wolf covariance of single trials "
        "about their stimulus' mean; auto: with mahalanobis and crossnobis",
    )
    partitions: Literal["auto", "run", "session", "repeat"] = Field(
        "auto", description="crossnobis: what it is cross-validated over"
    )

    @property
    def whitens(self) -> bool:
        """Whether patterns are whitened by their noise."""
        by_kind = self.brain_distance in ("mahalanobis", "crossnobis")
        return self.noise == "residuals" or (self.noise == "auto" and by_kind)

    def describe_distance(self) -> str:
        """Say how the brain's dissimilarities are measured, where that was chosen."""
        if self.brain_distance == "correlation" and not self.whitens:
            return ""
        return f"{'noise-whitened ' if self.whitens else ''}{self.brain_distance} distances of "


class HeldOut(Section):
    """How models that have something to learn are kept from what they are tested on."""

    over: Literal["auto", "stimuli", "subjects", "both"] = Field(
        "auto",
        description="what a selected or weighted model is tested on: other stimuli, other "
        "subjects, or both; auto: both with two or more subjects. Reweighted models are fitted to "
        "each subject, and tested on other stimuli",
    )
    n_splits: int = Field(
        5, ge=2, description="folds of stimuli; fewer where a fold would hold less than four"
    )


class RsaBootstrap(Section):
    """What the scores' confidence intervals are over."""

    over: Literal["auto", "both", "stimuli", "subjects", "none"] = Field(
        "auto",
        description="what is drawn with replacement; auto: both, or what the data allow. Stimuli "
        "can be drawn for spearman, rho_a, pearson and cosine",
    )
    n_draws: int = Field(1000, ge=100, description="bootstrap samples")


class RsaFit(BrainDistance, BrainFitSection):
    """RSA: dissimilarities of the features against those of the brain.

    ``cka`` and ``procrustes`` compare patterns themselves, up to rotation and scale; they need no
    distance, and take the squared euclidean one, which holds all of the patterns' geometry.

    With ``window``, a score for each position of a sliding window over the epoch: patterns over
    the channels, averaged over the window's samples. Without it, one score of the whole epoch,
    channels and times in one pattern.
    """

    task: ClassVar[str] = "rsa"
    kind: Literal["rsa"] = Field(description="comparison of dissimilarities")
    features: list[Name] = Field(description="names in features", min_length=1)
    distance: Literal["correlation", "euclidean", "cityblock"] = Field(
        "correlation",
        description="of features; layers of one or two numbers use their difference, indicator "
        "layers (columns) use disagreement",
    )
    comparison: Literal[
        "spearman",
        "rho_a",
        "kendall",
        "pearson",
        "cosine",
        "whitened_cosine",
        "whitened_correlation",
        "cka",
        "procrustes",
    ] = Field("spearman", description="how dissimilarities are compared; kendall is tau a")
    transform: Transform | None = Field(
        None, description="of all dissimilarities, before they are compared"
    )
    models: list[Literal["fixed", "selected", "weighted", "reweighted"]] = Field(
        ["fixed"],
        min_length=1,
        description="fixed: every layer as it is; selected: the best layer of each features "
        "section; weighted: its layers' non-negative mixture; reweighted: a weight for each "
        "feature of a layer (feature-reweighted RSA); all but fixed judged on held-out data",
    )
    held_out: HeldOut = Field(default_factory=HeldOut, description="of models that learn")
    bootstrap: RsaBootstrap = Field(
        default_factory=RsaBootstrap, description="confidence intervals, comparisons of models"
    )
    window: float | None = Field(
        None,
        gt=0,
        description="epochs: length of the sliding window, s; that of one sample: every time",
    )
    step: float | None = Field(
        None, gt=0, description="epochs: its step, s; default half the window, or one sample"
    )
    shuffle: bool = Field(False, description="control: permute the stimuli of the features")

    @property
    def metric(self) -> str:
        """Name of the score."""
        return METRICS[self.comparison]

    @property
    def compares_patterns(self) -> bool:
        """Whether patterns are compared, whatever the distances."""
        return self.comparison in ("cka", "procrustes")

    @model_validator(mode="after")
    def _step_has_a_window(self) -> Self:
        if self.step is not None and self.window is None:
            msg = "step is that of a sliding window: give window too"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _comparison_fits(self) -> Self:
        if self.compares_patterns and self.transform:
            msg = f"comparison {self.comparison} is of patterns, which have no transform"
            raise ValueError(msg)
        if self.compares_patterns and self.brain_distance in ("mahalanobis", "crossnobis"):
            msg = f"comparison {self.comparison} is of patterns, not of {self.brain_distance} "
            msg += "distances; noise: residuals whitens them"
            raise ValueError(msg)
        if self.bootstrap.over in ("stimuli", "both") and self.comparison not in WEIGHTED:
            msg = f"bootstrap: stimuli can't be drawn for {self.comparison}, which needs every pair"
            msg += f" once; take over: subjects, or a comparison of {joined(WEIGHTED)}"
            raise ValueError(msg)
        return self

    def reads(self) -> list[str]:
        """Return the names in features that the fit needs."""
        return list(self.features)

    def describe(self, held_out: str = "") -> str:
        """Say in a sentence what was compared, for the report's methods."""
        control = " Control: stimuli were shuffled." if self.shuffle else ""
        if self.compares_patterns:
            how = {"cka": "linear CKA", "procrustes": "Procrustes similarity"}[self.comparison]
            times = self._describe_times()
            return f"{how} of {joined(self.features)} with {self.responses}{times}.{control}"
        transform = f", {self.transform.describe()}" if self.transform else ""
        return (
            f"representational similarity ({self.metric.replace('_', ' ')}): {self.distance} "
            f"distances of {joined(self.features)} against {self.describe_distance()}"
            f"{self.responses}{self._describe_times()}{transform}{self._describe_models()}.{control}"
        )

    def _describe_times(self) -> str:
        return "" if self.window is None else f" in windows of {self.window:g} s"

    def _describe_models(self) -> str:
        words = {
            "selected": "the best layer",
            "weighted": "weighted layers",
            "reweighted": "reweighted features",
        }
        learned = [text for name, text in words.items() if name in self.models]
        return f"; {joined(learned)} judged on held-out data" if learned else ""
