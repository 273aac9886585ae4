"""Linear centred kernel alignment of all pairs of layers."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fornix.analysis import hsic
from fornix.analysis.material import Analysed, Floats, Material, centred, score
from fornix.errors import FornixError
from fornix.progress import track
from fornix.study.analyses import Cka

TILE_BYTES = 512 << 20
"""Memory of one tile of all layers' kernels."""

Layers = Mapping[str, NDArray[Any]]


def analyse(section: Cka, material: Material) -> Analysed:
    """Compare every pair of layers.

    Raises
    ------
    FornixError
        If there are fewer stimuli than the estimate needs.
    """
    names, n = list(material.layers), len(material.stimuli)
    if n < hsic.FEWEST:
        problem = f"CKA needs {hsic.FEWEST} stimuli or more; there are {n}"
        raise FornixError(problem, where=material.where, mend="take a larger dataset")
    matrix = cka(material.layers, debiased=section.debiased)
    metric = "cka_debiased" if section.debiased else "cka"
    chance = 0.0 if section.debiased else float("nan")
    rows = [
        score(names[i], metric, matrix[i, j], n, unit=names[j], chance=chance)
        for i, j in combinations(range(len(names)), 2)
    ]
    for i in np.flatnonzero(np.isnan(np.diag(matrix))):
        material.notes.append(f"{names[i]} has no CKA: its stimuli don't differ beyond noise.")
    labels = np.array(names, dtype=object)
    arrays = xr.Dataset(
        {"cka": (("target", "other"), matrix)},
        coords={"target": labels, "other": labels},
        attrs={"metric": metric, "n_stimuli": n},
    )
    how = "linear kernels of centred features"
    how += ", unbiased HSIC (Song et al. 2012)" if section.debiased else " (Kornblith et al. 2019)"
    return Analysed(rows, arrays, how={metric: how})


def cka(layers: Layers, *, debiased: bool = True) -> Floats:
    """Return the alignment of all pairs of layers, float64 (layer, layer).

    Products of features cost ``n p q`` for a pair, kernels of the stimuli ``n² p`` for a layer:
    whichever is cheaper over all pairs is used. Kernels are made tile by tile.

    Parameters
    ----------
    layers
        Layer -> (stimulus, feature), the same stimuli in each.
    debiased
        From unbiased estimates of HSIC (Murphy et al. 2024), or from the biased ones of
        Kornblith et al. (2019, ICML).
    """
    norms, sizes = [], []
    for values in layers.values():
        norms.append((centred(values) ** 2).sum(1))
        sizes.append(values.shape[1])
    n, widths = len(norms[0]), np.array(sizes, dtype=np.float64)
    by_features = n * np.outer(widths, widths).sum() / 2
    by_stimuli = n**2 * widths.sum() + (n * len(widths)) ** 2
    products = (
        _feature_products(layers) if by_features < by_stimuli else _kernel_products(layers, n)
    )
    stacked = np.stack(norms)
    found = hsic.unbiased(products, stacked) if debiased else hsic.biased(products, n)
    return hsic.alignment(found)


def _feature_products(layers: Layers) -> Floats:
    """Return the squared length of X'Y of all pairs; two layers are in memory at a time."""
    names = list(layers)
    products = np.empty((len(names), len(names)))
    for i, one in enumerate(track(names, "layers compared")):
        first = centred(layers[one])
        for j, other in enumerate(names[i:], start=i):
            second = first if i == j else centred(layers[other])
            products[i, j] = products[j, i] = np.sum((first.T @ second) ** 2)
    return products


def _kernel_products(layers: Layers, n: int, tile_bytes: int = TILE_BYTES) -> Floats:
    """Return the same from kernels of stimuli; one layer is in memory beside a tile of all."""
    side = max(1, int(np.sqrt(tile_bytes / (8 * len(layers)))))
    starts = range(0, n, side)
    tiles = [(row, column) for row in starts for column in starts if column >= row]
    products = np.zeros((len(layers), len(layers)))
    for row, column in track(tiles, "tiles of the kernels"):
        tile = np.empty((len(layers), min(side, n - row), min(side, n - column)))
        for kernel, values in zip(tile, layers.values(), strict=True):
            layer = centred(values)
            np.matmul(layer[row : row + side], layer[column : column + side].T, out=kernel)
        flat = tile.reshape(len(layers), -1)
        products += (1 if row == column else 2) * (flat @ flat.T)
    return products
