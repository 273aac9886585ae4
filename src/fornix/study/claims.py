"""``claims``: sentences of the paper and the comparisons that support or refute them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fornix.study.base import Glob, Name, Section


class ScoreSelect(Section):
    """Rows of the score table; patterns match whole values, null takes any."""

    fit: Name = Field(description="a name in fits or analyses")
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


OverSubjects = Literal["means", "rows"]
"""What is tested from six subjects on: their means by Student's t, or all rows by a mixed model."""


class AboveChance(ClaimBase):
    """The scores lie above chance: by their own p with few subjects, by a t-test from six on."""

    test: Literal["above_chance"] = Field(description="better than chance")
    scores: ScoreSelect = Field(description="rows of the score table")
    over: OverSubjects = Field(
        "means",
        description="six subjects or more: test their means, or all rows by a mixed model with a "
        "random intercept a subject",
    )


class AtChance(ClaimBase):
    """The scores don't differ from chance: their confidence interval contains it (a control)."""

    test: Literal["at_chance"] = Field(description="no better and no worse than chance")
    scores: ScoreSelect = Field(description="rows of the score table")


class AtLeast(ClaimBase):
    """The mean score reaches a threshold."""

    test: Literal["at_least"] = Field(description="a threshold is reached")
    scores: ScoreSelect = Field(description="rows of the score table")
    threshold: float = Field(description="smallest mean, in units of the metric")


class Near(ClaimBase):
    """A mean value or ceiling agrees with a number known from elsewhere."""

    test: Literal["near"] = Field(description="a known number is met")
    scores: ScoreSelect = Field(description="rows of the score table")
    column: Literal["value", "ceiling"] = Field("value", description="column to compare")
    expected: float = Field(description="the known number, in units of the metric")
    tolerance: float = Field(gt=0, description="largest difference, in units of the metric")


class Greater(ClaimBase):
    """``scores`` exceed ``than``, in every subject; from six on, by a paired t-test.

    Where both ask for the same units and times, scores are paired by unit and time.
    """

    test: Literal["greater"] = Field(description="one is better than another")
    scores: ScoreSelect = Field(description="rows of the score table")
    than: ScoreSelect = Field(description="rows to compare with, subject by subject")
    by: float = Field(
        0.0, ge=0, description="smallest difference that counts, in units of the metric"
    )
    over: OverSubjects = Field(
        "means",
        description="six subjects or more: test their means, or all pairs by a mixed model with a "
        "random intercept a subject",
    )


class Tie(ClaimBase):
    """``scores`` and ``than`` differ by less than a margin, whichever way.

    In every subject; from six on, by two one-sided paired t-tests (equivalence).
    """

    test: Literal["tie"] = Field(description="one is as good as another")
    scores: ScoreSelect = Field(description="rows of the score table")
    than: ScoreSelect = Field(description="rows to compare with, subject by subject")
    within: float = Field(gt=0, description="margin, in units of the metric")


class Best(ClaimBase):
    """Among the targets of ``scores``, ``winner`` has the highest mean, in every subject."""

    test: Literal["best"] = Field(description="one is better than all others")
    scores: ScoreSelect = Field(description="rows of the score table")
    winner: str = Field(description="the target that should win, as in the table")


class Trend(ClaimBase):
    """How scores change over the targets, in the order of the table: a model's layers by depth.

    The change is the mean over the last third of the targets less that over the first third. To
    rise or fall it must be at least ``by``, in every subject (and by a t-test against 0 from six
    on); to be flat, its mean over subjects must be smaller.
    """

    test: Literal["trend"] = Field(description="scores change with depth, or don't")
    scores: ScoreSelect = Field(description="rows of the score table, three targets or more")
    direction: Literal["rises", "falls", "flat"] = Field("rises", description="how they change")
    by: float = Field(0.0, ge=0, description="smallest change that counts, in units of the metric")


Claim = Annotated[
    AboveChance | AtChance | AtLeast | Near | Greater | Tie | Best | Trend,
    Field(discriminator="test"),
]
