"""The few numbers at the top of the page: what each fit reached at its best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fornix.evaluation.table import ALL
from fornix.report import words
from fornix.report.material import Material


@dataclass(frozen=True)
class Headline:
    """A number, what it is, and what to compare it with."""

    fit: str
    value: str
    what: str
    beside: str


def headlines(material: Material) -> list[Headline]:
    """Return the highest mean over subjects of every fit that isn't a control.

    The highest of many means is biased upwards; how many there were is said beside it.
    """
    found = []
    for name in material.fits:
        if material.study.brain_fits[name].shuffle:
            continue
        metric = material.metric(name)
        rows = material.rows(name, metric)
        if rows.empty:
            continue
        means = rows.groupby(["target", "unit", "time"], sort=False, dropna=False)
        table = means[["value", "ceiling", "chance"]].mean().reset_index()
        best = table.to_dict("records")[int(table["value"].to_numpy().argmax())]
        beside = f"chance {words.number(best['chance'])}"
        if np.isfinite(best["ceiling"]):
            beside = f"noise ceiling {words.number(best['ceiling'])}"
        beside += f"; highest of {len(table):,}" if len(table) > 1 else ""
        place = "" if best["unit"] == ALL else f" in {best['unit']}"
        when = f" at {words.number(best['time'])} s" if np.isfinite(best["time"]) else ""
        what = f"{words.metric(metric)}, {best['target']}{place}{when}"
        found.append(Headline(name, words.number(best["value"]), what, beside))
    return found
