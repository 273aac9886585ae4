"""The whole brain: scores through glass and on the inflated surface, in standard space."""

from __future__ import annotations

from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from fornix.report.figures import maps
from fornix.report.figures.canvas import WIDTH, Picture, colour_bar, picture

STANDARD = "MNI"
"""How the labels of standard spaces begin in BIDS (MNI152NLin2009cAsym, MNI152NLin6Asym, ...)."""

MESH = "fsaverage5"
VIEWS = (("left", "lateral"), ("left", "medial"), ("right", "medial"), ("right", "lateral"))


def draw(table: pd.DataFrame) -> list[Picture]:
    """Return a glass brain and inflated hemispheres; none outside standard space.

    Parameters
    ----------
    table
        From :func:`fornix.report.figures.maps.voxels`; subjects are averaged.
    """
    if not maps.has_places(table) or not table.attrs.get("space", "").startswith(STANDARD):
        return []
    means = table.groupby(maps.PLACE, as_index=False)["value"].mean()
    volume = np.zeros(table.attrs["shape"], dtype=np.float32)
    volume[means["i"], means["j"], means["k"]] = means["value"]
    known = np.zeros(table.attrs["shape"], dtype=np.uint8)
    known[means["i"], means["j"], means["k"]] = 1
    affine = np.array(table.attrs["affine"], dtype=float)
    image, mask = (nib.Nifti1Image(one, affine) for one in (volume, known))
    limit = max(0.05, float(np.nanpercentile(np.abs(means["value"]), 99)))
    n = table["subject"].nunique()
    who = f"mean over {n} subjects" if n > 1 else f"sub-{table['subject'].iloc[0]}"
    return [_glass(image, limit, who, table), _surface(image, mask, limit, who)]


def _glass(image: Any, limit: float, who: str, table: pd.DataFrame) -> Picture:
    from nilearn.plotting import plot_glass_brain  # only here: it takes seconds to import

    figure = plt.figure(figsize=(WIDTH, 2.7))
    plot_glass_brain(
        image, figure=figure, axes=(0.0, 0.0, 0.9, 1.0), display_mode="lyrz", plot_abs=False,
        cmap="RdBu_r", vmin=-limit, vmax=limit, colorbar=False, black_bg=False,
    )  # fmt: skip
    bar = figure.colorbar(
        _scale(limit), cax=figure.add_axes((0.925, 0.15, 0.01, 0.7)), label="Pearson's r"
    )
    bar.outline.set_visible(False)
    caption = f"Pearson's r of each voxel by the best layer of its region, {who}: the strongest "
    caption += f"value along the line of sight, in {table.attrs['space']}."
    return picture(figure, "Glass brain", caption, vector=False)


def _surface(image: Any, mask: Any, limit: float, who: str) -> Picture:
    from nilearn.datasets import load_fsaverage, load_fsaverage_data
    from nilearn.plotting import plot_surf_stat_map
    from nilearn.surface import vol_to_surf

    meshes = load_fsaverage(MESH)
    sulci = load_fsaverage_data(mesh=MESH, data_type="sulcal")
    figure, axes = plt.subplots(
        1, len(VIEWS), figsize=(WIDTH, 2.7), subplot_kw={"projection": "3d"}, layout="constrained"
    )
    for axis, (side, view) in zip(axes, VIEWS, strict=True):
        pial = meshes["pial"].parts[side]
        values = vol_to_surf(image, pial, mask_img=mask)
        plot_surf_stat_map(
            meshes["inflated"].parts[side], np.asarray(values), hemi=side, view=view,
            bg_map=sulci.data.parts[side], cmap="RdBu_r", vmin=-limit, vmax=limit, colorbar=False,
            engine="matplotlib", axes=axis, figure=figure,
        )  # fmt: skip
        axis.set_title(f"{side}, {view}", fontsize=8.5)
    colour_bar(figure, _scale(limit), list(axes), "Pearson's r", shrink=0.8)
    caption = f"The same on the inflated surface of {MESH}, {who}; grey where no voxel was scored."
    return picture(figure, "Inflated surface", caption, vector=False)


def _scale(limit: float) -> plt.cm.ScalarMappable:
    return plt.cm.ScalarMappable(plt.Normalize(-limit, limit), "RdBu_r")
