"""What was asked and done, in the words of a methods section."""

from __future__ import annotations

from collections.abc import Mapping

from fornix.study.datasets import Dataset, LocalDataset, OpenNeuroDataset, SimulatedDataset
from fornix.study.features import ColumnFeatures, Features, GaborFeatures, PixelFeatures
from fornix.study.fits import ClassifierFit, CrossValidation, Fit, RidgeFit
from fornix.study.responses import EegResponses, FmriResponses, FmriSamples, Responses
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
    found += [("features", name, features(one)) for name, one in study.features.items()]
    found += [("fit", name, fit(one, groups.get(name, ""))) for name, one in study.fits.items()]
    draws = study.scores.permutations
    p = f"{draws} permutations of the exchangeable units for p" if draws else "no p-values"
    ceiling = "noise ceilings where repeats or subjects allow" if study.scores.ceiling else ""
    found.append(("scores", "", "; ".join(filter(None, (p, ceiling))) + "."))
    return [(kind, name, sentence(text)) for kind, name, text in found]


def sentence(text: str) -> str:
    """Return a text with a capital letter first."""
    return text[0].upper() + text[1:]


def dataset(one: Dataset) -> str:
    """Say where a dataset is from."""
    if isinstance(one, SimulatedDataset):
        planted = ", ".join(f"{region} by {layer}" for region, layer in one.world.planted.items())
        return f"simulated by the world '{one.world.name}', seed {one.world.seed}: {planted}."
    if isinstance(one, OpenNeuroDataset):
        return f"OpenNeuro {one.accession}, version {one.tag}, {len(one.subjects)} subjects."
    if isinstance(one, LocalDataset):
        return f"the BIDS dataset at {one.path}."
    return f"dissimilarity matrices at {one.path}."


def responses(one: Responses) -> str:
    """Say how brain data were prepared."""
    if isinstance(one, FmriResponses):
        steps = [
            f"smoothed by {one.smoothing_fwhm:g} mm" if one.smoothing_fwhm else "",
            "detrended" if one.detrend else "",
            f"high-pass filtered at {one.high_pass:g} Hz" if one.high_pass else "",
            f"low-pass filtered at {one.low_pass:g} Hz" if one.low_pass else "",
            "z-scored over each run" if one.standardize else "",
        ]
        cleaned = _and([step for step in steps if step]) or "not cleaned"
        return f"BOLD of {one.dataset}, {cleaned}; {_samples(one.samples)}."
    if isinstance(one, EegResponses):
        band = f"{one.l_freq or 0:g} to {one.h_freq:g} Hz" if one.h_freq else "unfiltered"
        base = "no baseline correction"
        if one.baseline is not None:
            start, end = ("edge" if v is None else f"{v:g} s" for v in one.baseline)
            base = f"baseline {start} to {end}"
        reject = f", peak-to-peak under {one.reject:g} µV" if one.reject else ""
        return (
            f"EEG of {one.dataset}, {band}, epochs from {one.tmin:g} to {one.tmax:g} s, {base}, "
            f"{one.scale} scaling{reject}."
        )
    return f"the dissimilarity matrices of {one.dataset}, as they were measured."


def _samples(one: FmriSamples) -> str:
    if one.method == "block":
        return f"one sample a block, the mean of its volumes {one.shift:g} s later"
    if one.method == "trial":
        return f"one sample a trial, the mean from {one.window[0]:g} to {one.window[1]:g} s"
    name = "one model a run (LSA)" if one.method == "lsa" else "one model a trial (LSS)"
    return f"single-trial responses by a GLM, {name}, {one.hrf} response, {one.noise} noise"


def features(one: Features) -> str:
    """Say what a model makes of the stimuli."""
    if isinstance(one, ColumnFeatures):
        combined = [*one.any_of, *one.stack]
        return f"columns of the stimulus table ({', '.join([*one.columns, *combined])})."
    if isinstance(one, PixelFeatures):
        return f"{'colour' if one.colour else 'grey'} pixels, {one.size} by {one.size}."
    if isinstance(one, GaborFeatures):
        return (
            f"Gabor energy at {one.n_levels} scales and {one.n_orientations} orientations, over "
            f"{one.grid} by {one.grid} places."
        )
    start = "untrained " if one.init == "random" else ""
    layers = "all layers" if one.layers == "all" else f"layers {', '.join(one.layers)}"
    return f"{start}{one.model} (Hugging Face), {layers}, {one.pooling} over tokens."


def fit(one: Fit, groups: str = "") -> str:
    """Say what was fitted, and how it was held out."""
    shuffled = " Control: stimuli or labels were shuffled." if one.shuffle else ""
    if isinstance(one, RidgeFit):
        held_out = _folds(one.cv, groups) + ("; repeats averaged" if one.average_repeats else "")
        return (
            f"ridge regression from {_and(one.features)} to {one.responses}, one penalty a unit "
            f"by {one.inner_splits}-fold inner cross-validation; {held_out}.{shuffled}"
        )
    if isinstance(one, ClassifierFit):
        what = f"decoding of {one.label}"
        if one.baseline is not None:
            start, end = one.baseline
            what = f"decoding of each window of {one.window:g} s against {start:g} to {end:g} s"
        elif one.window is not None:
            what += f" in windows of {one.window:g} s"
        name = {"svm": "a linear SVM", "lda": "LDA", "ridge": "a ridge classifier"}
        estimator = name.get(one.estimator, "logistic regression")
        return f"{what} from {one.responses} by {estimator}; {_folds(one.cv, groups)}.{shuffled}"
    return (
        f"representational similarity: {one.distance} distances of {_and(one.features)} against "
        f"{one.responses}.{shuffled}"
    )


def _folds(cv: CrossValidation, found: str) -> str:
    chosen = found if cv.groups == "auto" and found else cv.groups
    group = {"auto": "group", "block": "contiguous block"}.get(chosen, chosen)
    if cv.n_splits is None:
        return f"one {group} left out at a time"
    plural = {"stimulus": "stimuli"}.get(group, f"{group}s")
    return f"{cv.n_splits} folds of {plural}"


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
