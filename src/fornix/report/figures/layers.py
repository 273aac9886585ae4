"""Which layer predicts which region, and which time: a model's layers as rows of a map."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fornix.evaluation.trajectories import steps_of
from fornix.report.figures.canvas import Picture, colour_bar, panels, picture, slanted
from fornix.report.material import Material

METRIC = "pearson_r"
MAX_MODELS = 6


def draw(material: Material, fit: str) -> list[Picture]:
    """Return layer x region, or layer x time, of the models at the end of their training.

    Without trajectories, of the first models of the fit; none unless brain-likeness is asked for.
    """
    rows = material.rows(fit, METRIC)
    if rows.empty or not material.study.scores.brain_likeness:
        return []
    sections = list(dict.fromkeys(one.partition("/")[0] for one in material.targets(fit)))
    families = material.study.scores.trajectories
    ends = [list(steps.values())[-1] for one in families if (steps := steps_of(sections, one))]
    chosen = (ends or sections)[:MAX_MODELS]
    in_time = material.in_time(fit)
    tables = {name: table for name in chosen if (table := _table(material, rows, name, in_time)) is
              not None}  # fmt: skip
    return [_maps(tables, in_time=in_time)] if tables else []


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
    table = table.loc[order]
    if in_time:
        return table[sorted(table.columns)]
    known = [name for name in material.study.scores.positions() if name in table.columns]
    return table[known or list(table.columns)]


def _maps(tables: dict[str, pd.DataFrame], *, in_time: bool) -> Picture:
    figure, axes = panels(len(tables), columns=3, height=2.6)
    low = min(0.0, *(float(np.nanmin(one.to_numpy())) for one in tables.values()))
    high = max(float(np.nanmax(one.to_numpy())) for one in tables.values())
    told = []
    for axis, (model, table) in zip(axes, tables.items(), strict=True):
        values = table.to_numpy(dtype=float)
        image = axis.imshow(values, aspect="auto", origin="lower", vmin=low, vmax=high,
                            cmap="viridis", interpolation="nearest")  # fmt: skip
        # Each region's best layer; each layer's best time.
        if in_time:
            best = np.nanargmax(values, axis=1)
            axis.plot(best, np.arange(len(values)), "w.", markersize=7)
            step = max(1, values.shape[1] // 6)
            ticks = np.arange(0, values.shape[1], step)
            times = table.columns.to_numpy(dtype=float)
            axis.set_xticks(ticks, [f"{time:.2f}" for time in times[ticks]])
            axis.set_xlabel("time from onset (s)")
            peaks = ", ".join(f"{time:.2f} s" for time in times[best])
            told.append(f"{model}, from the first layer on: {peaks}")
        else:
            best = np.nanargmax(values, axis=0)
            axis.plot(np.arange(values.shape[1]), best, "w.", markersize=7)
            slanted(axis, np.arange(values.shape[1]), table.columns)
            names = [str(name).partition("/")[2] for name in table.index]
            pairs = zip(table.columns, best, strict=True)
            told.append(f"{model}: " + ", ".join(f"{region} {names[i]}" for region, i in pairs))
        axis.set_yticks(
            np.arange(len(values)), [str(name).partition("/")[2] for name in table.index]
        )
        axis.set_title(model)
    colour_bar(figure, image, axes, "Pearson's r", shrink=0.9)
    what = "each layer's best time" if in_time else "each region's best layer"
    title = "Layers and times" if in_time else "Layers and regions"
    caption = f"Encoding by each layer, mean over subjects. Dots: {what}."
    return picture(figure, title, caption, alt=f"{what}. {'; '.join(told)}")
