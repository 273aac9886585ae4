"""All kinds of ``fits``; a new kind is a module beside this one and a line here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fornix.study.fits.backbone import BackboneFit
from fornix.study.fits.banded_ridge import BandedRidgeFit
from fornix.study.fits.classifier import ClassifierFit
from fornix.study.fits.dino import DinoFit
from fornix.study.fits.elastic_net import ElasticNetFit
from fornix.study.fits.factorised import FactorisedFit
from fornix.study.fits.identification import IdentificationFit
from fornix.study.fits.pls import PlsFit
from fornix.study.fits.ridge import RidgeFit
from fornix.study.fits.rsa import RsaFit
from fornix.study.fits.searchlight import SearchlightFit
from fornix.study.fits.shared_trunk import SharedTrunkFit
from fornix.study.fits.stacked import StackedFit
from fornix.study.fits.transformer_encoder import TransformerEncoderFit

BrainFit = (
    RidgeFit
    | BandedRidgeFit
    | StackedFit
    | PlsFit
    | ElasticNetFit
    | TransformerEncoderFit
    | FactorisedFit
    | SharedTrunkFit
    | BackboneFit
    | ClassifierFit
    | RsaFit
    | SearchlightFit
    | IdentificationFit
)
"""Join responses with something, and are scored."""

PretrainingFit = DinoFit
"""Learn from stimuli alone."""

Fit = Annotated[BrainFit | PretrainingFit, Field(discriminator="kind")]
