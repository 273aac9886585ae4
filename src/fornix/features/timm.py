"""Layers of a timm model, all in one forward pass.

Layers are named ``embeddings``, ``block1`` to ``blockN`` and ``pooler`` (what enters the
classifier); ``logits`` and the path of any module are given when asked for. Pictures are
prepared as timm says of the weights (``timm.data.resolve_model_data_config``).
"""

from __future__ import annotations

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
from fornix.features.readouts import check_readouts
from fornix.features.taps import first_tensor
from fornix.features.weight_files import (
    draw_digest,
    drawing,
    hub_file,
    library,
    local_file,
    safe_names,
    told,
)
from fornix.store.digests import combine, file_digest
from fornix.study.features.timm import TimmFeatures

HUB = "hf-hub:"


@contextmanager
def open_extractor(
    section: TimmFeatures, rows: pd.DataFrame, context: Context
) -> Iterator[TorchExtractor]:
    """Load the model and find its layers.

    Raises
    ------
    FornixError
        If timm or the model isn't there, the stimuli are no pictures, or the model lacks what a
        readout asks for.
    """
    where = _where(section)
    require(rows, "image", what=section.model, where=where)
    device = torch_device(context.resources)
    with settings(context.resources.threads):
        model = load_model(section)
        if section.init == "pretrained" and section.weights is None and section.revision is None:
            context.notes.append(f"{section.model}: no revision of its weights is pinned")
        network = Network(
            model=model,
            prepare=Transformed(picture_transform(section, model), context.root, where),
            outputs=Tower(
                model,
                _ends(model),
                where,
                places_first=getattr(model, "output_fmt", "") == "NHWC",
                compile=section.compile,
            ),
            where=where,
            prefix=_prefix(model),
            optional=(LOGITS,),
        )
        check_readouts(section.readouts, "image", _read_as(model), None, where=where)
        model.to(device)
        yield TorchExtractor(network, section, rows, context, device)


def fingerprint(section: TimmFeatures) -> str:
    """Return the digest of the weights and their config, or of what draws them."""
    parts = [(path.name, file_digest(path)) for path in _files(section)]
    if section.init == "random":
        drawn = draw_digest(section.model, section.config, section.seed, "timm")
        parts.append(("init", drawn))
    return combine(parts)


def load_model(section: TimmFeatures) -> Any:
    """Return the model, in evaluation mode, float32, on the CPU.

    Raises
    ------
    FornixError
        If timm doesn't know it, or its weights aren't there or don't fit.
    """
    where = _where(section)
    timm = library("timm", where)
    name = _known(section)
    overlay: dict[str, Any] = {}
    if section.init == "pretrained":
        # timm's own loading, but of a file that is known to hold no code.
        overlay = {"file": str(_weights(section)), "source": "file", "custom_load": False}
        if "num_classes" in section.config:
            overlay["num_classes"] = section.config["num_classes"]
    with told("timm", where), drawing(section.seed):
        return timm.create_model(
            name, pretrained=bool(overlay), pretrained_cfg_overlay=overlay, **section.config
        ).eval()


def picture_transform(section: TimmFeatures, model: Any) -> Any:
    """Return timm's transform of one picture for the model."""
    from timm.data import create_transform, resolve_model_data_config

    data = resolve_model_data_config(model)
    size = section.config.get("img_size")
    if size is not None:
        sides = (size, size) if isinstance(size, int) else tuple(size)
        data["input_size"] = (data["input_size"][0], *sides)
    return create_transform(**data, is_training=False)


def _ends(model: Any) -> Run:
    def run(pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        features = model.forward_features(pixels)
        ends = {
            "pooler": first_tensor(model.forward_head(features, pre_logits=True)),
            LOGITS: first_tensor(model.forward_head(features)),
        }
        return {name: value.flatten(1) for name, value in ends.items() if value is not None}

    return run


def _prefix(model: Any) -> int:
    # CaiT and XCiT add their class token after the blocks.
    late = any(hasattr(model, name) for name in ("blocks_token_only", "cls_attn_blocks"))
    return 0 if late else int(getattr(model, "num_prefix_tokens", 0) or 0)


def _read_as(model: Any) -> Any:
    """Return the model, or what stands for one without a class token in its blocks."""
    return model if _prefix(model) else torch.nn.Identity()


def _known(section: TimmFeatures) -> str:
    """Return the name that timm builds the model by."""
    import timm

    name = section.model
    where = _where(section)
    if name.startswith(HUB):
        return f"{name}@{section.revision}" if section.revision and "@" not in name else name
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        problem = f"timm has no model '{architecture}'"
        mend = did_you_mean(architecture, timm.list_models())
        mend = mend if mend.startswith("did") else "timm.list_models() lists them; or hf-hub:..."
        raise FornixError(problem, where=where, mend=mend)
    tags = [one.partition(".")[2] for one in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        problem, mend = f"timm has no weights '{tag}' of {architecture}", did_you_mean(tag, tags)
        raise FornixError(problem, where=where, mend=mend)
    return name


def _repository(section: TimmFeatures) -> tuple[str, str | None, str | None]:
    """Return the hub's repository of the weights, its revision, and the name of their file."""
    import timm

    if section.model.startswith(HUB):
        repo, _, revision = section.model.removeprefix(HUB).partition("@")
        return repo, revision or section.revision, None
    found = timm.get_pretrained_cfg(_known(section))
    if found is None or not found.hf_hub_id:
        problem = f"timm publishes no weights of {section.model} on the Hugging Face hub"
        mend = "take another tag, init: random, or a file of your own (weights)"
        raise FornixError(problem, where=_where(section), mend=mend)
    return found.hf_hub_id, section.revision, found.hf_hub_filename


def _weights(section: TimmFeatures) -> Path:
    where = _where(section)
    if section.weights is not None:
        return local_file(section.weights, f"{where}: weights")
    repo, revision, name = _repository(section)
    return hub_file(repo, safe_names(name, "model.safetensors"), where, revision)


def _files(section: TimmFeatures) -> Iterator[Path]:
    library("timm", _where(section))
    if section.init == "pretrained":
        yield _weights(section)
    if section.model.startswith(HUB):
        repo, revision, _ = _repository(section)
        yield hub_file(repo, ["config.json"], _where(section), revision)


def _where(section: TimmFeatures) -> str:
    return f"features (kind: timm, model: {section.model})"
