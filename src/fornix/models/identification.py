"""What identification is made from: the brain's dissimilarities, as in RSA."""

from fornix.models.rsa import brain_rdm, condensed, noise_whitener

__all__ = ["brain_rdm", "condensed", "noise_whitener"]
