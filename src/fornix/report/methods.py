"""What was asked and done, in the words of a methods section."""

from __future__ import annotations

from collections.abc import Mapping

from fornix.report import analyses
from fornix.study.base import joined
from fornix.study.datasets import Dataset, LocalDataset, OpenNeuroDataset, SimulatedDataset
from fornix.study.responses import (
    Cleaning,
    EegResponses,
    FmriResponses,
    FmriSamples,
    MegResponses,
    Responses,
    TimeseriesResponses,
)
from fornix.study.scores import Scores
from fornix.study.study import Study


def sentences(study: Study, groups: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return (kind, name, sentence) for every section of a study.

    Parameters
    ----------
    study
        The study.
    groups
        Fit -> what was held out together, as the fit found it.
    """
    found = [("dataset", name, dataset(one)) for name, one in study.datasets.items()]
    found += [("responses", name, responses(one)) for name, one in study.responses.items()]
    found += [("features", name, one.describe()) for name, one in study.features.items()]
    found += [("fit", name, one.describe(groups.get(name, ""))) for name, one in study.fits.items()]
    found += [("analysis", name, analyses.sentence(one)) for name, one in study.analyses.items()]
    draws = study.scores.permutations
    p = f"{draws} permutations of the exchangeable units for p" if draws else "no p-values"
    found.append(("scores", "", "; ".join(filter(None, (p, *_scoring(study.scores)))) + "."))
    return [(kind, name, sentence(text)) for kind, name, text in found]


def _scoring(scores: Scores) -> list[str]:
    """Say what corrects p-values, bounds values and limits them; nothing of what is left out."""
    corrected = {
        "none": "",
        "fdr": "p corrected by the false discovery rate",
        "max": "p corrected by the largest score of each permutation",
        "cluster": "p of clusters of times",
    }[scores.correction]
    bounds = f"{scores.bootstrap} bootstrap samples" if scores.bootstrap else "the jackknife"
    ceiling = ""
    if scores.ceiling:
        kind = scores.ceiling if isinstance(scores.ceiling, str) else ""
        named = f" ({kind.replace('_', ' ')})" if kind else ""
        ceiling = f"noise ceilings{named} where repeats or subjects allow"
    return [corrected, f"{100 * scores.confidence:g} % intervals by {bounds}", ceiling]


def sentence(text: str) -> str:
    """Return a text with a capital letter first."""
    return text[0].upper() + text[1:]


def dataset(one: Dataset) -> str:
    """Say where a dataset is from."""
    if isinstance(one, SimulatedDataset):
        world = one.world
        return f"simulated by the world '{world.name}', seed {world.seed}: {world.describe()}."
    if isinstance(one, OpenNeuroDataset):
        return f"OpenNeuro {one.accession}, version {one.tag}, {len(one.subjects)} subjects."
    if isinstance(one, LocalDataset):
        return f"the BIDS dataset at {one.path}."
    return f"dissimilarity matrices at {one.path}."


def responses(one: Responses) -> str:
    """Say how brain data were prepared."""
    if isinstance(one, FmriResponses):
        smoothed = f"smoothed by {one.smoothing_fwhm:g} mm" if one.smoothing_fwhm else ""
        return f"BOLD of {one.dataset}, {_cleaned(one, smoothed)}; {_samples(one.samples)}."
    if isinstance(one, TimeseriesResponses):
        return f"time courses of regions of {one.dataset}, {_cleaned(one)}; every volume a sample."
    if isinstance(one, EegResponses | MegResponses):
        band = f"{one.l_freq or 0:g} to {one.h_freq:g} Hz" if one.h_freq else "unfiltered"
        base = "no baseline correction"
        if one.baseline is not None:
            start, end = ("edge" if v is None else f"{v:g} s" for v in one.baseline)
            base = f"baseline {start} to {end}"
        return (
            f"{one.kind.upper()} of {one.dataset}, {band}, epochs from {one.tmin:g} to "
            f"{one.tmax:g} s, {base}, {one.scale} scaling{_rejection(one)}{_whitening(one)}."
        )
    return f"the dissimilarity matrices of {one.dataset}, as they were measured."


def _rejection(one: EegResponses | MegResponses) -> str:
    if not one.reject:
        return ""
    units = {"mag": "fT", "grad": "fT/cm"}
    limits = (
        [f"{limit:g} {units[kind]}" for kind, limit in one.reject.items()]
        if isinstance(one, MegResponses)
        else [f"{one.reject:g} µV"]
    )
    return f", peak-to-peak under {joined(limits)}"


def _whitening(one: EegResponses | MegResponses) -> str:
    return ", whitened by the noise of single trials" if one.whiten == "mvnn" else ""


def _cleaned(one: Cleaning, before: str = "") -> str:
    steps = [
        before,
        "detrended" if one.detrend else "",
        f"high-pass filtered at {one.high_pass:g} Hz" if one.high_pass else "",
        f"low-pass filtered at {one.low_pass:g} Hz" if one.low_pass else "",
        "z-scored over each run" if one.standardize else "",
    ]
    return joined([step for step in steps if step]) or "not cleaned"


def _samples(one: FmriSamples) -> str:
    if one.method == "volumes":
        return "every volume a sample"
    if one.method == "block":
        return f"one sample a block, the mean of its volumes {one.shift:g} s later"
    if one.method == "trial":
        return f"one sample a trial, the mean from {one.window[0]:g} to {one.window[1]:g} s"
    name = "one model a run (LSA)" if one.method == "lsa" else "one model a trial (LSS)"
    return f"single-trial responses by a GLM, {name}, {one.hrf} response, {one.noise} noise"
