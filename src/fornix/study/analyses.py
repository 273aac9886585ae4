"""``analyses``: what is asked of the features themselves, without brain data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fornix.study.base import Name, Section
from fornix.study.features.base import Layers


class AnalysisSection(Section):
    """What every kind has."""

    features: list[Name] = Field(description="names in features, of one dataset", min_length=1)
    layers: Layers = Field(
        "all",
        description="layers of them: names or patterns, also as <features>/<layer>, or positions "
        "in each",
    )


class LabelSection(AnalysisSection):
    """What every kind has that looks for a column of the stimulus table in the features."""

    label: str = Field(description="column of the stimulus table")
    groups: str | None = Field(
        None, description="column whose values are never split between folds, such as identity"
    )
    n_splits: int = Field(5, ge=2, description="folds; never more than a class has stimuli")
    permutations: int = Field(1000, ge=0, description="of the labels, for p; 0: no p-values")


class EffectiveDimension(AnalysisSection):
    """Dimensions that the stimuli spread over, from the covariance's eigenvalues.

    Participation ratio (plain, and made of unbiased estimates), the exponential of the
    eigenvalues' entropy, and the exponent of their power law (Stringer et al. 2019, Nature).
    """

    kind: Literal["effective_dimension"] = Field(description="dimensions and the spectrum")
    ranks: tuple[int, int] = Field(
        (11, 500),
        description="eigenvalues that the power law is fitted to; the last is at most half of all",
    )

    @model_validator(mode="after")
    def _ranks_rise(self) -> EffectiveDimension:
        if not 1 <= self.ranks[0] < self.ranks[1]:
            msg = f"ranks: {list(self.ranks)} must rise, from 1 on"
            raise ValueError(msg)
        return self


class Cka(AnalysisSection):
    """Linear centred kernel alignment of every pair of layers (Kornblith et al. 2019, ICML).

    Debiased (Murphy et al. 2024), it is zero on average for unrelated layers; plain, it grows
    with features per stimulus whatever they are.
    """

    kind: Literal["cka"] = Field(description="similarity of layers")
    debiased: bool = Field(True, description="from unbiased estimates (Song et al. 2012)")


class Probe(LabelSection):
    """A cross-validated linear probe for a column of the stimulus table (Alain & Bengio 2016)."""

    kind: Literal["probe"] = Field(description="linear read-out of a stimulus column")
    task: Literal["auto", "classification", "regression"] = Field(
        "auto", description="auto: regression for numbers with more than ten values"
    )
    estimator: Literal["logistic", "ridge"] = Field(
        "logistic", description="of a classification; a regression is always ridge"
    )
    regularization: float = Field(1.0, gt=0, description="C of logistic, alpha of ridge classifier")


class ActivationCodes(LabelSection):
    """Which units are on as a binary code of the stimulus (He et al. 2021, hash encoders).

    Redundancy is 1 - codes / stimuli. It says nothing about learning by itself: the accuracies of
    k nearest neighbours (Hamming), of logistic regression and of k-means on the codes do, beside
    those of an untrained twin.
    """

    kind: Literal["activation_codes"] = Field(description="binary codes of the units")
    threshold: Literal["zero", "median"] = Field(
        "zero", description="on: above zero (ReLU units), or above the unit's median"
    )
    label: str = Field("", description="column of the stimulus table; empty: redundancy only")
    n_neighbors: int = Field(9, ge=1, description="neighbours that vote")


class Sae(AnalysisSection):
    """Sparse autoencoder: features as sparse sums of more directions than they have dimensions.

    ``topk``: exactly ``k`` latents a stimulus (Gao et al. 2024); ``l1``: a penalty on their sum
    (Bricken et al. 2023). Latents that stay silent are resampled towards what is explained worst.
    """

    kind: Literal["sae"] = Field(description="sparse autoencoder")
    activation: Literal["topk", "l1"] = Field("topk", description="what makes it sparse")
    n_latents: int = Field(512, ge=2, description="directions")
    k: int = Field(16, ge=1, description="latents on at once (topk)")
    l1: float = Field(0.05, ge=0, description="penalty of the summed latents (l1)")
    held_out: float = Field(0.2, gt=0, lt=1, description="share of the stimuli to judge it on")
    epochs: int = Field(200, ge=1, description="passes over the other stimuli")
    batch_size: int = Field(256, ge=1, description="stimuli a step")
    learning_rate: float = Field(1e-3, gt=0, description="of Adam, falling to zero at the end")
    resample: int = Field(
        4, ge=0, description="times that silent latents are resampled, in the first half"
    )

    @model_validator(mode="after")
    def _k_fits(self) -> Sae:
        if self.activation == "topk" and self.k > self.n_latents:
            msg = f"k: {self.k} latents can't be on of n_latents: {self.n_latents}"
            raise ValueError(msg)
        return self


class ManifoldCapacity(AnalysisSection):
    """Geometry of the classes' point clouds: how many could be told apart by a plane.

    Mean-field capacity, radius and dimension (Chung, Lee & Sompolinsky 2018, Phys Rev X 8:031003),
    and the nuclear norm of the classes' centroids that MMCR makes large (Yerxa et al. 2023).
    """

    kind: Literal["manifold_capacity"] = Field(description="geometry of class manifolds")
    label: str = Field(description="column of the stimulus table; its values are the classes")
    directions: int = Field(300, ge=10, description="random planes that the mean field rests on")
    permutations: int = Field(
        1000, ge=0, description="of the labels, for p of the centroids' norm; 0: no p-value"
    )


Analysis = Annotated[
    EffectiveDimension | Cka | Probe | ActivationCodes | Sae | ManifoldCapacity,
    Field(discriminator="kind"),
]
