"""Tables of scores: a matrix to look at, a list to look up, and all rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from fornix.evaluation.table import COLUMNS
from fornix.report import words
from fornix.report.material import Material

MAX_UNITS = 12
"""Columns of a matrix that fit on a page."""
MAX_ROWS = 1500
"""Rows of the full table on the page; the files have all."""


@dataclass(frozen=True)
class Cell:
    """A cell: its text, a second line in small print, and a class for its look."""

    text: str
    small: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes
    ----------
    caption
        What it shows.
    head
        Column headings.
    rows
        Cells; the first of a row is its heading.
    notes
        Remarks below it.
    """

    caption: str
    head: list[str]
    rows: list[list[Cell]]
    notes: list[str] = field(default_factory=list)


def matrix(material: Material, fit: str) -> Table | None:
    """Return targets by units: the mean over subjects, the range below it, the best in bold.

    Only for fits with several targets and units and no times; None for others.
    """
    metric = material.metric(fit)
    rows = material.rows(fit, metric)
    if material.in_time(fit) or len(set(rows["target"])) < 2 or len(set(rows["unit"])) < 2:
        return None
    units = list(dict.fromkeys(rows["unit"]))
    notes = []
    if len(units) > MAX_UNITS:
        top = rows.groupby("unit")["value"].max().sort_values(ascending=False, kind="stable")
        keep = set(top.index[:MAX_UNITS])
        units = [unit for unit in units if unit in keep]
        notes.append(f"The {MAX_UNITS} best of {len(top)} units; the others are in the full table.")
    several = len(set(rows["subject"])) > 1
    groups = rows.groupby(["unit", "target"])["value"]
    found: dict[str, dict[str, tuple[float, float, float]]] = {str(unit): {} for unit in units}
    for (unit, target), values in groups:
        if unit in found:
            found[unit][str(target)] = (values.mean(), values.min(), values.max())
    best = {unit: max(one, key=one.__getitem__) for unit, one in found.items()}

    def cell(target: str, unit: str) -> Cell:
        if target not in found[unit]:
            return Cell(words.DASH, kind="num")
        mean, low, high = found[unit][target]
        spread = f"{words.number(low)} to {words.number(high)}" if several else ""
        return Cell(words.number(mean), spread, "num best" if best[unit] == target else "num")

    body = [[Cell(t), *(cell(t, unit) for unit in units)] for t in material.targets(fit)]
    foot = [("noise ceiling", rows, "ceiling"), ("chance", rows, "chance")]
    control = material.control(fit)
    if control:
        foot.append(("shuffled control, all layers", material.rows(control, metric), "value"))
    for name, table, column in foot:
        levels = table.groupby("unit")[column].mean().reindex(units)
        if levels.notna().any():
            cells = [Cell(words.number(level), kind="num") for level in levels]
            body.append([Cell(name, kind="foot"), *cells])
    n = rows["subject"].nunique()
    over = f"mean over {n} subjects, range below" if several else "one subject"
    caption = f"{words.metric(metric)}, {over}; the best of each column in bold"
    return Table(caption, ["target", *units], body, notes)


