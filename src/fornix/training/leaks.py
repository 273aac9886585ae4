"""What to tell of folds: fewer than asked for, or samples that know of each other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fornix.solvers.panels import Panels

if TYPE_CHECKING:
    from fornix.study.fits.encoding import EncodingSection
    from fornix.training.given import Given


def fold_notes(section: EncodingSection, given: Given) -> list[str]:
    """Return sentences on folds that aren't as the study asks for them.

    Parameters
    ----------
    section
        Settings.
    given
        Samples, features and folds.
    """
    notes = []
    grouping, asked = given.folds[0].grouping, section.cv.n_splits
    if asked is not None and len(given.folds) < asked:
        notes.append(
            f"{len(given.folds)} outer folds instead of {asked}: there are no more to hold out "
            f"({grouping})"
        )
    inner = min(len(np.unique(given.inner(train))) for train, _ in given.pairs)
    if inner < section.inner_splits:
        notes.append(
            f"{inner} inner folds instead of {section.inner_splits}: training samples are in no "
            f"more groups ({grouping})"
        )
    if grouping == "stimulus" and (count := repeated(given.features, given.table["fold"])):
        notes.append(
            f"{count} of {len(given.matrix)} samples have the same features as one in another "
            "fold, under another name: what is held out isn't new there, and scores are too high"
        )
    return notes


def repeated(features: Mapping[str, NDArray[Any] | Panels], fold: Any) -> int:
    """Return how many samples have, in all layers, the features of one in another fold.

    Layers whose samples are all alike say nothing.
    """
    fold = np.asarray(fold)
    digests = [hashlib.blake2b(digest_size=16) for _ in fold]
    layers = [values for values in features.values() if not isinstance(values, Panels)]
    # Few values (categories, counts) are shared by different stimuli.
    wide = [one for one in layers if len(np.unique(one.reshape(len(one), -1)[:, 0])) > len(one) / 2]
    if not wide:
        return 0
    for values in wide:
        for digest, row in zip(digests, np.ascontiguousarray(values), strict=True):
            digest.update(row.tobytes())
    names = np.unique([digest.hexdigest() for digest in digests], return_inverse=True)[1]
    first = np.full(names.max() + 1, -1)
    mixed = np.zeros(names.max() + 1, dtype=bool)
    for name, one in zip(names, fold, strict=True):
        mixed[name] |= first[name] not in {-1, one}
        first[name] = one
    return int(mixed[names].sum())
