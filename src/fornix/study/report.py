"""``report``: what the page shows."""

from __future__ import annotations

from pydantic import Field

from fornix.study.base import Section


class Report(Section):
    """Options of the HTML report."""

    figures: bool = Field(True, description="draw figures")
    maps: bool = Field(True, description="draw brain maps or slices")
    notes: str = Field("", description="a paragraph for the reader")
