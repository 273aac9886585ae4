"""Volumes as samples, for stimuli that go on and on: a story, a film."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

VOLUMES = "volumes"
"""Attribute ``samples`` of responses whose samples follow one another in time."""


def volume_events(times: npt.NDArray[np.float64]) -> pd.DataFrame:
    """Return a run's volumes as a table with one row a sample.

    Parameters
    ----------
    times : array (volume,)
        Acquisition times, s: where a volume's interval starts.

    Returns
    -------
    DataFrame
        ``onset``, which is that time, and ``duration``, the repetition time (s).
    """
    return pd.DataFrame({"onset": times, "duration": np.diff(times[:2])[0]})


def shown_events(events: pd.DataFrame) -> pd.DataFrame:
    """Return the events that features are aligned by: the part ``events.parquet``."""
    kept = [name for name in events.columns if name not in ("file", "row")]
    return events[kept].sort_values(["recording", "onset"], kind="stable", ignore_index=True)
