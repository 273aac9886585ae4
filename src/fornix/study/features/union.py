"""All kinds of ``features``; a new kind is a module beside this one and a line here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fornix.study.features.columns import ColumnFeatures
from fornix.study.features.gabor import GaborFeatures
from fornix.study.features.huggingface import HuggingFaceFeatures
from fornix.study.features.pixels import PixelFeatures
from fornix.study.features.words import WordFeatures

Features = Annotated[
    ColumnFeatures | PixelFeatures | GaborFeatures | HuggingFaceFeatures | WordFeatures,
    Field(discriminator="kind"),
]
