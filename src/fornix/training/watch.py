"""Is a representation worth something yet, or has it collapsed? Three numbers, without labels."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

NEIGHBOURS = 10
MOST = 2000
"""Pictures that are looked at, the first ones; neighbours are among them."""

COLLAPSED = 0.02
"""Directions of the tokens of different pictures this alike are one point."""


def spread(tokens: Tensor) -> float:
    """Return how far the directions of tokens lie apart: 0 if all are one, about 1 if isotropic.

    Parameters
    ----------
    tokens
        (picture, feature).

    Returns
    -------
    float
        Root of the mean variance of the unit vectors' entries, over that of a uniform sphere.
    """
    unit = functional.normalize(tokens.double(), dim=1)
    return float(unit.var(0, unbiased=False).sum().sqrt())


def dimensions(tokens: Tensor) -> float:
    """Return the participation ratio of the tokens' covariance: directions that are in use."""
    covariance = torch.cov(tokens.double().T)
    values = torch.linalg.eigvalsh(covariance).clamp_min(0)
    total = float(values.square().sum())
    return float(values.sum()) ** 2 / total if total > 0 else 0.0


def neighbours(tokens: Tensor, labels: Tensor) -> float:
    """Return how often a picture's nearest neighbours vote for its label, itself left out.

    Parameters
    ----------
    tokens
        (picture, feature).
    labels
        Integers (picture,).

    Returns
    -------
    float
        Accuracy of a vote among the ten most alike by cosine; ties go to the more alike.
    """
    unit = functional.normalize(tokens.double(), dim=1)
    alike = unit @ unit.T
    alike.fill_diagonal_(-math.inf)
    k = min(NEIGHBOURS, len(tokens) - 1)
    top = alike.topk(k, dim=1)
    votes = torch.zeros(len(tokens), int(labels.max()) + 1, dtype=torch.float64)
    # A vote is worth one, and a little more for who is nearer, which only breaks ties.
    worth = 1 + (top.values + 1) / (4 * k)
    votes.scatter_add_(1, labels[top.indices], worth)
    return float((votes.argmax(1) == labels).double().mean())


def collapse(spread_now: float, entropy: float | None, n_prototypes: int) -> str | None:
    """Say that a representation has collapsed, and how; None if it hasn't.

    Parameters
    ----------
    spread_now
        From :func:`spread`, of the model at the end.
    entropy
        Mean entropy of the teacher's answers at the end, nats; None where none was logged.
    n_prototypes
        Answers there are.
    """
    if spread_now < COLLAPSED:
        return (
            f"the representation has collapsed: all pictures have nearly the same token (spread "
            f"{spread_now:.3g}); lower teacher_temperature or training.learning_rate"
        )
    if entropy is not None and entropy > 0.98 * math.log(n_prototypes):
        return (
            "the teacher answers alike to every picture (its entropy is that of a uniform "
            "answer), so that nothing is learnt; lower teacher_temperature"
        )
    return None
