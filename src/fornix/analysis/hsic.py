"""Similarity of linear kernels (HSIC), from inner products and norms alone.

For centred layers X and Y, the squared length of X'Y is the sum of the products of the kernels'
entries, and a row's squared norm is a kernel's diagonal; nothing else is needed.
"""

from __future__ import annotations

import numpy as np

from fornix.analysis.material import Floats

FEWEST = 4
"""Rows that an unbiased estimate needs."""


def biased(products: Floats, n: int) -> Floats:
    """Return HSIC as it was first defined (Gretton et al. 2005): up to ``1 / n`` too large.

    Parameters
    ----------
    products
        (..., ) squared length of X'Y of centred X and Y.
    n
        Rows.
    """
    return products / (n - 1) ** 2


def unbiased(products: Floats, norms: Floats) -> Floats:
    """Return the unbiased HSIC of all pairs (Song et al. 2012, JMLR 13:1393, eq. 5).

    Its kernels have a zero diagonal. With centred rows the sum of a kernel's row is zero with
    the diagonal, hence minus the row's squared norm without it.

    Parameters
    ----------
    products
        float64 (layer, layer), squared length of X'Y of centred X and Y.
    norms
        float64 (layer, row), squared norms of the centred rows; four rows or more.

    Returns
    -------
    float64 (layer, layer); zero on average for independent layers, and possibly negative.
    """
    n = norms.shape[1]
    both = norms @ norms.T
    totals = norms.sum(1)
    middle = np.outer(totals, totals) / ((n - 1) * (n - 2))
    return np.asarray((products - both + middle - 2 / (n - 2) * both) / (n * (n - 3)))


def alignment(hsic: Floats) -> Floats:
    """Return HSIC (layer, layer) divided by the geometric mean of the layers' own: CKA.

    NaN where a layer's own estimate isn't positive: it doesn't differ from noise there.
    """
    own = np.diag(hsic)
    scale = np.sqrt(np.where(own > 0, own, np.nan))
    return np.asarray(hsic / np.outer(scale, scale))
