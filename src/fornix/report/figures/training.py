"""How networks were trained: losses and validation over epochs."""

from __future__ import annotations

import pandas as pd

from fornix.report.figures.canvas import INK, PALETTE, Picture, key, panels, picture
from fornix.report.material import Material

MAX_LINES = 60


def logs(material: Material, fit: str) -> pd.DataFrame:
    """Return the logs of all subjects' trainings, with a column ``run`` that tells them apart."""
    found = []
    for subject in material.subjects(fit):
        artifact = material.artifact(f"fit/{fit}/{subject}")
        part = artifact.share("training", subject)
        if f"{part}.parquet" in artifact.manifest["parts"]:
            found.append(artifact.table(part).assign(subject=subject))
    if not found:
        return pd.DataFrame()
    table = pd.concat(found, ignore_index=True)
    keys = [name for name in ("subject", "target", "fold", "network") if name in table]
    return table.assign(run=table[keys].astype(str).agg(", ".join, axis=1))


def draw(material: Material, fit: str) -> list[Picture]:
    """Return the curves of a fit; none where nothing was trained."""
    table = logs(material, fit)
    if table.empty:
        return []
    kinds = list(dict.fromkeys(zip(table["split"], table["name"], strict=True)))
    figure, axes = panels(len(kinds), columns=3, height=2.3)
    targets = list(dict.fromkeys(table["target"]))
    for axis, (split, name) in zip(axes, kinds, strict=True):
        here = table[(table["split"] == split) & (table["name"] == name)]
        for _, line in list(here.groupby("run", sort=False))[:MAX_LINES]:
            target = str(line["target"].iloc[0])
            colour = PALETTE[targets.index(target) % len(PALETTE)]
            axis.plot(line["epoch"] + 1, line["value"], color=colour, alpha=0.5, linewidth=0.8,
                      label=target)  # fmt: skip
        mean = here.groupby("epoch")["value"].mean()
        if len(set(here["run"])) > 1:
            axis.plot(mean.index + 1, mean, color=INK, linewidth=1.6, label="mean", zorder=4)
        axis.set_title(f"{name}, {split}")
        axis.set_xlabel("epoch")
        axis.set_ylabel(name)
        axis.grid(axis="y")
    key(figure, axes[0])
    n = table["run"].nunique()
    caption = f"Curves of {n} trainings (subjects, layers and folds; a colour a layer)."
    caption += " Dark: their mean; late epochs are of the trainings that went on so long."
    caption += f" The first {MAX_LINES} are drawn." if n > MAX_LINES else ""
    last = table[table["split"] == "train"].groupby("run")["value"].last().mean()
    alt = f"{caption} Mean last training loss {last:.3g}."
    return [picture(figure, "Training", caption, alt=alt)]
