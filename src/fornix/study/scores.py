"""``scores``: how fits are judged."""

from __future__ import annotations

from pydantic import Field

from fornix.study.base import Section
from fornix.study.fits.union import Fit


class Scores(Section):
    """Metrics' chance levels, ceilings and p-values, the same for all fits of a study."""

    permutations: int = Field(
        1000, ge=0, description="draws of the null distribution; 0: no p-values"
    )
    ceiling: bool = Field(
        True, description="noise ceilings where repeats (encoding) or subjects (RSA) allow"
    )
    minimum_ceiling: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="units below this ceiling are left out of region means (share of variance)",
    )
    confidence: float = Field(0.95, gt=0, lt=1, description="level of the intervals")


class Evaluation(Section):
    """What one evaluate job is made from: a fit and how fits are judged."""

    fit: Fit
    scores: Scores
