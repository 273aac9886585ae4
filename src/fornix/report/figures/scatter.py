"""Predicted against measured: the held-out samples of each subject's best unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fornix.report.figures.canvas import ACCENT, GREY, Picture, panels, picture
from fornix.report.material import Material, words

MAX_SUBJECTS = 6
MAX_POINTS = 2000
MAX_UNITS = 34
"""Letters of the units' name that fit along an axis."""


def draw(material: Material, fit: str, best: Mapping[str, str]) -> list[Picture]:
    """Return a panel a subject; none where nothing was predicted.

    Parameters
    ----------
    material
        The study.
    fit
        An encoding fit.
    best
        Region -> the target that predicts it best.
    """
    maps = material.artifact(f"scores/{fit}")
    subjects = [
        one for one in material.subjects(fit) if f"maps-{one}.zarr" in maps.manifest["parts"]
    ]
    shown: list[tuple[str, str, str, float, Any, Any]] = []
    units = ""
    for subject in subjects[:MAX_SUBJECTS]:
        scores = maps.dataset(f"maps-{subject}").load()
        names = words(scores["target"])
        regions = np.array(words(scores["roi"]))
        r = np.full(len(regions), -np.inf)
        for place, target in best.items():
            if target in names:
                here = regions == place
                found = scores["pearson_r"].values[names.index(target), here]
                r[here] = np.nan_to_num(found, nan=-1)
        if not np.isfinite(r).any():
            continue
        unit = int(r.argmax())
        artifact = material.artifact(f"fit/{fit}/{subject}")
        data = artifact.dataset(artifact.share("predictions", subject)).isel(unit=unit)
        predicted = data["predicted"].sel(target=best[regions[unit]]).values
        shown.append((subject, str(data["unit"].values), str(regions[unit]), r[unit], predicted,
                      data["observed"].values))  # fmt: skip
        units = str(data.attrs.get("units", "")) or units
    if not shown:
        return []
    columns = min(3, len(shown))
    figure, axes = panels(len(shown), columns=columns, width=3.4 * columns, height=3.1)
    for axis, (subject, name, region, value, predicted, observed) in zip(axes, shown, strict=True):
        keep = np.unique(np.linspace(0, len(observed) - 1, MAX_POINTS).astype(int))
        axis.plot(predicted[keep], observed[keep], ".", color=ACCENT, markersize=4, alpha=0.45)
        low, high = float(predicted.min()), float(predicted.max())
        axis.plot([low, high], [low, high], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        axis.set_title(f"sub-{subject}, {region}, {name}: r = {value:.2f}", fontsize=8.5)
        short = f" ({units})" if 0 < len(units) <= MAX_UNITS else ""
        axis.set_xlabel(f"predicted{short}")
        axis.set_ylabel(f"measured{short}")
    unit_of = units or "the units of the responses"
    caption = f"Held-out samples of the unit that is predicted best, in {unit_of}. "
    caption += "Dashed: where the two are equal. A unit chosen as the best looks better than it is."
    told = "; ".join(f"sub-{one[0]}: r = {one[3]:.2f}" for one in shown)
    return [picture(figure, "Predicted and measured", caption, alt=told, vector=False)]
