"""``claims``: sentences of the paper and the comparisons that support or refute them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fornix.study.base import Glob, Name, Section


class ScoreSelect(Section):
    """Rows of the score table; patterns match whole values, null takes any."""

    fit: Name = Field(description="a name in fits")
    metric: str = Field(description="metric, as in the table")
    target: Glob | None = Field(None, description="pattern of the target")
    unit: Glob | None = Field(None, description="pattern of the unit or region")
    subject: Glob | None = Field(None, description="pattern of the subject")
    time: tuple[float, float] | None = Field(None, description="from and to, s")
    best: bool = Field(
        False, description="take each subject's best time instead of the mean over times"
    )


class ClaimBase(Section):
    """What every claim has."""

    text: str = Field(description="the sentence")
    alpha: float = Field(0.05, gt=0, lt=1, description="error rate of its test")


class AboveChance(ClaimBase):
    """The scores lie above chance: by their own p with few subjects, by a t-test from six on."""

    test: Literal["above_chance"]
    scores: ScoreSelect


class AtChance(ClaimBase):
    """The scores don't differ from chance: their confidence interval contains it (a control)."""

    test: Literal["at_chance"]
    scores: ScoreSelect


class AtLeast(ClaimBase):
    """The mean score reaches a threshold."""

    test: Literal["at_least"]
    scores: ScoreSelect
    threshold: float


class Near(ClaimBase):
    """A mean value or ceiling agrees with a number known from elsewhere."""

    test: Literal["near"]
    scores: ScoreSelect
    column: Literal["value", "ceiling"] = "value"
    expected: float
    tolerance: float = Field(gt=0)


class Greater(ClaimBase):
    """``scores`` exceed ``than``, in every subject (and by a paired t-test from six on)."""

    test: Literal["greater"]
    scores: ScoreSelect
    than: ScoreSelect


class Best(ClaimBase):
    """Among the targets of ``scores``, ``winner`` has the highest mean, in every subject."""

    test: Literal["best"]
    scores: ScoreSelect
    winner: str


Claim = Annotated[
    AboveChance | AtChance | AtLeast | Near | Greater | Best, Field(discriminator="test")
]
