"""The study: the root of the file, and what its parts must agree on."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from fornix.errors import did_you_mean
from fornix.study.analyses import Analysis
from fornix.study.base import Name, Section
from fornix.study.claims import Claim
from fornix.study.compute import Compute
from fornix.study.datasets import Dataset, RdmDataset
from fornix.study.features.huggingface import trained_by
from fornix.study.features.union import Features
from fornix.study.fits.base import BrainFitSection
from fornix.study.fits.pretraining import PretrainingSection
from fornix.study.fits.rsa import RsaFit
from fornix.study.fits.searchlight import SearchlightFit
from fornix.study.fits.union import BrainFit, Fit, PretrainingFit
from fornix.study.report import Report
from fornix.study.responses import EpochsSection, FmriResponses, RdmResponses, Responses
from fornix.study.scores import Scores


class Paper(Section):
    """The publication that a study reproduces."""

    citation: str = Field("", description="authors, year, title, journal")
    doi: str = Field("", description="digital object identifier")


class UnknownNameError(ValueError):
    """A part of a study names another that isn't there; ``location`` is where it does."""

    def __init__(self, problem: str, location: tuple[str | int, ...]) -> None:
        super().__init__(problem)
        self.location = location


class Study(Section):
    """One study file."""

    name: Name = Field(description="name of the study; results go to results/<name>/")
    title: str = Field("", description="one line for the report")
    paper: Paper = Field(default_factory=Paper, description="what is reproduced")
    seed: int = Field(0, ge=0, description="seed of everything random")
    datasets: dict[Name, Dataset] = Field(
        description="where recordings and stimuli come from", min_length=1
    )
    responses: dict[Name, Responses] = Field(
        description="brain data made ready for models", min_length=1
    )
    features: dict[Name, Features] = Field({}, description="what models make of the stimuli")
    fits: dict[Name, Fit] = Field(description="models that join the two", min_length=1)
    analyses: dict[Name, Analysis] = Field(
        {}, description="what is asked of the features themselves, without brain data"
    )
    scores: Scores = Field(default_factory=Scores, description="how fits are judged")
    claims: list[Claim] = Field([], description="sentences of the paper, and their tests")
    report: Report = Field(default_factory=Report, description="what the page shows")
    compute: Compute = Field(
        default_factory=Compute, description="what a job may use; changes no number"
    )
    variants: dict[Name, dict[str, Any]] = Field(
        {}, description="named overrides, merged into the study by `variant=NAME`"
    )

    @property
    def brain_fits(self) -> dict[Name, BrainFit]:
        """The fits that join responses with something; they are scored."""
        return {k: fit for k, fit in self.fits.items() if isinstance(fit, BrainFitSection)}

    @property
    def pretrainings(self) -> dict[Name, PretrainingFit]:
        """The fits that learn from stimuli alone."""
        return {k: fit for k, fit in self.fits.items() if isinstance(fit, PretrainingSection)}

    def identity(self) -> dict[str, Any]:
        """Leave out resources, which change no number, and the variants that weren't taken."""
        return self.model_dump(mode="json", exclude={"compute", "variants"})

    @model_validator(mode="after")
    def _names_exist(self) -> Study:
        for name, responses in self.responses.items():
            where = ("responses", name, "dataset")
            _known("dataset", responses.dataset, self.datasets, *where)
            is_rdm = isinstance(self.datasets[responses.dataset], RdmDataset)
            if is_rdm != isinstance(responses, RdmResponses):
                msg = f"kind {responses.kind} and dataset '{responses.dataset}' don't fit"
                msg += "; rdms responses come from an rdms dataset, and only they"
                raise UnknownNameError(msg, where)
            world = getattr(self.datasets[responses.dataset], "world", None)
            if world is not None and not world.subjects():
                msg = f"dataset '{responses.dataset}' holds pictures alone: nobody was recorded"
                raise UnknownNameError(msg, where)
        for name, features in self.features.items():
            _known("dataset", features.dataset, self.datasets, "features", name, "dataset")
            if (source := getattr(features, "source", None)) is not None:
                _known("features", source, self.features, "features", name, "source")
                if getattr(self.features[source], "source", None) is not None:
                    msg = f"'{source}' reads another's texts itself, and has none to give"
                    raise UnknownNameError(msg, ("features", name, "source"))
            self._model_is_trained(name)
        for name, fit in self.fits.items():
            if isinstance(fit, PretrainingSection):
                _known("dataset", fit.dataset, self.datasets, "fits", name, "dataset")
                continue
            _known("responses", fit.responses, self.responses, "fits", name, "responses")
            for i, used in enumerate(getattr(fit, "features", [])):
                _known("features", used, self.features, "fits", name, "features", i)
                if self.features[used].kind == "captions":
                    msg = f"'{used}' gives texts, not numbers; name a section of kind huggingface "
                    msg += f"that reads them (source: {used})"
                    raise UnknownNameError(msg, ("fits", name, "features", i))
            if (places := getattr(fit, "places", None)) is not None:
                _known("features", places, self.features, "fits", name, "places")
        return self

    @model_validator(mode="after")
    def _patterns_are_there(self) -> Study:
        for name, fit in self.fits.items():
            if isinstance(fit, SearchlightFit):
                responses = self.responses[fit.responses]
                if not isinstance(responses, FmriResponses) or responses.continuous:
                    msg = "a searchlight needs voxels, and samples that each show a stimulus: name "
                    msg += f"responses of kind fmri, of blocks or trials ('{fit.responses}' aren't)"
                    raise UnknownNameError(msg, ("fits", name, "responses"))
            if not isinstance(fit, RsaFit) or fit.window is None:
                continue
            responses = self.responses[fit.responses]
            if not isinstance(responses, EpochsSection):
                msg = f"window slides over epochs, and '{fit.responses}' (kind: {responses.kind}) "
                msg += "have no times; leave window out, or name responses of kind eeg or meg"
                raise UnknownNameError(msg, ("fits", name, "window"))
            if fit.window > (length := responses.tmax - responses.tmin):
                msg = f"a window of {fit.window:g} s is longer than the epochs of "
                msg += f"'{fit.responses}' ({length:g} s); give a shorter one"
                raise UnknownNameError(msg, ("fits", name, "window"))
        return self

    @model_validator(mode="after")
    def _scores_have_fits(self) -> Study:
        tasks = {fit.task for fit in self.brain_fits.values()}
        if self.scores.maps and not tasks & {"encoding", "searchlight"}:
            msg = "maps are of encoding fits and searchlights, and there are none; leave maps out"
            raise UnknownNameError(msg, ("scores", "maps"))
        used = {fit.responses for fit in self.brain_fits.values() if fit.task == "encoding"}
        spans = {
            name: (one.tmin, one.tmax)
            for name, one in self.responses.items()
            if isinstance(one, EpochsSection) and name in used
        }
        for name, (start, stop) in self.scores.windows.items():
            if not spans:
                msg = "windows are of epochs, and no encoding fit has responses of kind eeg or meg"
                raise UnknownNameError(msg, ("scores", "windows"))
            if not any(start <= last and stop >= first for first, last in spans.values()):
                known = ", ".join(f"{k} {a:g} to {b:g} s" for k, (a, b) in spans.items())
                msg = f"no epoch has times from {start:g} to {stop:g} s ({known})"
                raise UnknownNameError(msg, ("scores", "windows", name))
        return self

    def _model_is_trained(self, name: str) -> None:
        """Raise unless a model that is to be a fit's is a pretraining's, at a step it keeps."""
        features = self.features[name]
        if (fit := trained_by(features)) is None:
            return
        _known("fit", fit, self.fits, "features", name, "model")
        section = self.fits[fit]
        if not isinstance(section, PretrainingSection):
            msg = f"'{fit}' is a fit of kind {section.kind}, which trains no model of stimuli"
            raise UnknownNameError(msg, ("features", name, "model"))
        checkpoint = getattr(features, "checkpoint", None)
        kept = [str(one) for one in section.kept]
        if checkpoint is not None and checkpoint not in kept:
            msg = f"'{fit}' keeps no checkpoint {checkpoint}; it keeps {', '.join(kept)}"
            raise UnknownNameError(msg, ("features", name, "checkpoint"))

    @model_validator(mode="after")
    def _analyses_can_be_made(self) -> Study:
        for name, analysis in self.analyses.items():
            if name in self.fits:
                msg = f"a fit has the name '{name}' too: scores are told apart by it"
                raise UnknownNameError(msg, ("analyses", name))
            for i, used in enumerate(analysis.features):
                _known("features", used, self.features, "analyses", name, "features", i)
            if len({self.features[used].dataset for used in analysis.features}) > 1:
                msg = "features of several datasets have no stimuli in common"
                raise UnknownNameError(msg, ("analyses", name, "features"))
        return self

    @model_validator(mode="after")
    def _factors_are_crossed(self) -> Study:
        problems, crossed = [], False
        for name, fit in self.brain_fits.items() if self.scores.factors else ():
            try:
                crossed |= bool(self.scores.cells(fit.reads()))
            except ValueError as error:
                problems.append(f"{error}, in the features of the fit '{name}'")
        if self.scores.factors and not crossed:  # a fit of some of the models is nothing wrong
            msg = problems[0] if problems else "factors: no fit has features of these names"
            raise UnknownNameError(msg, ("scores", "factors"))
        for name in self.scores.trajectories:
            known = {one.rpartition("_")[0] for one in self.features if one[-1].isdigit()}
            _known("family of checkpoints", name, dict.fromkeys(known), "scores", "trajectories")
        return self

    @model_validator(mode="after")
    def _claims_are_about_scores(self) -> Study:
        for i, claim in enumerate(self.claims):
            for key in ("scores", "than"):
                if select := getattr(claim, key, None):
                    kind = "fit or analysis" if self.analyses else "fit"
                    judged = {**self.brain_fits, **self.analyses}
                    _known(kind, select.fit, judged, "claims", i, key, "fit")
        return self


def _known(kind: str, name: str, names: dict[str, Any], *where: str | int) -> None:
    if name not in names:
        msg = f"there is no {kind} named '{name}'; {did_you_mean(name, names)}"
        raise UnknownNameError(msg, where)
