"""What a model predicts from: each layer's features, a row a sample, and targets made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from fornix.errors import FornixError, did_you_mean
from fornix.solvers.panels import Delayed
from fornix.study.fits.encoding import Align, SpacesSection
from fornix.training.alignment import align, points_of
from fornix.training.samples import feature_layers, feature_rows, rows_of

if TYPE_CHECKING:
    from fornix.study.fits.encoding import EncodingSection

JOINT = "joint"


def features_of_stimuli(
    features: Mapping[str, xr.Dataset], stimuli: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    """Return ``<features>/<layer>`` -> (stimulus, ...) of the stimuli named, as it is stored.

    Raises
    ------
    FornixError
        If a stimulus has no features, has several rows of them, or they aren't finite.
    """
    found = {}
    for name, one in features.items():
        if "time" in one.coords:
            problem = f"features '{name}' have a row a frame, and a sample needs one a stimulus"
            mend = "leave `rate` out of the features, or take samples that go on (volumes)"
            raise FornixError(problem, where=f"features {name}", mend=mend)
        rows = rows_of(stimuli, one, name=name)
        for layer in feature_layers(one):
            found[f"{name}/{layer}"] = _finite(one[layer].values, rows, name, layer)[rows]
    return found


def features_of_samples(
    features: Mapping[str, xr.Dataset],
    events: pd.DataFrame,
    samples: pd.DataFrame,
    settings: Align | None,
) -> dict[str, NDArray[Any] | Delayed]:
    """Return ``<features>/<layer>`` -> (sample, delay * feature), aligned in time.

    Parameters
    ----------
    features
        Name -> features, a row a stimulus or a frame.
    events
        ``recording``, ``onset``, ``duration`` (s) and ``stimulus``, None where there is none.
    samples
        ``recording``, ``onset`` and ``duration`` (s) of each sample.
    settings
        How; None convolves with an HRF.

    Raises
    ------
    FornixError
        If no event names a stimulus, one has no features, or features aren't finite.
    """
    shown = events[events["stimulus"].notna()]
    if shown.empty:
        problem = "no event of the recordings names a stimulus"
        mend = "name the events column with datasets.<name>.stimuli.column"
        raise FornixError(problem, where="fit", mend=mend)
    found: dict[str, NDArray[Any] | Delayed] = {}
    for name, one in features.items():
        rows_of(shown["stimulus"].to_numpy(), one, name=name)
        rows = feature_rows(one)
        points = points_of(shown, rows)
        operator = align(settings or Align(), samples, points, len(rows))
        used = np.unique(points["row"].to_numpy())
        for layer in feature_layers(one):
            values = _finite(one[layer].values, used, name, layer)
            values = values.reshape(len(values), -1)
            found[f"{name}/{layer}"] = operator(np.where(np.isfinite(values), values, 0))
    return found


def targets_of(
    section: EncodingSection, layers: Sequence[str]
) -> tuple[dict[str, list[str]], list[str]]:
    """Return the targets, as target -> the layers that it has side by side, and the spaces.

    Each layer is a target. With ``joint``, so is each space that has a name, all of them
    together, and all but each one.

    Raises
    ------
    FornixError
        If a space names a layer that isn't there, or there is one space only.
    """
    targets = {layer: [layer] for layer in layers}
    if not isinstance(section, SpacesSection) or not section.joint:
        return targets, []
    spaces = {layer: [layer] for layer in layers}
    if section.spaces:
        spaces = {name: _matching(name, wanted, layers) for name, wanted in section.spaces.items()}
    if len(spaces) < 2:
        problem = f"joint puts spaces together, and there is one: {', '.join(spaces)}"
        raise FornixError(problem, where="fits: joint", mend="name more features or spaces")
    targets |= spaces
    targets[JOINT] = [layer for mine in spaces.values() for layer in mine]
    for left_out in spaces:
        others = (mine for name, mine in spaces.items() if name != left_out)
        targets[f"{JOINT}-{left_out}"] = [layer for mine in others for layer in mine]
    return targets, list(spaces)


def bands_of(spaces: Sequence[str]) -> dict[str, list[str]]:
    """Return target -> its spaces, of the targets that are made of several."""
    if not spaces:
        return {}
    without = {f"{JOINT}-{one}": [name for name in spaces if name != one] for one in spaces}
    return {JOINT: list(spaces)} | without


def _matching(name: str, wanted: Sequence[str], layers: Sequence[str]) -> list[str]:
    for pattern in wanted:
        if not any(fnmatch(layer, pattern) for layer in layers):
            problem = f"there is no layer like '{pattern}'"
            mend = did_you_mean(pattern, layers)
            raise FornixError(problem, where=f"fits: spaces.{name}", mend=mend)
    return [layer for layer in layers if any(fnmatch(layer, pattern) for pattern in wanted)]


def _finite(values: NDArray[Any], rows: NDArray[np.intp], name: str, layer: str) -> NDArray[Any]:
    """Return a layer, (row, ...), that is finite in the rows that are used."""
    used = values[np.unique(rows)].reshape(len(np.unique(rows)), -1)
    if bad := int((~np.isfinite(used)).any(1).sum()):
        problem = f"layer {layer} has values that aren't finite for {bad} stimuli"
        mend = "leave the layer or these stimuli out"
        raise FornixError(problem, where=f"features {name}", mend=mend)
    return values
