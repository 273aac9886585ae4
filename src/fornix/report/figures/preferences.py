"""What voxels prefer: the weights of a model whose features are categories, in slices."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from fornix.report.figures import maps
from fornix.report.figures.canvas import Picture, picture
from fornix.report.material import Material

MAX_CATEGORIES = 10
WEIGHTS = "weights.safetensors"


def draw(material: Material, fit: str) -> list[Picture]:
    """Return a mosaic of the first subject for each layer of categories; none for others.

    Parameters
    ----------
    material
        The study.
    fit
        An encoding fit by a linear model: ``<target>/coef`` are its weights.
    """
    subjects = material.subjects(fit)
    if not subjects:
        return []
    artifact = material.artifact(f"fit/{fit}/{subjects[0]}")
    if WEIGHTS not in artifact.manifest["parts"]:
        return []
    data = artifact.dataset(artifact.share("predictions", subjects[0]))
    if not {*maps.PLACE} <= set(data.coords) or "volume_shape" not in data.attrs:
        return []
    weights = None
    found = []
    for target, labels in _categories(material, fit).items():
        weights = load_file(artifact.part(WEIGHTS)) if weights is None else weights
        coef = weights.get(f"{target}/coef")
        if coef is None or len(coef) != len(labels):
            continue
        # A category's weight says little by itself: the intercept shares it with all of them.
        own = np.asarray(coef, dtype=np.float64) - coef.mean(0, dtype=np.float64)
        table = pd.DataFrame({axis: data[axis].values for axis in maps.PLACE})
        attrs = {k: maps.listed(data.attrs.get(v)) for k, v in
                 (("shape", "volume_shape"), ("affine", "affine"))}  # fmt: skip
        rows = {name: table.assign(value=own[i]) for i, name in enumerate(labels)}
        unit = str(data.attrs.get("units", "")) or "weight"
        figure = maps.mosaic(rows, attrs, unit)
        caption = f"Weights of {target} in sub-{subjects[0]}, each category against the mean of "
        caption += "all: red where a category's response is higher than the others'. The model is "
        caption += "fitted to all samples. L: left; front is up."
        top = (f"{name}: {np.abs(own[i]).max():.2f} at most" for i, name in enumerate(labels))
        found.append(picture(figure, "Category maps", caption, alt="; ".join(top)))
    return found


def _categories(material: Material, fit: str) -> dict[str, list[str]]:
    """Return target -> names of its features, for layers that are a few categories."""
    found = {}
    for name in getattr(material.study.fits[fit], "features", []):
        key = f"features/{name}"
        if key not in material.inputs:
            continue
        attrs = material.artifact(key).dataset("features").attrs
        for layer, labels in json.loads(attrs.get("layer_labels", "{}")).items():
            if 2 < len(labels) <= MAX_CATEGORIES:
                found[f"{name}/{layer}"] = [str(label) for label in labels]
    return found
