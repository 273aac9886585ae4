"""``responses``: brain data made ready for a model, one section a preprocessing recipe."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fornix.study.base import EventSelect, Glob, Name, Section, Select


class Rois(Section):
    """Regions: a label image (``dseg``) or masks, in the space of the recordings."""

    suffix: Literal["dseg", "mask"] = Field("dseg", description="BIDS suffix of the images")
    description: str | None = Field(None, description="desc entity of the images")
    names: list[Glob] = Field(["*"], description="patterns of region names to keep")


class FmriSamples(Section):
    """How a run's volumes become samples.

    - ``block``: mean of the volumes of a block (consecutive events of one condition less than
      ``merge_gap`` apart), shifted by ``shift``;
    - ``trial``: mean of the volumes in ``window`` after each event's onset;
    - ``lsa``: single-trial GLM, all trials of a run in one model ("least squares, all");
    - ``lss``: single-trial GLM, one model a trial, the others in one regressor each condition
      ("least squares, separate"; Mumford et al. 2012);
    - ``volumes``: every volume, for stimuli that go on and on (a story, a film); fits align the
      features with them in time.
    """

    method: Literal["block", "trial", "lsa", "lss", "volumes"] = Field(
        "lsa", description="see above"
    )
    shift: float = Field(5.0, description="block: hemodynamic shift, s")
    merge_gap: float = Field(4.0, ge=0, description="block: largest gap within a block, s")
    window: tuple[float, float] = Field(
        (4.0, 8.0), description="trial: from and to, s after onset (hemodynamic delay included)"
    )
    hrf: Literal["glover", "spm", "glover + derivative", "spm + derivative"] = Field(
        "glover", description="lsa, lss: nilearn's name of the hemodynamic response"
    )
    noise: Literal["ols", "ar1"] = Field("ols", description="lsa, lss: noise model")


class Cleaning(Section):
    """How nilearn cleans the time courses of a run."""

    confounds: list[Glob] | Literal["auto"] = Field(
        "auto",
        description="columns of the confounds table to regress out; auto: six motion "
        "parameters, white matter and CSF where the dataset has them",
    )
    detrend: bool = Field(True, description="remove each run's linear trend")
    high_pass: float | None = Field(
        0.0078, ge=0, description="high-pass cut-off, Hz (1/128 s); null: none"
    )
    low_pass: float | None = Field(None, gt=0, description="low-pass cut-off, Hz; null: none")
    standardize: bool = Field(True, description="z-score each unit over each run")


class FmriResponses(Cleaning):
    """BOLD, cleaned by nilearn: mask, confounds, detrend, high-pass, standardise, samples."""

    kind: Literal["fmri"] = Field(description="BOLD")
    dataset: Name = Field(description="a name in datasets")
    select: Select = Field(default_factory=Select, description="recordings to use")
    events: EventSelect = Field(default_factory=EventSelect, description="events to use")
    mask: str = Field(
        "auto",
        description="auto: the dataset's own brain mask, else nilearn's EPI mask, else every "
        "voxel above the background; epi; all; or the path of a mask image inside the dataset",
    )
    rois: Rois | None = Field(None, description="regions; without them all voxels are 'brain'")
    smoothing_fwhm: float | None = Field(
        None, ge=0, description="Gaussian smoothing, full width at half maximum, mm"
    )
    samples: FmriSamples = Field(default_factory=FmriSamples, description="volumes to samples")
    standardize_samples: bool = Field(
        False, description="z-score each voxel over each session's samples (NSD's convention)"
    )

    @property
    def continuous(self) -> bool:
        """Whether samples follow one another in time, whatever the events."""
        return self.samples.method == "volumes"


class TimeseriesResponses(Cleaning):
    """Time courses of regions as a table (BIDS derivative): every volume is a sample."""

    kind: Literal["timeseries"] = Field(description="time courses of regions, as tables")
    dataset: Name = Field(description="a name in datasets")
    select: Select = Field(default_factory=Select, description="recordings to use")
    events: EventSelect = Field(default_factory=EventSelect, description="events to use")
    units: list[Glob] = Field(["*"], description="patterns of columns to keep")

    @property
    def continuous(self) -> bool:
        """Every volume is a sample."""
        return True


class EpochsSection(Section):
    """What EEG and MEG have in common: filter, notch, resample, epoch, baseline, scale, clip."""

    dataset: Name = Field(description="a name in datasets")
    select: Select = Field(default_factory=Select, description="recordings to use")
    events: EventSelect = Field(default_factory=EventSelect, description="events to use")
    picks: list[str] = Field([], description="channel types or names, as MNE knows them")
    l_freq: float | None = Field(0.5, ge=0, description="high-pass edge, Hz; null: none")
    h_freq: float | None = Field(30.0, gt=0, description="low-pass edge, Hz; null: none")
    notch: list[float] | Literal["auto"] | None = Field(
        "auto",
        description="line frequencies to remove, Hz; auto: the sidecar's PowerLineFrequency and "
        "its harmonics where they lie within the pass band",
    )
    resample: float | None = Field(
        None, gt=0, description="new sampling frequency, Hz; null: as it was"
    )
    tmin: float = Field(-0.5, description="epoch start, s from onset")
    tmax: float = Field(0.8, description="epoch end, s from onset")
    baseline: tuple[float | None, float | None] | None = Field(
        (-0.2, 0.0), description="interval whose mean is taken off each epoch, s; null: none"
    )
    scale: Literal["robust", "standard", "none"] = Field(
        "robust", description="per channel and run: median and interquartile range, or z-score"
    )
    clip: float | None = Field(
        20.0, gt=0, description="limit of scaled values, in units of the scale; null: none"
    )
    whiten: Literal["none", "mvnn"] = Field(
        "none",
        description="mvnn: multivariate noise normalisation (Guggenmos et al. 2018): channels by "
        "the inverse root of the covariance of single trials about their stimulus' mean",
    )
    whiten_on: EventSelect | None = Field(
        None,
        description="mvnn: events whose trials measure the noise; null: all of them. Leave out "
        "those that a fit holds out, where they have a task or a label of their own",
    )

    @model_validator(mode="after")
    def _times_in_order(self) -> Self:
        if self.tmin >= self.tmax:
            msg = f"tmin ({self.tmin} s) must come before tmax ({self.tmax} s)"
            raise ValueError(msg)
        return self


class EegResponses(EpochsSection):
    """EEG, cleaned by MNE: reference, filter, notch, resample, epoch, baseline, scale, clip."""

    kind: Literal["eeg"] = Field(description="EEG")
    picks: list[str] = Field(["eeg"], description="channel types or names, as MNE knows them")
    reference: Literal["average", "none"] | list[str] = Field(
        "average", description="average, none, or channel names; average needs 8 channels or more"
    )
    reject: float | None = Field(
        None, gt=0, description="drop epochs whose peak-to-peak exceeds this, µV; null: keep all"
    )


class MegResponses(EpochsSection):
    """MEG (FIF), cleaned by MNE: filter, notch, resample, epoch, baseline, scale, clip."""

    kind: Literal["meg"] = Field(description="MEG")
    picks: list[str] = Field(
        ["mag"], description="mag, grad, meg (both), or names of channels, as MNE knows them"
    )
    positions: Literal["required", "optional"] = Field(
        "required",
        description="required: stop where a channel's place isn't known, since maps of the head "
        "need it; optional: go on without",
    )
    reject: dict[Literal["mag", "grad"], float] = Field(
        {}, description="drop epochs whose peak-to-peak exceeds this, fT (mag) or fT/cm (grad)"
    )


class RdmResponses(Section):
    """Dissimilarity matrices that were measured elsewhere, taken as they are."""

    kind: Literal["rdms"] = Field(description="dissimilarity matrices")
    dataset: Name = Field(description="a name in datasets, with source: rdms")


Responses = Annotated[
    FmriResponses | TimeseriesResponses | EegResponses | MegResponses | RdmResponses,
    Field(discriminator="kind"),
]


def suffix_of(kind: str) -> str:
    """Return the BIDS suffix of the recordings that a kind of responses reads."""
    return {"fmri": "bold"}.get(kind, kind)
