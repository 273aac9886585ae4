"""The files that belong to a recording: masks, labels and tables, by BIDS inheritance."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from fornix.preprocess.material import text

SCOPE = ("subject", "session", "task", "run", "space")
_FURTHER = re.compile(r"(?:^|_)(acq|ce|dir|echo|rec|part)-([A-Za-z0-9+]+)")


def matching(
    companions: pd.DataFrame,
    recording: pd.Series,
    suffix: str,
    *,
    extensions: tuple[str, ...],
    description: str | None = None,
) -> pd.DataFrame:
    """Return the companions that apply to a recording, the most specific first.

    A file applies if each entity that it names is the recording's (the BIDS inheritance
    principle). Raw recordings name no space, and may use a file that does: whether it lies on
    their grid is for the reader to check.

    Parameters
    ----------
    companions, recording
        Rows of the ingest tables.
    suffix
        BIDS suffix.
    extensions
        Allowed endings, with their dot.
    description
        The desc entity that it must have; None: any.
    """
    found = companions[
        (companions["suffix"] == suffix) & companions["extension"].isin(list(extensions))
    ]
    if description is not None:
        found = found[found["description"].map(text) == description]
    applies = [_applies(one, recording) for _, one in found.iterrows()]
    found = found[np.array(applies, dtype=bool)]
    specific = [sum(bool(text(one.get(key))) for key in SCOPE) for _, one in found.iterrows()]
    order = sorted(range(len(found)), key=lambda i: (-specific[i], str(found["path"].iloc[i])))
    return found.iloc[order].reset_index(drop=True)


def _applies(companion: pd.Series, recording: pd.Series) -> bool:
    for key in SCOPE:
        named, own = text(companion.get(key)), text(recording.get(key))
        if named and own != named and (own or key != "space"):
            return False
    mine = dict(_FURTHER.findall(Path(str(recording["recording"])).name))
    theirs = dict(_FURTHER.findall(Path(str(companion["path"])).name))
    return all(mine.get(key) == value for key, value in theirs.items())


def entity(path: str, key: str) -> str:
    """Return an entity of a file name, or an empty string.

    Examples
    --------
    >>> entity("sub-01/anat/sub-01_hemi-L_label-V1_mask.nii.gz", "label")
    'V1'
    """
    found = re.search(rf"(?:^|_){key}-([A-Za-z0-9+]+)", Path(path).name)
    return found.group(1) if found else ""
