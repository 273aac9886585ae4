"""All kinds of ``features``; a new kind is a module beside this one and a line here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fornix.study.features.captions import CaptionFeatures
from fornix.study.features.colour import ColourFeatures
from fornix.study.features.columns import ColumnFeatures
from fornix.study.features.envelope import EnvelopeFeatures
from fornix.study.features.gabor import GaborFeatures
from fornix.study.features.hog import HogFeatures
from fornix.study.features.huggingface import HuggingFaceFeatures
from fornix.study.features.motion_energy import MotionEnergyFeatures
from fornix.study.features.onnx import OnnxFeatures
from fornix.study.features.open_clip import OpenClipFeatures
from fornix.study.features.pixels import PixelFeatures
from fornix.study.features.spectrogram import SpectrogramFeatures
from fornix.study.features.surprisal import SurprisalFeatures
from fornix.study.features.timm import TimmFeatures
from fornix.study.features.torchvision import TorchvisionFeatures
from fornix.study.features.words import WordFeatures

Features = Annotated[
    ColumnFeatures
    | SpectrogramFeatures
    | MotionEnergyFeatures
    | HogFeatures
    | EnvelopeFeatures
    | ColourFeatures
    | PixelFeatures
    | GaborFeatures
    | HuggingFaceFeatures
    | OnnxFeatures
    | OpenClipFeatures
    | TimmFeatures
    | TorchvisionFeatures
    | CaptionFeatures
    | SurprisalFeatures
    | WordFeatures,
    Field(discriminator="kind"),
]
