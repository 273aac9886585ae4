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
from fornix.study.features.union import Features
from fornix.study.fits.union import Fit
from fornix.study.report import Report
from fornix.study.responses import RdmResponses, Responses
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
        for name, features in self.features.items():
            _known("dataset", features.dataset, self.datasets, "features", name, "dataset")
            if (source := getattr(features, "source", None)) is not None:
                _known("features", source, self.features, "features", name, "source")
                if getattr(self.features[source], "source", None) is not None:
                    msg = f"'{source}' reads another's texts itself, and has none to give"
                    raise UnknownNameError(msg, ("features", name, "source"))
        for name, fit in self.fits.items():
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
    def _claims_are_about_scores(self) -> Study:
        for i, claim in enumerate(self.claims):
            for key in ("scores", "than"):
                if select := getattr(claim, key, None):
                    kind = "fit or analysis" if self.analyses else "fit"
                    judged = {**self.fits, **self.analyses}
                    _known(kind, select.fit, judged, "claims", i, key, "fit")
        return self


def _known(kind: str, name: str, names: dict[str, Any], *where: str | int) -> None:
    if name not in names:
        msg = f"there is no {kind} named '{name}'; {did_you_mean(name, names)}"
        raise UnknownNameError(msg, where)
