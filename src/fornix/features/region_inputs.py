"""Texts with the regions of a picture, for models that have no eyes of their own.

VisualBERT and LXMERT read vectors of regions that another network has found. Here these come
from another section of features that keeps tokens or places.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fornix.errors import FornixError
from fornix.features.network import Batch, Call, Rows
from fornix.features.text_inputs import Texts, load_tokenizer, longest_sequence
from fornix.store.artifact import Artifact
from fornix.study.features.huggingface import HuggingFaceFeatures

WIDTHS = {"visual_bert": "visual_embedding_dim", "lxmert": "visual_feat_dim"}
"""Architecture -> the setting that says how many features a region has."""


@dataclass(frozen=True)
class Regions:
    """Prepares each text with the regions of its picture.

    Attributes
    ----------
    texts
        Prepares the texts.
    prompts
        Name -> text that goes with every picture; empty: each has a text of its own.
    layer
        The other section's tokens or places, (stimulus, token, feature) or (stimulus, row,
        column, feature), read as they are needed.
    places
        Stimulus -> its position in ``layer``.
    boxed
        Whether the model is told where a region lies (LXMERT).
    """

    texts: Texts
    prompts: Mapping[str, str]
    layer: Any
    places: Mapping[str, int]
    boxed: bool

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of its texts."""
        return self.texts.tokenizer

    def plan(self, block: pd.DataFrame) -> list[list[Rows]]:
        """Return one input a picture; texts of the same length share batches, unpadded."""
        if self.prompts:
            return [[np.asarray([at]) for at in range(len(block))]]
        lengths = np.asarray([len(one) for one in self.texts.tokens([*block["text"].astype(str)])])
        return [
            [np.asarray([at]) for at in np.flatnonzero(lengths == n)] for n in np.unique(lengths)
        ]

    def __call__(self, inputs: Sequence[pd.DataFrame]) -> Batch:
        """Return the arguments of a forward pass for each prompt."""
        at = [self.places[str(one["stimulus"].iloc[0])] for one in inputs]
        regions = np.stack([np.asarray(self.layer[one]) for one in at])
        visual = self._visual(regions)
        if not self.prompts:
            own = [str(one["text"].iloc[0]) for one in inputs]
            return Batch({"": self._call(own, visual)})
        return Batch(
            {f"{k}:": self._call([v] * len(inputs), visual) for k, v in self.prompts.items()}
        )

    def _visual(self, regions: NDArray[np.float32]) -> dict[str, torch.Tensor]:
        flat = torch.from_numpy(regions.reshape(len(regions), -1, regions.shape[-1]))
        seen = torch.ones(flat.shape[:2])
        if not self.boxed:
            kinds = torch.ones(flat.shape[:2], dtype=torch.long)
            names = ("visual_embeds", "visual_attention_mask", "visual_token_type_ids")
            return dict(zip(names, (flat, seen, kinds), strict=True))
        boxes = torch.from_numpy(places_of(regions.shape[1], regions.shape[2]))
        boxes = boxes.expand(len(flat), -1, -1)
        return {"visual_feats": flat, "visual_pos": boxes, "visual_attention_mask": seen}

    def _call(self, texts: Sequence[str], visual: Mapping[str, torch.Tensor]) -> Call:
        ids = torch.tensor(self.texts.tokens(texts))
        mask = torch.ones_like(ids)
        return Call({"input_ids": ids, "attention_mask": mask, **visual})


def places_of(rows: int, columns: int) -> NDArray[np.float32]:
    """Return the boxes of a grid's places, row by row: left, top, right, bottom, 0 to 1.

    Examples
    --------
    >>> places_of(1, 2).tolist()
    [[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]]
    """
    top, left = (one.ravel() for one in np.mgrid[:rows, :columns])
    boxes = [left / columns, top / rows, (left + 1) / columns, (top + 1) / rows]
    return np.stack(boxes, axis=1).astype(np.float32)


def reads_regions(model: Any) -> bool:
    """Tell whether a model reads regions instead of a picture."""
    return model.config.model_type in WIDTHS


def prepare_regions(
    section: HuggingFaceFeatures, folder: Path | None, model: Any, source: Artifact | None,
    where: str,
) -> Regions:  # fmt: skip
    """Return what makes inputs of texts with regions.

    Raises
    ------
    FornixError
        If no section gives the regions, or they aren't what the model reads.
    """
    mend = "name in source a section of features with one layer and readouts: [tokens]"
    if source is None or "features.zarr" not in source.manifest["parts"]:
        problem = f"{section.model} reads the regions of a picture, which another network finds"
        raise FornixError(problem, where=f"{where}: source", mend=mend)
    if not section.prompts and section.text is None:
        mend = "give prompts, or text: a column of the stimulus table"
        problem = "a text is needed with every picture"
        raise FornixError(problem, where=where, mend=mend)
    dataset = source.dataset("features")
    layers = json.loads(dataset.attrs["layers"])
    boxed = model.config.model_type == "lxmert"
    dims = (4,) if boxed else (3, 4)  # LXMERT is told where a region lies
    if len(layers) != 1 or dataset[layers[0]].ndim not in dims:
        kept = "rows and columns" if boxed else "tokens"
        problem = f"features.{section.source} has {len(layers)} layers, such as {layers[0]}, of "
        problem += f"{dataset[layers[0]].ndim - 1} dimensions; one with {kept} is needed"
        raise FornixError(problem, where=f"{where}: source", mend=mend)
    layer = dataset[layers[0]]
    width = getattr(model.config, WIDTHS[model.config.model_type])
    if layer.shape[-1] != width:
        problem = f"the regions of features.{section.source} have {layer.shape[-1]} features, "
        problem += f"{section.model} reads {width}"
        mend = f"take a network whose layer has {width}, such as a ResNet's last block"
        raise FornixError(problem, where=f"{where}: source", mend=mend)
    tokenizer = load_tokenizer(section, folder, model)
    places = {str(name): at for at, name in enumerate(dataset["stimulus"].values)}
    texts = Texts(tokenizer, longest_sequence(model, tokenizer))
    return Regions(texts, section.prompts, layer, places, boxed)
