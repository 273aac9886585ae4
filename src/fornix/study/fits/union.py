"""All kinds of ``fits``; a new kind is a module beside this one and a line here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fornix.study.fits.backbone import BackboneFit
from fornix.study.fits.classifier import ClassifierFit
from fornix.study.fits.factorised import FactorisedFit
from fornix.study.fits.ridge import RidgeFit
from fornix.study.fits.rsa import RsaFit
from fornix.study.fits.shared_trunk import SharedTrunkFit
from fornix.study.fits.transformer_encoder import TransformerEncoderFit

Fit = Annotated[
    RidgeFit
    | TransformerEncoderFit
    | FactorisedFit
    | SharedTrunkFit
    | BackboneFit
    | ClassifierFit
    | RsaFit,
    Field(discriminator="kind"),
]
