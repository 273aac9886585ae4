"""EEG recordings to epochs."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fornix.preprocess.epochs import Modality, prepare_epochs
from fornix.preprocess.material import Material
from fornix.study.compute import Compute
from fornix.study.responses import EegResponses

SUFFIX = "eeg"
COMPANIONS = frozenset({"channels", "electrodes", "coordsystem"})
MICROVOLT = 1e6


def prepare(
    section: EegResponses, material: Material, resources: Compute
) -> tuple[xr.Dataset, dict[str, Any]]:
    """Return a subject's epochs; see :func:`fornix.preprocess.epochs.prepare_epochs`."""
    del resources  # the work is bounded by one run

    def too_large(epochs: NDArray[np.float64], kinds: NDArray[Any]) -> NDArray[np.bool_]:
        del kinds
        limit = section.reject or np.inf
        return np.asarray(np.ptp(epochs, axis=2).max(axis=1) * MICROVOLT > limit)

    detail = f"peak-to-peak above {section.reject:g} µV" if section.reject else ""
    modality = Modality(
        SUFFIX, lambda kinds: np.full(len(kinds), MICROVOLT), "µV", too_large, detail
    )
    return prepare_epochs(section, material, modality)