def listing(material: Material, fit: str) -> Table:
    """Return every target, unit and metric of a fit, at its best time if there are several."""
    rows = material.rows(fit)
    rows = rows[rows["metric"] != "lag_r"]
    control = material.rows(material.control(fit))
    in_time = material.in_time(fit)
    means = rows.groupby(["target", "unit", "metric", "time"], sort=False, dropna=False)
    summary = means.agg(
        value=("value", "mean"), low=("value", "min"), high=("value", "max"),
        chance=("chance", "mean"), ceiling=("ceiling", "mean"), p=("p", "max"),
        known=("p", "count"), subjects=("subject", "nunique"), n=("n", "sum"),
    ).reset_index()  # fmt: skip
    if in_time:
        keys = ["target", "unit", "metric"]
        summary = summary.loc[summary.groupby(keys, sort=False)["value"].idxmax()]
    order = {target: i for i, target in enumerate(material.targets(fit))}
    summary = summary.sort_values("target", key=lambda c: c.map(order), kind="stable")
    null = control.groupby(["target", "unit", "metric", "time"], dropna=False)["value"].mean()
    shuffled = {_key(*key): float(value) for key, value in zip(null.index, null, strict=True)}
    several = len(set(rows["subject"])) > 1
    head = ["target", "unit", "metric", *(["time"] if in_time else [])]
    head += ["mean", "range"] if several else ["value"]
    head += ["chance", "ceiling", "largest p" if several else "p"]
    head += ["test items, all" if several else "test items"]
    head += ["shuffled"] if len(control) else []
    body = []
    for one in summary.to_dict("records"):
        spread = f"{words.number(one['low'], 3)} to {words.number(one['high'], 3)}"
        cells = [Cell(one["target"]), Cell(one["unit"]), Cell(words.metric(one["metric"]))]
        cells += [Cell(f"{words.number(one['time'])} s", kind="num")] if in_time else []
        p = one["p"] if one["known"] == one["subjects"] else float("nan")
        texts = [words.number(one["value"], 3), *([spread] if several else [])]
        texts += [words.number(one["chance"], 3), words.number(one["ceiling"], 3)]
        texts += [words.p_value(p), f"{one['n']:,}"]
        if len(control):
            key = _key(one["target"], one["unit"], one["metric"], one["time"])
            texts.append(words.number(shuffled.get(key), 3))
        body.append(cells + [Cell(text, kind="num") for text in texts])
    n = rows["subject"].nunique()
    caption = f"{n} subjects; range and largest p are over subjects" if several else "One subject"
    caption += "; each row at its best time" if in_time else ""
    return Table(caption, head, body, _why_missing(material, fit, rows))


def everything(material: Material) -> Table:
    """Return the rows of the score table, up to a limit."""
    scores = material.scores
    head = [name for name in COLUMNS if name != "study"]
    text = {"fit", "subject", "session", "target", "unit", "metric"}
    body = [
        [
            Cell(str(one[name])) if name in text else Cell(_plain(name, one[name]), kind="num")
            for name in head
        ]
        for one in scores.head(MAX_ROWS).to_dict("records")
    ]
    more = f"the first {MAX_ROWS:,} of " if len(scores) > MAX_ROWS else ""
    caption = f"{more}{words.count(len(scores), 'row')}; all are in scores.csv and scores.parquet"
    return Table(caption, head, body)


def _plain(name: str, value: float) -> str:
    if name == "n":
        return f"{value:,}"
    if name == "p":
        return words.p_value(value)
    return words.number(value, 2 if name == "time" else 3)


def _key(target: str, unit: str, metric: str, time: float) -> tuple[str, str, str, str]:
    return target, unit, metric, f"{time:.6f}"  # NaN equals nothing, but "nan" does


def _why_missing(material: Material, fit: str, rows: pd.DataFrame) -> list[str]:
    """Say why ceilings or p-values aren't there."""
    notes = []
    if rows["ceiling"].isna().any():
        why = {
            "decoding": "decoding has no noise ceiling",
            "encoding": "a noise ceiling needs stimuli that were shown more than once",
            "identification": "identification has no noise ceiling",
            "searchlight": "a searchlight has no noise ceiling",
            "rsa": "a noise ceiling needs two or more subjects who saw the same stimuli",
        }[material.study.brain_fits[fit].task]
        why = why if material.study.scores.ceiling else "ceilings are switched off in the study"
        notes.append(f"{words.DASH} under ceiling: {why}.")
    if rows["p"].isna().any():
        off = not material.study.scores.permutations
        why = "the study asks for no permutations" if off else "no null distribution could be drawn"
        notes.append(f"{words.DASH} under p: {why}.")
    return notes
