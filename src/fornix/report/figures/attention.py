"""Where a model looks: attention maps of held-out stimuli."""

from __future__ import annotations

import json

import numpy as np

from fornix.report.figures.canvas import Picture, colour_bar, panels, picture
from fornix.report.material import Material, words

N_EXAMPLES = 5
MAX_REGIONS = 8


def draw(material: Material, fit: str, target: str) -> list[Picture]:
    """Return maps of one subject: the mean of each region, and some stimuli; none without maps.

    Parameters
    ----------
    material
        The study.
    fit
        An encoding fit.
    target
        Whose tokens.
    """
    subjects = material.subjects(fit)
    if not subjects:
        return []
    subject = subjects[0]
    artifact = material.artifact(f"fit/{fit}/{subject}")
    part = artifact.share("attention", subject)
    if f"{part}.zarr" not in artifact.manifest["parts"]:
        return []
    data = artifact.dataset(part)
    targets = [str(one) for one in json.loads(data.attrs["targets"])]
    if target not in targets:
        return []
    maps = data[f"map{targets.index(target)}"]
    regions = words(data["attending"])[:MAX_REGIONS]
    predictions = artifact.dataset(artifact.share("predictions", subject))
    wanted = predictions["object_at"].sel(target=target).values
    stimuli = words(data["stimulus"])
    # Spread over the samples, the same ones for every region.
    chosen = np.unique(np.linspace(0, len(stimuli) - 1, N_EXAMPLES).astype(int))
    n_columns = 1 + len(chosen)
    figure, axes = panels(len(regions) * n_columns, columns=n_columns, height=1.75)
    columns = maps.shape[-1]
    for r, region in enumerate(regions):
        mine = maps.isel(attending=r).values.astype(np.float32)
        shown = [mine.mean(0), *(mine[i] for i in chosen)]
        for c, values in enumerate(shown):
            axis = axes[r * n_columns + c]
            image = axis.imshow(
                values, cmap="viridis", vmin=0, vmax=max(one.max() for one in shown)
            )
            axis.set_xticks([])
            axis.set_yticks([])
            if c == 0:
                axis.set_ylabel(region or "outside")
            if r == 0:
                axis.set_title("mean" if c == 0 else stimuli[chosen[c - 1]], fontsize=8)
            place = wanted[chosen[c - 1], r] if c else -1
            if place >= 0:
                axis.plot(
                    place % columns, place // columns, "o", markersize=11, markerfacecolor="none",
                    markeredgecolor="white", markeredgewidth=1.6,
                )  # fmt: skip
        row = axes[r * n_columns : (r + 1) * n_columns]
        colour_bar(figure, image, row, "attention", shrink=0.8)
    caption = f"How much each region attends to each token of {target} in sub-{subject}: mean over "
    caption += "held-out samples, and single ones."
    caption += " Rings: where the region's object is." if (wanted >= 0).any() else ""
    return [picture(figure, "Attention", caption, alt=caption, vector=False)]
