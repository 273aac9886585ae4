"""Encoding models on small data, as the stage fits them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fornix.models.interface import Context, EncodingData
from fornix.study.compute import Compute


def fit_layers(model, section, layers, Y, *, n_folds=3, inner=4, bands=(), **compute):
    """Fit each layer, and ``joint`` of all where ``bands``; return predictions and notes."""
    targets = {name: [name] for name in layers}
    if bands:
        targets["joint"] = list(bands)
    fold = np.arange(len(Y)) % n_folds
    folds = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(n_folds)]
    data = EncodingData(
        layers,
        Y.astype(np.float32),
        pd.DataFrame({"unit": range(Y.shape[1]), "roi": "all"}),
        folds,
        lambda rows: np.arange(len(rows)) // n_folds % inner,
        targets,
        {"joint": list(bands)} if bands else {},
    )
    context = Context(Compute(**compute))
    return model.fit(section, data, context), context.notes


def correlation(a, b):
    return np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]
