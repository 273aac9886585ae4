"""MEG recordings to epochs."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fornix.errors import FornixError
from fornix.preprocess.epochs import Modality, prepare_epochs
from fornix.preprocess.material import Material
from fornix.study.compute import Compute
from fornix.study.responses import MegResponses

SUFFIX = "meg"
COMPANIONS = frozenset({"channels", "coordsystem"})
FACTORS = {"mag": 1e15, "grad": 1e13}
"""T to fT; T/m to fT/cm."""

UNITS = {"mag": "fT", "grad": "fT/cm"}


def prepare(
    section: MegResponses, material: Material, resources: Compute
) -> tuple[xr.Dataset, dict[str, Any]]:
    """Return a subject's epochs; see :func:`fornix.preprocess.epochs.prepare_epochs`.

    Raises
    ------
    FornixError
        Also if magnetometers and gradiometers are to be left in units of their own, which no
        model can weigh against each other.
    """
    del resources  # the work is bounded by one run

    def factors(kinds: NDArray[Any]) -> NDArray[np.float64]:
        if section.scale == "none" and len(set(kinds)) > 1 and section.whiten == "none":
            problem = (
                f"channels of different units together, unscaled: {', '.join(sorted(set(kinds)))}"
            )
            mend = "set scale: robust, or whiten: mvnn, or pick one type of channels"
            raise FornixError(problem, where="responses: scale", mend=mend)
        return np.array([FACTORS.get(str(kind), 1.0) for kind in kinds])

    def too_large(epochs: NDArray[np.float64], kinds: NDArray[Any]) -> NDArray[np.bool_]:
        limits = np.array([section.reject.get(kind, np.inf) for kind in kinds])
        spans = np.ptp(epochs, axis=2) * factors(kinds)
        return np.asarray((spans > limits).any(axis=1))

    limits = ", ".join(f"{limit:g} {UNITS[kind]}" for kind, limit in section.reject.items())
    detail = f"peak-to-peak above {limits}" if limits else ""
    unit = "/".join(dict.fromkeys(UNITS.get(pick, "fT") for pick in section.picks))
    located = section.positions == "required"
    modality = Modality(SUFFIX, factors, unit, too_large, detail, located)
    return prepare_epochs(section, material, modality)
