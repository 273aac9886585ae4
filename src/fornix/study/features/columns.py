"""Columns of the stimulus table."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fornix.study.base import Glob, Name
from fornix.study.features.base import FeatureSection


class ColumnFeatures(FeatureSection):
    """Columns of the stimulus table, one layer a column.

    Text columns become one indicator ("one-hot") feature a value, numeric columns stay one
    number. A missing value is a row of zeros. ``any_of`` adds layers that are 1 where any of the
    named columns is set.
    """

    kind: Literal["columns"] = Field(description="columns of the stimulus table")
    columns: list[Glob] = Field(["*"], description="patterns of column names")
    any_of: dict[Name, list[str]] = Field(
        {},
        description="layer name -> columns; left out, with a note in the report, where the table "
        "lacks one of the columns",
    )
    stack: dict[Name, list[str]] = Field(
        {}, description="layer name -> columns placed side by side, such as position: [x, y]"
    )
    onehot: list[Glob] = Field([], description="numeric columns to treat as categories")

    def describe(self) -> str:
        """Say in a sentence what is computed."""
        combined = [*self.any_of, *self.stack]
        return f"columns of the stimulus table ({', '.join([*self.columns, *combined])})."
