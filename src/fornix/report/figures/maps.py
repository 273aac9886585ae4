"""Scores of single voxels, and slices through the brain that show them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fornix.report.figures.canvas import (
    ALPHA,
    INK,
    WIDTH,
    Picture,
    colour_bar,
    panels,
    picture,
    shortened,
)
from fornix.report.material import Material, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

MAX_SUBJECTS = 6
MAX_SLICES = 8
MAX_SIDE_BY_SIDE = 4
PLACE = ["i", "j", "k"]


def voxels(
    material: Material, fit: str, best: Mapping[str, str], metric: str = "pearson_r"
) -> pd.DataFrame:
    """Return one row a unit: subject, roi, value by its region's best target, ceiling, place.

    Parameters
    ----------
    material
        The study.
    fit
        A fit with maps.
    best
        Region -> target. Units of other regions are left out.
    metric
        Of the values. ``ceiling`` and ``p`` (corrected, where
        that was asked for) are there if the maps have them.

    Returns
    -------
    pandas.DataFrame
        Empty if the fit has no maps. Where units are voxels, with ``i``, ``j``, ``k``, and the
        volume's ``shape`` and ``affine`` in ``attrs``.
    """
    artifact = material.artifact(f"scores/{fit}")
    found = []
    for subject in material.subjects(fit):
        if f"maps-{subject}.zarr" not in artifact.manifest["parts"]:
            continue
        data = artifact.dataset(f"maps-{subject}").load()
        if "roi" not in data.coords:
            continue
        targets, roi = words(data["target"]), np.array(words(data["roi"]), dtype=object)
        which = np.array([targets.index(best[r]) if best.get(r) in targets else -1 for r in roi])
        rows = np.flatnonzero(which >= 0)
        values = {"value": data[metric].values[which[rows], rows]}
        if "ceiling" in data:
            values["ceiling"] = data["ceiling"].values[rows]
        if p := next((name for name in ("p_corrected", "p") if name in data), None):
            values["p"] = data[p].values[which[rows], rows]
        if set(PLACE) <= set(data.coords) and "volume_shape" in data.attrs:
            values |= {axis: data[axis].values[rows] for axis in PLACE}
        table = pd.DataFrame({"subject": subject, "roi": roi[rows], **values})
        table.attrs = {"shape": listed(data.attrs.get("volume_shape"))}
        table.attrs["affine"] = listed(data.attrs.get("affine"))
        table.attrs["space"] = str(data.attrs.get("space", ""))
        found.append(table)
    if not found:
        return pd.DataFrame()
    attrs, same = found[0].attrs, all(one.attrs == found[0].attrs for one in found)
    for one in found:
        one.attrs = {}
    joined = pd.concat(found, ignore_index=True)
    if not same:  # every subject in a space of its own: one set of slices doesn't fit all
        joined = joined.drop(columns=PLACE, errors="ignore")
    joined.attrs = attrs if same else {}
    return joined


def listed(value: Any) -> list[Any]:
    """Return an attribute of zarr as a list: it may hold JSON."""
    if value is None:
        return []
    return list(json.loads(value)) if isinstance(value, str) else np.asarray(value).tolist()


def slices(table: pd.DataFrame, what: str, unit: str = "Pearson's r") -> list[Picture]:
    """Return axial slices of scores, a row a subject: left is left, front is up.

    Parameters
    ----------
    table
        From :func:`voxels`.
    what
        What is shown, for the caption.
    unit
        The score's name.
    """
    if not has_places(table):
        return []
    subjects = list(dict.fromkeys(table["subject"]))[:MAX_SUBJECTS]
    rows = {f"sub-{one}": table[table["subject"] == one] for one in subjects}
    caption = f"Axial slices, {what}, in the space of the recordings. L: left; front is up."
    more = table["subject"].nunique() - len(subjects)
    caption += f" The first {len(subjects)} subjects; {more} more aren't drawn." if more else ""
    attrs = {str(name): value for name, value in table.attrs.items()}
    figure = mosaic(rows, attrs, unit, least=0.05)
    return [picture(figure, "Brain slices", caption)]


def above_chance(material: Material, fit: str, target: str, unit: str) -> list[Picture]:
    """Return slices of the group's mean where it was found above chance; none without a test.

    Parameters
    ----------
    material
        The study.
    fit
        A fit with maps.
    target
        The layer that is shown.
    unit
        The score's name.
    """
    artifact = material.artifact(f"scores/{fit}")
    if "maps-group.zarr" not in artifact.manifest["parts"]:
        return []
    data = artifact.dataset("maps-group").load()
    if not set(PLACE) <= set(data.coords) or target not in words(data["target"]):
        return []
    row = words(data["target"]).index(target)
    p = data["p_corrected" if "p_corrected" in data else "p"].values[row]
    found = p < ALPHA
    value = np.where(found, data[next(iter(data.data_vars))].values[row], 0)
    table = pd.DataFrame({"value": value} | {axis: data[axis].values for axis in PLACE})
    attrs = {
        "shape": listed(data.attrs.get("volume_shape")),
        "affine": listed(data.attrs["affine"]),
    }
    figure = mosaic({"group": table}, attrs, unit, least=0.05)
    corrected = "" if "p_corrected" not in data else f" ({material.study.scores.correction})"
    caption = (
        f"{unit} of {target}, mean over {data.attrs['n_subjects']} subjects, where p < {ALPHA}"
    )
    caption += f"{corrected}: {int(found.sum())} of {len(found)} voxels. White: not above chance."
    return [picture(figure, "Voxels above chance", caption)]


def has_places(table: pd.DataFrame) -> bool:
    """Return whether units are voxels of one volume, so that slices can be drawn."""
    return set(PLACE) <= set(table) and len(table.attrs.get("shape", [])) == 3


def mosaic(
    rows: Mapping[str, pd.DataFrame], attrs: Mapping[str, Any], unit: str, *, least: float = 0.0
) -> Canvas:
    """Return a canvas of axial slices, a row a volume, with one scale of colours around 0.

    Parameters
    ----------
    rows
        Label -> one line a voxel: ``value`` and the places ``i``, ``j``, ``k``.
    attrs
        ``shape`` and ``affine`` of the volumes.
    unit
        What colours mean.
    least
        The scale reaches at least so far.
    """
    affine = np.array(attrs["affine"] or np.eye(4), dtype=float)
    turned = {k: _turned(_volume(one, attrs["shape"]), affine) for k, one in rows.items()}
    heights = next(iter(turned.values()))[1]
    filled = np.isfinite(np.stack([volume for volume, _ in turned.values()])).any((0, 1, 2))
    used = np.flatnonzero(filled)
    places = np.linspace(0, len(used) - 1, min(MAX_SLICES, len(used))).round().astype(int)
    chosen = used[np.unique(places)]
    box = _box([volume for volume, _ in turned.values()])
    extent = (box[0].stop - box[0].start) / (box[1].stop - box[1].start)  # width over height
    values = np.concatenate([one["value"].to_numpy(float) for one in rows.values()])
    limit = max(least, float(np.nanpercentile(np.abs(values), 99))) or 1.0
    # A row a volume; volumes of one slice lie side by side.
    columns = len(chosen) if len(chosen) > 1 else min(len(rows), MAX_SIDE_BY_SIDE)
    width = min(WIDTH, max(4.0, 1.0 + 2.4 * columns))
    height = min(2.6, (width - 0.8) / columns / extent + 0.3)
    figure: Canvas
    figure, axes = panels(len(rows) * len(chosen), columns=columns, width=width, height=height)
    image = None
    for number, axis in enumerate(axes):
        label, place = list(rows)[number // len(chosen)], chosen[number % len(chosen)]
        plane = turned[label][0][:, :, place][box]
        image = axis.imshow(
            plane.T, origin="lower", cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="none"
        )
        axis.set_facecolor("#f2f4f6")
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_visible(False)
        height_mm = f"z = {heights[place]:.0f} mm"
        if len(chosen) == 1:
            axis.set_title(f"{shortened(label)}, {height_mm}", fontsize=8.5, loc="center")
        elif number < len(chosen):
            axis.set_title(height_mm, fontsize=8.5, loc="center")
        if number % columns == 0:
            axis.set_ylabel(shortened(label) if len(chosen) > 1 else "", color=INK)
            axis.text(0.03, 0.03, "L", transform=axis.transAxes, fontsize=7.5, color=INK)
    n_rows = -(-len(axes) // columns)
    colour_bar(figure, image, axes, unit, shrink=min(1.0, 2.2 / (height * n_rows)))
    return figure


def _volume(table: pd.DataFrame, shape: list[int]) -> NDArray[np.float64]:
    volume = np.full([int(size) for size in shape], np.nan)
    volume[table["i"], table["j"], table["k"]] = table["value"]
    return volume


def _turned(
    volume: NDArray[np.float64], affine: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a volume with axes to the right, to the front and up, and the heights in mm."""
    image = nib.as_closest_canonical(nib.Nifti1Image(volume, affine))
    up = np.arange(image.shape[2])
    middle = [(size - 1) / 2 for size in image.shape[:2]]
    voxels = np.stack([np.full(len(up), middle[0]), np.full(len(up), middle[1]), up], axis=1)
    heights = nib.affines.apply_affine(image.affine, voxels)[:, 2]
    return np.asarray(image.dataobj), heights


def _box(volumes: list[NDArray[np.float64]]) -> tuple[slice, slice]:
    """Return the part of the plane that has voxels, with a margin of one."""
    filled = np.asarray(np.isfinite(np.stack(volumes)).any((0, 3)))
    found = []
    for axis in (1, 0):
        used = np.flatnonzero(filled.any(axis))
        found.append(slice(max(0, used[0] - 1), min(filled.shape[1 - axis], used[-1] + 2)))
    return found[0], found[1]
