"""Regions of interest: the label of every voxel, from label images or masks."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
import pandas as pd

from fornix.errors import FornixError, did_you_mean
from fornix.preprocess.companions import entity, matching
from fornix.preprocess.grids import IMAGES, Grid, labels_on, lies_on
from fornix.preprocess.material import Journal, Material, text
from fornix.study.responses import Rois

Names = npt.NDArray[np.str_]


def region_names(rois: Rois, grid: Grid, material: Material, journal: Journal) -> Names:
    """Return the region of every voxel.

    Parameters
    ----------
    rois
        The section.
    grid
        The recordings' grid, on which the images must lie.
    material, journal
        The subject's tables; what was done.

    Returns
    -------
    array (i, j, k) of str
        Region names; empty where there is none that was asked for.

    Raises
    ------
    FornixError
        If there is no such image, or no region of these names.
    """
    first = material.recordings.iloc[0]
    found = matching(
        material.companions, first, rois.suffix, extensions=IMAGES, description=rois.description
    )
    if rois.suffix == "dseg":
        path = _one(found, rois, grid, material)
        labels = _labels(path, grid, material)
    else:
        labels = _masks(found, rois, material)
    known = sorted(set(labels.values()))
    kept = [name for name in known if any(_like(name, pattern) for pattern in rois.names)]
    if not kept:
        problem = f"no region is called like {', '.join(rois.names)}"
        mend = did_you_mean(rois.names[0], known) if known else "the images hold no label"
        raise FornixError(problem, where="responses: rois.names", mend=mend)
    labels = {key: name for key, name in labels.items() if name in kept}
    journal.step(f"regions: {', '.join(kept)}")
    names = np.full(grid.shape, "", dtype=object)
    if rois.suffix == "dseg":
        image = labels_on(grid, material.root, path)
        for index, name in labels.items():
            names[image == index] = name
        return names.astype(np.str_)
    overlap = 0
    for mask, name in labels.items():
        inside = labels_on(grid, material.root, str(mask)) > 0
        free = inside & np.isin(names, ["", name])
        overlap += int(inside.sum() - free.sum())
        names[free] = name
    journal.exclude("", "voxel of a second region", overlap, "kept in the first, by file name")
    return names.astype(np.str_)


def _like(name: str, pattern: str) -> bool:
    return fnmatch(name.lower(), pattern.lower())


def _one(found: pd.DataFrame, rois: Rois, grid: Grid, material: Material) -> str:
    """Return the label image, of those on the recordings' grid if there are any."""
    if found.empty:
        raise _missing(rois, material)
    fitting = found[[lies_on(grid, material.root, str(path)) for path in found["path"]]]
    found = found if fitting.empty else fitting
    descriptions = sorted({text(value) for value in found["description"]})
    if len(descriptions) > 1:
        problem = f"there are {len(descriptions)} label images for these recordings"
        mend = "name one as `rois.description`: " + ", ".join(d or "(none)" for d in descriptions)
        raise FornixError(problem, where=", ".join(found["path"]), mend=mend)
    return str(found["path"].iloc[0])


def _labels(path: str, grid: Grid, material: Material) -> dict[int | str, str]:
    """Return label -> name; a label without a row in the table is called by its number."""
    table = _label_table(path, material)
    present = np.unique(labels_on(grid, material.root, path))
    return {int(index): table.get(int(index), str(index)) for index in present if index}


def _label_table(path: str, material: Material) -> dict[int, str]:
    """Read the ``index``/``name`` table beside a label image, or the one it inherits."""
    stem = path.removesuffix(".gz").removesuffix(".nii")
    beside = f"{stem}.tsv"
    tables = material.companions[
        (material.companions["suffix"] == "dseg") & (material.companions["extension"] == ".tsv")
    ]
    mine = set(PurePosixPath(stem).name.split("_"))
    candidates = [
        str(one)
        for one in tables["path"]
        if set(PurePosixPath(str(one)).name.removesuffix(".tsv").split("_")) <= mine
    ]
    candidates.sort(key=lambda one: (-len(PurePosixPath(one).name.split("_")), one))
    if (material.root / beside).is_file():
        candidates.insert(0, beside)
    if not candidates:
        return {}
    table = pd.read_csv(material.root / candidates[0], sep="\t")
    if not {"index", "name"} <= set(table.columns):
        problem = f"a label table needs the columns index and name; found {list(table.columns)}"
        mend = "write it as BIDS derivatives do: index, name (tab-separated)"
        raise FornixError(problem, where=candidates[0], mend=mend)
    return {int(i): str(n) for i, n in zip(table["index"], table["name"], strict=True)}


def _masks(found: pd.DataFrame, rois: Rois, material: Material) -> dict[int | str, str]:
    """Return path -> name of the masks that are regions, in the order of their paths."""
    named: dict[int | str, str] = {
        str(path): name
        for path in sorted(found["path"])
        if (name := _mask_name(str(path))) and name != "brain"
    }
    if not named:
        raise _missing(rois, material)
    return named


def _mask_name(path: str) -> str:
    name = entity(path, "label") or entity(path, "desc")
    hemisphere = entity(path, "hemi")
    return f"{name}_{hemisphere}" if name and hemisphere else name


def _missing(rois: Rois, material: Material) -> FornixError:
    wanted = f"{rois.suffix}" + (f" with desc-{rois.description}" if rois.description else "")
    images = material.companions[material.companions["extension"].isin(list(IMAGES))]
    known = ", ".join(map(str, images["path"].head(8))) or "none"
    problem = f"there is no {wanted} image for sub-{material.subject} in the recordings' space"
    mend = f"mend `rois`, or leave it out; the dataset's masks and label images: {known}"
    return FornixError(problem, where="responses: rois", mend=mend)
