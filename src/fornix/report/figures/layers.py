"""Which layer predicts which region, and which time: a model's layers as rows of a map."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fornix.evaluation.trajectories import steps_of
from fornix.report.figures.canvas import Picture, colour_bar, panels, picture, shortened, slanted
from fornix.report.material import Material

METRIC = "pearson_r"
MAX_MODELS = 6
MAX_LABELS = 16
"""Layers that are named; of more, every second or third."""


def draw(material: Material, fit: str) -> list[Picture]:
    """Return layer x time, or layer x region, of the models at the end of their training.

    Without trajectories, of the first models of the fit. Regions only where brain-likeness is asked
    for: otherwise layer profiles show them. Models of one layer have nothing to compare.
    """
    rows = material.rows(fit, METRIC)
    in_time = material.in_time(fit)
    if rows.empty or not (in_time or material.study.scores.brain_likeness):
        return []
    sections = list(dict.fromkeys(one.partition("/")[0] for one in material.targets(fit)))
    families = material.study.scores.trajectories
    ends = [list(steps.values())[-1] for one in families if (steps := steps_of(sections, one))]
    chosen = (ends or sections)[:MAX_MODELS]
    tables = {name: table for name in chosen if (table := _table(material, rows, name, in_time)) is
              not None}  # fmt: skip
    n = rows["subject"].nunique()
    return [_maps(tables, n, in_time=in_time)] if tables else []


def _table(
    material: Material, rows: pd.DataFrame, model: str, in_time: bool
) -> pd.DataFrame | None:
    """Return r (layer, region or time), mean over subjects."""
    here = rows[rows["target"].str.partition("/")[0] == model]
    if here.empty:
        return None
    place = "time" if in_time else "unit"
    table = here.pivot_table(index="target", columns=place, values="value", sort=False)
    order = [target for target in material.layers(model) if target in table.index]
    if len(order) < 2:
        return None
    table = table.loc[order]
    if in_time:
        return table[sorted(table.columns)]
    known = [name for name in material.study.scores.positions() if name in table.columns]
    return table[known or list(table.columns)]


def _maps(tables: dict[str, pd.DataFrame], n_subjects: int, *, in_time: bool) -> Picture:
    figure, axes = panels(len(tables), columns=3, height=2.6)
    low = min(0.0, *(float(np.nanmin(one.to_numpy())) for one in tables.values()))
    high = max(float(np.nanmax(one.to_numpy())) for one in tables.values())
    told = []
    for axis, (model, table) in zip(axes, tables.items(), strict=True):
        values = table.to_numpy(dtype=float)
        names = [str(name).partition("/")[2] for name in table.index]
        ends = (-0.5, values.shape[1] - 0.5)
        if in_time:
            ends = _ends(table.columns.to_numpy(dtype=float))
        image = axis.imshow(
            values, aspect="auto", origin="lower", vmin=low, vmax=high, cmap="viridis",
            interpolation="nearest", extent=(*ends, -0.5, len(values) - 0.5),
        )  # fmt: skip
        # Each region's best layer; each layer's best time.
        if in_time:
            times = table.columns.to_numpy(dtype=float)
            best = np.argmax(np.nan_to_num(values, nan=-np.inf), axis=1)
            axis.plot(times[best], np.arange(len(values)), "w.", markersize=7)
            if times[0] < 0 < times[-1]:
                axis.axvline(0, color="white", linewidth=0.8, alpha=0.7)
            axis.set_xlabel("time from onset (s)")
            peaks = ", ".join(f"{time:.2f} s" for time in times[best])
            told.append(f"{model}, from the first layer on: {peaks}")
        else:
            best = np.nanargmax(values, axis=0)
            axis.plot(np.arange(values.shape[1]), best, "w.", markersize=7)
            slanted(axis, np.arange(values.shape[1]), table.columns)
            pairs = zip(table.columns, best, strict=True)
            told.append(f"{model}: " + ", ".join(f"{region} {names[i]}" for region, i in pairs))
        shown = np.arange(0, len(values), -(-len(values) // MAX_LABELS))
        axis.set_yticks(shown, [shortened(names[i], 16) for i in shown])
        axis.set_title(model)
    colour_bar(figure, image, axes, "Pearson's r", shrink=0.9)
    what = "each layer's best time" if in_time else "each region's best layer"
    title = "Layers and times" if in_time else "Layers and regions"
    who = f"mean over {n_subjects} subjects" if n_subjects > 1 else "one subject"
    caption = f"Encoding by each layer, {who}. Dots: {what}."
    return picture(figure, title, caption, alt=f"{what}. {'; '.join(told)}")


def _ends(times: NDArray[np.float64]) -> tuple[float, float]:
    """Return the edges of the first and of the last time (s), which are evenly spaced."""
    half = (times[-1] - times[0]) / (2 * (len(times) - 1))
    return float(times[0] - half), float(times[-1] + half)
