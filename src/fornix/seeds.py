"""Random numbers that depend on what they are for, never on the order of the calls."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return a generator for one purpose: the same on any machine, in any order of jobs.

    Parameters
    ----------
    seed
        The study's seed.
    purpose
        Words that tell this use from others (stage, subject, fold).
    """
    import numpy as np

    text = "\0".join(str(word) for word in (seed, *purpose))
    entropy = int.from_bytes(
        hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
    )
    return np.random.default_rng(entropy)
