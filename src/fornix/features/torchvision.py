"""Layers of a torchvision model, all in one forward pass.

Layers are named ``embeddings``, ``block1`` to ``blockN`` and ``pooler`` (what enters the last
linear layer); ``logits`` and the path of any module are given when asked for. Pictures are
prepared by the transforms that torchvision publishes with the weights.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from fornix.devices import settings, torch_device
from fornix.errors import FornixError, did_you_mean
from fornix.features.extractor import Context
from fornix.features.forward import TorchExtractor
from fornix.features.modality import require
from fornix.features.network import Network
from fornix.features.picture_networks import LOGITS, Run, Tower, Transformed
from fornix.features.readouts import check_readouts, has_class_token
from fornix.features.taps import first_tensor
from fornix.features.weight_files import draw_digest, drawing, library, local_file, told
from fornix.store.digests import combine, file_digest
from fornix.study.features.torchvision import TorchvisionFeatures

OLD_DENSE = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)")
"""How the published weights of DenseNet write ``norm1`` and ``conv1``: ``norm.1``, ``conv.1``."""


@contextmanager
def open_extractor(
    section: TorchvisionFeatures, rows: pd.DataFrame, context: Context
) -> Iterator[TorchExtractor]:
    """Load the model and find its layers.

    Raises
    ------
    FornixError
        If torchvision or the model isn't there, the stimuli are no pictures, or the model lacks
        what a readout asks for.
    """
    where = _where(section)
    require(rows, "image", what=section.model, where=where)
    device = torch_device(context.resources)
    with settings(context.resources.threads):
        model = load_model(section)
        network = Network(
            model=model,
            prepare=Transformed(picture_transform(section), context.root, where),
            outputs=Tower(
                model,
                _ends(model),
                where,
                places_first=type(model).__name__ == "SwinTransformer",
                compile=section.compile,
            ),
            where=where,
            prefix=int(has_class_token(model)),
            optional=(LOGITS,),
        )
        check_readouts(section.readouts, "image", model, None, where=where)
        model.to(device)
        yield TorchExtractor(network, section, rows, context, device)


def fingerprint(section: TorchvisionFeatures) -> str:
    """Return the digest of the weights and the name of their transforms, or of what draws them."""
    published = _published(section)
    parts = [("weights", str(published))]
    if section.init == "random":
        drawn = draw_digest(section.model, section.config, section.seed, "torchvision")
        parts.append(("init", drawn))
    else:
        parts.append(("file", file_digest(_file(section))))
    return combine(parts)


def load_model(section: TorchvisionFeatures) -> Any:
    """Return the model, in evaluation mode, float32, on the CPU.

    Raises
    ------
    FornixError
        If torchvision doesn't know it, or its weights aren't there or don't fit.
    """
    from safetensors.torch import load_file

    where, published = _where(section), _published(section)
    from torchvision import models

    arguments = _arguments(section, published)
    with told("torchvision", where), drawing(section.seed):
        model = models.get_model(section.model, weights=None, **arguments)
        if section.init == "pretrained":
            path = _file(section)
            safe = section.weights_file is not None
            state = load_file(path) if safe else torch.load(path, "cpu", weights_only=True)
            model.load_state_dict({OLD_DENSE.sub(r"\1\2", k): v for k, v in state.items()})
    return model.eval()


def _arguments(section: TorchvisionFeatures, published: Any) -> dict[str, Any]:
    """Return the arguments that torchvision derives from published weights, and the section's."""
    found: dict[str, Any] = {}
    if section.model.startswith("vit_"):
        found["image_size"] = published.meta["min_size"][0]
    if section.model in ("googlenet", "inception_v3"):
        trained = section.init == "pretrained"
        found = {"aux_logits": trained, "transform_input": trained, "init_weights": not trained}
    return found | section.config


def picture_transform(section: TorchvisionFeatures) -> Any:
    """Return torchvision's transform of one picture for the weights."""
    transforms = _published(section).transforms
    size = section.config.get("image_size")
    if size is None:
        return transforms()
    return transforms(crop_size=size, resize_size=size)


def _ends(model: Any) -> Run:
    linear = [part for part in model.modules() if isinstance(part, torch.nn.Linear)]

    def run(pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        entering: list[torch.Tensor] = []
        handles = [
            part.register_forward_pre_hook(lambda _, inputs: entering.append(inputs[0]))
            for part in linear[-1:]
        ]
        try:
            logits = first_tensor(model(pixels))
        finally:
            for handle in handles:
                handle.remove()
        ends = {"pooler": entering[0] if entering else None, LOGITS: logits}
        return {name: one for name, one in ends.items() if one is not None}

    return run


def _published(section: TorchvisionFeatures) -> Any:
    """Return torchvision's entry of the weights; they needn't be here."""
    where = _where(section)
    library("torchvision", where)
    from torchvision import models

    known = models.list_models(module=models)
    if section.model not in known:
        problem = f"torchvision has no classification model '{section.model}'"
        mend = did_you_mean(section.model, known)
        raise FornixError(problem, where=where, mend=mend)
    every = models.get_model_weights(section.model)
    if section.weights not in every.__members__:
        problem = f"torchvision has no weights '{section.weights}' of {section.model}"
        mend = did_you_mean(section.weights, every.__members__)
        raise FornixError(problem, where=f"{where}: weights", mend=mend)
    return every[section.weights]


def _file(section: TorchvisionFeatures) -> Path:
    """Return the file of weights, downloaded if need be."""
    where = _where(section)
    if section.weights_file is not None:
        return local_file(section.weights_file, f"{where}: weights_file")
    if not section.pickled:
        problem = "torchvision publishes its weights as pickles, which could run code as they "
        problem += "are read"
        mend = "set pickled: true, which reads their tensors and nothing else; or write them "
        mend += "anew with safetensors.torch.save_file and name that file (weights_file)"
        raise FornixError(problem, where=where, mend=mend)
    url = str(_published(section).url)
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / url.rpartition("/")[2]
    if path.is_file():
        return path
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        problem = f"{path.name} isn't here, and HF_HUB_OFFLINE forbids fetching it"
        mend = f"where there is a network, fetch {url} into that folder"
        raise FornixError(problem, where=f"{where}; looked for in {folder}", mend=mend)
    digest = path.stem.rpartition("-")[2]  # torchvision's names end in the start of it
    folder.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=digest, progress=False)
    except (OSError, RuntimeError) as error:
        problem = f"{url} can't be fetched: {error}"
        raise FornixError(problem, where=where, mend="check the network") from None
    return path


def _where(section: TorchvisionFeatures) -> str:
    return f"features (kind: torchvision, model: {section.model})"
