"""Numbers, times and sizes as people write them, and the names of metrics."""

from __future__ import annotations

import math
from datetime import datetime

DASH = "\N{EN DASH}"
"""What stands where a number is missing."""
MINUS = "\N{MINUS SIGN}"
RHO, TAU = "\N{GREEK SMALL LETTER RHO}", "\N{GREEK SMALL LETTER TAU}"

METRICS = {
    "pearson_r": "Pearson's r",
    "r2": "R²",
    "difference_r": "difference of Pearson's r",
    "lag_r": "Pearson's r of one delay",
    "window_r": "Pearson's r in a window",
    "encoding_score": "encoding score",
    "layer_encoding_score": "encoding score of a layer",
    "spatial_score": "spatial score",
    "temporal_score": "temporal score",
    "product_r2": "share of R² (product measure)",
    "split_r2": "R² of the space's part",
    "split_r": "share of r",
    "accuracy": "accuracy",
    "auc": "area under the ROC curve",
    "attention_hit": "attention on the object",
    "spearman_rho": f"Spearman's {RHO}",
    "rho_a": f"{RHO} a",
    "kendall_tau_a": f"Kendall's {TAU} a",
    "cosine": "cosine similarity",
    "whitened_cosine": "whitened cosine similarity",
    "whitened_correlation": "whitened correlation",
    "procrustes": "Procrustes similarity",
    "noise_ceiling_lower": "noise ceiling, lower bound",
    "noise_ceiling_upper": "noise ceiling, upper bound",
    "cka": "CKA",
    "cka_debiased": "debiased CKA",
    "participation_ratio": "participation ratio",
    "participation_ratio_unbiased": "participation ratio, unbiased",
    "entropy_dimension": "entropy dimension",
    "powerlaw_exponent": "power-law exponent",
    "knn_accuracy": "accuracy, nearest neighbours",
    "logistic_accuracy": "accuracy, logistic",
    "kmeans_accuracy": "accuracy, k-means",
    "explained_variance": "explained variance",
    "l0": "latents on at once",
    "dead_fraction": "share of dead latents",
    "encoding_half_time": "half-time of the encoding score (steps)",
    "spatial_half_time": "half-time of the spatial score (steps)",
    "temporal_half_time": "half-time of the temporal score (steps)",
    "half_time_order": "order of half-times along the hierarchy",
    "eta_squared": "partial eta squared",
    "factor_change": "change from first to last level",
    "centre_correlation": "correlation of centres",
    "centroid_norm": "nuclear norm of centroids",
}


def metric(name: str) -> str:
    """Return a metric's name; unknown ones keep theirs."""
    return METRICS.get(name, name)


def number(value: float | None, digits: int = 2) -> str:
    r"""Return a number with a true minus sign, or an en dash where there is none.

    Examples
    --------
    >>> number(-0.125, 3) == "\N{MINUS SIGN}0.125"
    True
    >>> number(float("nan")) == "\N{EN DASH}"
    True
    """
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def p_value(value: float | None) -> str:
    """Return a p-value.

    Examples
    --------
    >>> p_value(0.00049), p_value(0.0321), p_value(0.4)
    ('< 0.001', '0.032', '0.40')
    """
    if value is None or not math.isfinite(value):
        return DASH
    if value < 0.001:
        return "< 0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def seconds(value: float | None) -> str:
    """Return a duration.

    Examples
    --------
    >>> seconds(0.031), seconds(4.25), seconds(75), seconds(8000)
    ('0.03 s', '4.2 s', '1 min 15 s', '2 h 13 min')
    """
    if value is None or not math.isfinite(value):
        return DASH
    if value < 1:
        return f"{value:.2f} s"
    if value < 59.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def megabytes(value: float | None) -> str:
    """Return a size given in MB."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:.0f} MB" if value < 1000 else f"{value / 1000:.1f} GB"


def count(n: int, noun: str, plural: str = "") -> str:
    """Return ``1 run`` or ``1,152 runs``."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def day(stamp: str) -> str:
    """Return an ISO time stamp as a day and a time, ``4 May 2026, 10:31 UTC``."""
    when = datetime.fromisoformat(stamp)
    return f"{when.day} {when:%B %Y, %H:%M} UTC"
