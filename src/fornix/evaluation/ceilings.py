"""Noise ceilings: how well the best possible model could do on these data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fornix.evaluation.comparisons import PRODUCTS, compare, pooled, vectors
from fornix.evaluation.metrics import Floats, centred, normalised_product, sums_by


def noise_ceiling(
    responses: NDArray[Any], stimuli: NDArray[Any], n_averaged: NDArray[Any] | None = None
) -> Floats:
    """Return each unit's noise ceiling from the variance over repeats.

    The noise ceiling signal-to-noise ratio of the Natural Scenes Dataset (Allen et al. 2022, Nat
    Neurosci 25:116): noise variance from the repeats of each stimulus (ddof 1), signal variance
    ``max(0, variance of all samples - noise variance)``, ratio ``ncsnr`` of their roots, and
    ceiling ``ncsnr² / (ncsnr² + m)``. NSD z-scores samples first (``standardize_samples``), so
    that the total is 1; here the total is measured. ``m`` is 1/n for averages of n repeats; where
    n differs, the mean of 1/n over the averages, which is NSD's (A/3 + B/2 + C/1) / (A + B + C).

    Parameters
    ----------
    responses
        Single samples, (sample, unit).
    stimuli
        Stimulus of each sample.
    n_averaged
        Samples in each scored average; None: all repeats of a stimulus are averaged.

    Returns
    -------
    float64 (unit,): share of the variance of the scored averages that the stimuli explain, 0 to 1,
    the ceiling of R² and the square of that of r. NaN without repeats, or where a unit doesn't
    vary.

    Notes
    -----
    With unequal repeats the noise variance is pooled by degrees of freedom, which for equal ones
    is the mean over stimuli.
    """
    values = np.asarray(responses, dtype=np.float64)
    _, codes, counts = np.unique(stimuli, return_inverse=True, return_counts=True)
    if counts.max() < 2:
        return np.full(values.shape[1], np.nan)
    noise = (centred(values, codes) ** 2).sum(0) / (counts - 1).sum()
    total = values.var(0, ddof=1)
    signal = np.maximum(0, total - noise)
    averaged = counts if n_averaged is None else np.asarray(n_averaged)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = signal / (signal + noise * (1 / averaged).mean())
    flat = total <= 1e-12 * np.maximum((values**2).mean(0), 1e-300)
    return np.where(flat, np.nan, share)


def explainable_variance(
    responses: NDArray[Any], stimuli: NDArray[Any], n_averaged: NDArray[Any] | None = None
) -> Floats:
    """Return each unit's ceiling from the signal power, which is unbiased.

    Sahani & Linden 2003 (NIPS 15): from n repeats, the power of the signal is that of the mean
    less 1/n of the noise's, ``(n P(mean) - mean P(repeat)) / (n - 1)``; by the analysis of variance
    where stimuli have unequal repeats. :func:`noise_ceiling` takes the noise off the variance of
    all samples instead, of which (n - 1) / (N - 1) of the signal are missing, since repeats of one
    stimulus share it.

    Parameters
    ----------
    responses
        Single samples, (sample, unit).
    stimuli
        Stimulus of each sample.
    n_averaged
        Samples in each scored average; None: all repeats of a stimulus are averaged.

    Returns
    -------
    float64 (unit,), as :func:`noise_ceiling`; cut at 0, which is where a unit without signal ends
    in half of all cases.
    """
    values = np.asarray(responses, dtype=np.float64)
    _, codes, counts = np.unique(stimuli, return_inverse=True, return_counts=True)
    if counts.max() < 2 or len(counts) < 2:
        return np.full(values.shape[1], np.nan)
    n, k = len(values), len(counts)
    about_mean = centred(values)
    sums = sums_by(codes, about_mean)
    noise = (centred(values, codes) ** 2).sum(0) / (n - k)
    between = (sums**2 / counts[:, None]).sum(0) / (k - 1)
    typical = (n - (counts**2).sum() / n) / (k - 1)
    signal = np.maximum(0, (between - noise) / typical)
    averaged = counts if n_averaged is None else np.asarray(n_averaged)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = signal / (signal + noise * (1 / averaged).mean())
    return np.where(about_mean.any(0), share, np.nan)


def split_half(
    responses: NDArray[Any], stimuli: NDArray[Any], n_splits: int, rng: np.random.Generator
) -> Floats:
    """Return each unit's split-half reliability of the mean over all repeats.

    The repeats of each stimulus are cut in random halves; the halves' means are correlated over
    stimuli and corrected by Spearman and Brown, kr / (1 + (k - 1) r), where k is how many times
    more repeats the full mean has than a half: 2, and a little more where an odd number leaves
    one repeat out of each split. The corrected values are averaged over splits. The ceiling of a
    model's r with the full mean is the square root.

    Parameters
    ----------
    responses
        Single samples, (sample, unit).
    stimuli
        Stimulus of each sample; those shown once are left out.
    n_splits
        Random splits.
    rng
        Randomness.

    Returns
    -------
    float64 (unit,); NaN with fewer than three repeated stimuli.
    """
    values = np.asarray(responses, dtype=np.float64)
    codes = np.unique(stimuli, return_inverse=True)[1]
    half = np.bincount(codes) // 2
    kept = np.flatnonzero(half)
    if len(kept) < 3:
        return np.full(values.shape[1], np.nan)
    longer = np.bincount(codes)[kept].mean() / half[kept].mean()
    corrected = np.zeros((n_splits, values.shape[1]))
    starts = np.concatenate([[0], np.cumsum(np.bincount(codes))[:-1]])
    for k in range(n_splits):
        # Sorted by stimulus, in a random order within each.
        order = np.lexsort((rng.random(len(codes)), codes))
        place = np.arange(len(codes)) - np.repeat(starts, np.bincount(codes))
        means = []
        for first in (0, 1):
            offset = first * half[codes[order]]
            chosen = order[(place >= offset) & (place < offset + half[codes[order]])]
            sums = np.zeros((len(half), values.shape[1]))
            np.add.at(sums, codes[chosen], values[chosen])
            means.append(sums[kept] / half[kept, None])
        r = normalised_product(centred(means[0]), centred(means[1]))
        # Halves that disagree in noise alone would blow up the correction.
        r = np.maximum(r, -0.9 / longer)
        corrected[k] = longer * r / (1 + (longer - 1) * r)
    return np.asarray(corrected.mean(0))


def intersubject(responses: NDArray[Any]) -> Floats:
    """Return how well the others' mean time course predicts each subject's.

    Leave-one-subject-out inter-subject correlation (Nastase et al. 2019, SCAN 14:667): what a
    stimulus does to everyone in the same way, and so what a model of the stimulus could know.

    Parameters
    ----------
    responses
        Time courses of the same events, (subject, sample, unit).

    Returns
    -------
    float64 (subject, unit): Pearson's r; NaN with one subject, or where a unit doesn't vary.
    """
    responses = np.asarray(responses, dtype=np.float64)
    if len(responses) < 2:
        return np.full((len(responses), responses.shape[2]), np.nan)
    others = others_mean(responses)
    pairs = [(centred(one), centred(rest)) for one, rest in zip(responses, others, strict=True)]
    r = np.stack([normalised_product(one, rest) for one, rest in pairs])
    known = np.stack([one.any(0) & rest.any(0) for one, rest in pairs])
    return np.where(known, r, np.nan)


def others_mean(responses: NDArray[Any]) -> Floats:
    """Return the mean of all other subjects for each one, (subject, sample, unit)."""
    total = np.asarray(responses, dtype=np.float64).sum(0, keepdims=True)
    return np.asarray((total - responses) / (len(responses) - 1))


def rsa_ceiling(brain: NDArray[Any], how: str = "spearman") -> tuple[float, float]:
    """Return the lower and upper noise ceiling of comparisons with subjects' RDMs.

    Nili et al. 2014 (PLoS Comput Biol 10:e1003553): every subject's dissimilarities are scaled so
    that their mean predicts best (ranked, for rank correlations). Upper: mean comparison of each
    subject with the mean of all, himself included (overfitted); lower: with the mean of the
    others (underfitted).

    Parameters
    ----------
    brain
        Dissimilarities, (pair, subject).
    how
        A comparison, see ``fornix.evaluation.comparisons``.

    Returns
    -------
    lower, upper; NaN with one subject.
    """
    n = brain.shape[1]
    if n < 2:
        return float("nan"), float("nan")
    scaled = pooled(brain, how)
    # Ranked again, as a model would be (and as rsatoolbox does). Sums of ranks are exact, so that
    # ties stay ties.
    total = scaled.sum(1, keepdims=True)
    return _mean_match(brain, total - scaled, how), _mean_match(brain, total, how)


def _mean_match(brain: NDArray[Any], best: NDArray[Any], how: str) -> float:
    """Return the mean comparison of each subject with its own column of ``best``, or the one."""
    if how in PRODUCTS:
        return float((vectors(brain, how) * vectors(best, how)).sum(0).mean())
    columns = np.broadcast_to(best, brain.shape).T
    pairs = zip(brain.T, columns, strict=True)
    each = [compare(a[:, None], b[:, None], how)[0, 0] for a, b in pairs]
    return float(np.mean(each))
