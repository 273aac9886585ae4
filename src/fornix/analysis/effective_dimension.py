"""How many dimensions the stimuli spread over, and how fast the spectrum falls."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fornix.analysis import hsic
from fornix.analysis.material import Analysed, Floats, Material, centred, score
from fornix.errors import FornixError
from fornix.progress import track
from fornix.study.analyses import EffectiveDimension

FEWEST_RANKS = 8
"""Eigenvalues that a power law is fitted to, at least."""

HOW = {
    "participation_ratio": "squared sum over sum of squares of the covariance's eigenvalues; at "
    "most stimuli - 1, and too low where stimuli are few",
    "participation_ratio_unbiased": "the same from unbiased estimates of both sums",
    "entropy_dimension": "exponential of the entropy of the eigenvalues' shares",
    "powerlaw_exponent": "minus the slope of log eigenvalue over log rank",
}


def analyse(section: EffectiveDimension, material: Material) -> Analysed:
    """Measure every layer.

    Raises
    ------
    FornixError
        If there are fewer stimuli than the estimates need.
    """
    n = len(material.stimuli)
    if n < hsic.FEWEST:
        problem = f"dimensions need {hsic.FEWEST} stimuli or more; there are {n}"
        raise FornixError(problem, where=material.where, mend="take a larger dataset")
    found = Analysed(how=HOW)
    spectra: dict[str, Floats] = {}
    few: list[str] = []
    short: list[str] = []
    for target, values in track(material.layers.items(), "spectra", len(material.layers)):
        layer = centred(values)
        spectra[target] = spectrum = eigenvalues(layer)
        most = float(min(n - 1, layer.shape[1]))
        if not spectrum[0] > 0:
            material.notes.append(f"{target} is the same for all stimuli: it has no dimensions.")
            continue
        few += [target] if n <= layer.shape[1] else []
        measured = {
            "participation_ratio": participation_ratio(spectrum),
            "participation_ratio_unbiased": unbiased_participation_ratio(spectrum, layer),
            "entropy_dimension": entropy_dimension(spectrum),
        }
        found.rows += [score(target, k, v, n, ceiling=most) for k, v in measured.items()]
        if np.isnan(exponent := powerlaw_exponent(spectrum, section.ranks)):
            short.append(target)
        else:
            found.rows.append(score(target, "powerlaw_exponent", exponent, n))
    if few:
        material.notes.append(
            f"{', '.join(few)}: no more stimuli ({n}) than features, so that the participation "
            "ratio and the entropy dimension are too low; participation_ratio_unbiased isn't."
        )
    if short:
        words = f"fewer than {FEWEST_RANKS} eigenvalues from rank {section.ranks[0]} to half"
        material.notes.append(f"{', '.join(short)}: no power law, {words}.")
    length = max(map(len, spectra.values()))
    padded = [np.pad(one, (0, length - len(one)), constant_values=np.nan) for one in
              spectra.values()]  # fmt: skip
    found.arrays = xr.Dataset(
        {"eigenvalue": (("target", "rank"), np.stack(padded))},
        coords={"target": np.array(list(spectra), dtype=object), "rank": np.arange(1, length + 1)},
    )
    return found


def eigenvalues(layer: Floats) -> Floats:
    """Return the eigenvalues of the covariance of a centred layer, the largest first.

    Parameters
    ----------
    layer
        float64 (stimulus, feature).

    Returns
    -------
    float64 (rank,), as many as can differ from zero: min(stimuli - 1, features).
    """
    n, width = layer.shape
    gram = layer @ layer.T if n < width else layer.T @ layer
    values = np.linalg.eigvalsh(gram / (n - 1))[::-1][: min(n - 1, width)]
    return np.asarray(values.clip(min=0))


def participation_ratio(spectrum: NDArray[np.float64]) -> float:
    """Return (sum of eigenvalues)² / sum of their squares: p for p equal ones."""
    return float(spectrum.sum() ** 2 / (spectrum**2).sum())


def unbiased_participation_ratio(spectrum: Floats, layer: Floats) -> float:
    """Return the participation ratio of the population from unbiased estimates of its two sums.

    For covariance C, tr(C²) is the unbiased HSIC of the layer with itself, and tr(C)² is the mean
    of ``d(i, j) d(k, l)`` over distinct i, j, k, l, with d half a squared distance.

    Parameters
    ----------
    spectrum
        Eigenvalues of the covariance.
    layer
        float64 (stimulus, feature), centred; four stimuli or more.

    Returns
    -------
    NaN where the estimate of tr(C²) isn't positive.
    """
    n = len(layer)
    norms = (layer**2).sum(1)
    trace, squares = norms.sum(), (norms**2).sum()
    kernel = (n - 1) ** 2 * (spectrum**2).sum()
    denominator = float(hsic.unbiased(np.array([[kernel]]), norms[None])[0, 0])
    # Row sums of d, and the sum of its squares, from the norms: rows of a centred kernel sum to 0.
    per_row = n * norms / 2 + trace / 2
    squared = n * squares / 2 + trace**2 / 2 + kernel
    distinct = (n * trace) ** 2 - 4 * (per_row**2).sum() + 2 * squared
    numerator = distinct / (n * (n - 1) * (n - 2) * (n - 3))
    return float(numerator / denominator) if denominator > 0 else float("nan")


def entropy_dimension(spectrum: Floats) -> float:
    """Return the exponential of the Shannon entropy of the eigenvalues' shares."""
    share = spectrum[spectrum > 0] / spectrum.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def powerlaw_exponent(spectrum: Floats, ranks: tuple[int, int]) -> float:
    """Return alpha of ``eigenvalue ~ rank^-alpha`` by least squares in logs.

    Every rank weighs ``1 / rank``, so that all decades count alike (Stringer et al. 2019).

    Parameters
    ----------
    spectrum
        Eigenvalues, the largest first.
    ranks
        First and last rank, from 1; the last is at most half of all, as the smallest eigenvalues
        of a finite sample fall too fast.

    Returns
    -------
    NaN with fewer than eight positive eigenvalues in the range.
    """
    positive = int((spectrum > spectrum[0] * 1e-12).sum())
    first, last = ranks[0], min(ranks[1], positive // 2)
    if last - first + 1 < FEWEST_RANKS:
        return float("nan")
    rank = np.arange(first, last + 1, dtype=np.float64)
    # polyfit squares its weights.
    slope = np.polyfit(np.log(rank), np.log(spectrum[first - 1 : last]), 1, w=rank**-0.5)[0]
    return float(-slope)
