"""The whole brain in standard space: scores through glass, on a template, on the surface."""

from __future__ import annotations

import warnings
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from numpy.typing import NDArray

from fornix.report.figures import maps
from fornix.report.figures.canvas import WIDTH, Picture, colour_bar, picture

STANDARD = "MNI"
"""How the labels of standard spaces begin in BIDS (MNI152NLin2009cAsym, MNI152NLin6Asym, ...)."""

MESH = "fsaverage5"
FAINT = 0.08
"""Of the scale's end: below it the surface shows its folds, and no colour."""
N_CUTS = 7
VIEWS: dict[str, tuple[tuple[str, Any], ...]] = {
    "inflated": (
        ("left", "lateral"), ("left", "medial"), ("right", "medial"), ("right", "lateral")
    ),
    "flat": (("left", (90, -90)), ("right", (90, -90))),
}  # fmt: skip
"""Mesh -> the hemispheres that are shown, and from where (elevation and azimuth, degrees)."""
HEIGHTS = {"inflated": 2.7, "flat": 4.0}
"""Mesh -> height of its picture, inches."""


def draw(
    table: pd.DataFrame,
    unit: str = "Pearson's r",
    what: str = "of each voxel by the best layer of its region",
) -> list[Picture]:
    """Return a glass brain, slices on a template, surfaces; none outside standard space.

    Parameters
    ----------
    table
        From :func:`fornix.report.figures.maps.voxels`; subjects are averaged.
    unit
        The score's name.
    what
        What it is the score of, for the caption.
    """
    if not maps.has_places(table) or not table.attrs.get("space", "").startswith(STANDARD):
        return []
    means = table.groupby(maps.PLACE, as_index=False)["value"].mean().dropna()
    volume = np.zeros(table.attrs["shape"], dtype=np.float32)
    volume[means["i"], means["j"], means["k"]] = means["value"]
    known = np.zeros(table.attrs["shape"], dtype=np.uint8)
    known[means["i"], means["j"], means["k"]] = 1
    affine = np.array(table.attrs["affine"], dtype=float)
    image, mask = (nib.Nifti1Image(one, affine) for one in (volume, known))
    limit = max(0.05, float(np.nanpercentile(np.abs(means["value"]), 99)))
    n = table["subject"].nunique()
    who = f"mean over {n} subjects" if n > 1 else f"sub-{table['subject'].iloc[0]}"
    template = _template(image, limit, who, unit)
    space = str(table.attrs["space"])
    glass = _glass(image, limit, f"{unit} {what}, {who}", unit, space=space)
    values = _on_surface(image, mask)
    surfaces = [_surface(mesh, values, limit, who, unit=unit) for mesh in VIEWS]
    return [glass, template, *surfaces]


def _glass(image: Any, limit: float, about: str, unit: str, *, space: str) -> Picture:
    from nilearn.plotting import plot_glass_brain  # only here: it takes seconds to import

    figure = plt.figure(figsize=(WIDTH, 2.7))
    plot_glass_brain(
        image, figure=figure, axes=(0.0, 0.0, 0.9, 1.0), display_mode="lyrz", plot_abs=False,
        cmap="RdBu_r", vmin=-limit, vmax=limit, colorbar=False, black_bg=False,
    )  # fmt: skip
    _bar(figure, limit, unit)
    caption = f"{about}: the strongest value along the line of sight, in {space}."
    return picture(figure, "Glass brain", caption, vector=False)


def _template(image: Any, limit: float, who: str, unit: str) -> Picture:
    from nilearn.plotting import plot_stat_map

    figure = plt.figure(figsize=(WIDTH, 1.9))
    plot_stat_map(
        image, figure=figure, axes=(0.005, 0.0, 0.895, 1.0), display_mode="z", cut_coords=N_CUTS,
        cmap="RdBu_r", vmin=-limit, vmax=limit, threshold=FAINT * limit, colorbar=False,
        black_bg=False, resampling_interpolation="nearest",
    )  # fmt: skip
    _bar(figure, limit, unit)
    caption = f"Axial slices on the MNI152 template, {who}; numbers: z in mm. No colour: no voxel "
    caption += f"was scored, or the score is within {FAINT * limit:.2f} of 0."
    return picture(figure, "Slices on the template", caption, vector=False)


def _on_surface(image: Any, mask: Any) -> dict[str, NDArray[np.float32]]:
    """Sample a volume between the white and the pial surface: hemisphere -> value a vertex."""
    from nilearn.datasets import load_fsaverage
    from nilearn.surface import vol_to_surf

    meshes = load_fsaverage(MESH)
    found = {}
    for side in ("left", "right"):
        white, pial = (meshes[name].parts[side] for name in ("white_matter", "pial"))
        with warnings.catch_warnings():  # vertices without a scored voxel have no mean
            warnings.simplefilter("ignore", RuntimeWarning)
            values = vol_to_surf(image, pial, inner_mesh=white, mask_img=mask)
        found[side] = np.asarray(values, dtype=np.float32)
    return found


def _surface(
    mesh: str, values: dict[str, NDArray[np.float32]], limit: float, who: str, *, unit: str
) -> Picture:
    from nilearn.datasets import load_fsaverage, load_fsaverage_data
    from nilearn.plotting import plot_surf_stat_map

    parts = load_fsaverage(MESH)[mesh].parts
    sulci = load_fsaverage_data(mesh=MESH, data_type="sulcal").data.parts
    figure, axes = plt.subplots(
        1, len(VIEWS[mesh]), figsize=(WIDTH, HEIGHTS[mesh]), subplot_kw={"projection": "3d"},
        layout="constrained",
    )  # fmt: skip
    for axis, (side, view) in zip(axes, VIEWS[mesh], strict=True):
        plot_surf_stat_map(
            parts[side], values[side], hemi=side, view=view, bg_map=sulci[side],
            cmap="RdBu_r", vmin=-limit, vmax=limit, threshold=FAINT * limit, colorbar=False,
            engine="matplotlib", axes=axis, figure=figure,
        )  # fmt: skip
        axis.set_title(f"{side}, {view}" if isinstance(view, str) else side, fontsize=8.5)
    colour_bar(figure, _scale(limit), list(axes), unit, shrink=0.8)
    caption = f"The same on the {mesh} surface of {MESH}, {who}: sampled between the white and "
    caption += "the pial surface of the average brain. Grey, with sulci dark: no voxel was scored, "
    caption += f"or the score is within {FAINT * limit:.2f} of 0."
    if mesh == "flat":
        caption += " Cut along the calcarine sulcus and around the medial wall; up is up, the back "
        caption += "of both hemispheres is in the middle."
    return picture(figure, f"{mesh.capitalize()} surface", caption, vector=False)


def _bar(figure: Any, limit: float, unit: str) -> None:
    """Draw the scale beside what nilearn has laid out."""
    place = figure.add_axes((0.925, 0.15, 0.01, 0.7))
    bar = figure.colorbar(_scale(limit), cax=place, label=unit)
    bar.outline.set_visible(False)


def _scale(limit: float) -> plt.cm.ScalarMappable:
    return plt.cm.ScalarMappable(plt.Normalize(-limit, limit), "RdBu_r")
