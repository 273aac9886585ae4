"""Layers of one tower of an open_clip model, all in one forward pass.

Layers are named ``embeddings``, ``block1`` to ``blockN`` and ``joint`` (the space that pictures
and texts share, not normalised); the path of any module of the tower is given when asked for.
Pictures and texts are prepared by open_clip's own transform and tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from fornix.devices import settings, torch_device
from fornix.errors import FornixError, did_you_mean
from fornix.features.extractor import Context
from fornix.features.forward import TorchExtractor
from fornix.features.modality import require
from fornix.features.network import Batch, Call, Network, Rows, each_row
from fornix.features.picture_networks import PIXELS, Tower, Transformed
from fornix.features.readouts import check_readouts, has_class_token
from fornix.features.taps import first_tensor
from fornix.features.weight_files import (
    SAFE,
    draw_digest,
    drawing,
    hub_file,
    library,
    local_file,
    safe_names,
    told,
)
from fornix.store.digests import combine, file_digest
from fornix.study.base import digest_of
from fornix.study.features.open_clip import OpenClipFeatures

TOKENS = "tokens"
STANDARD = "open_clip_model.safetensors"
PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")


@contextmanager
def open_extractor(
    section: OpenClipFeatures, rows: pd.DataFrame, context: Context
) -> Iterator[TorchExtractor]:
    """Load the model and find the layers of the tower that reads the stimuli.

    Raises
    ------
    FornixError
        If open_clip or the model isn't there, the stimuli are neither pictures nor texts, or the
        tower lacks what a readout asks for.
    """
    where = _where(section)
    modality = "text" if str(rows["modality"].iloc[0]) == "text" else "image"
    require(rows, modality, what=section.model, where=where)
    device = torch_device(context.resources)
    with settings(context.resources.threads):
        model = load_model(section)
        if modality == "image":
            network = _image_network(section, model, context, where)
        else:
            network = _text_network(section, model, rows, context, where)
        check_readouts(section.readouts, modality, network.model, None, where=where)
        if section.pretrained and not _is_file(section) and section.revision is None:
            context.notes.append(f"{section.model}: no revision of its weights is pinned")
        network.model.to(device)
        yield TorchExtractor(network, section, rows, context, device)


def fingerprint(section: OpenClipFeatures) -> str:
    """Return the digest of the weights and their config, or of what draws them."""
    library("open_clip", _where(section))
    parts = [("config", digest_of([_config(section), _tagged(section)], 32))]
    if section.init == "random":
        drawn = draw_digest(section.model, section.config, section.seed, "open_clip_torch")
        parts.append(("init", drawn))
    else:
        parts.append(("weights", file_digest(_weights(section))))
    return combine(parts)


def load_model(section: OpenClipFeatures) -> Any:
    """Return the model, in evaluation mode, float32, on the CPU.

    Raises
    ------
    FornixError
        If open_clip doesn't know it, or its weights aren't there or don't fit.
    """
    where = _where(section)
    open_clip = library("open_clip", where)
    config, tagged = _config(section), _tagged(section)
    weights = str(_weights(section)) if section.init == "pretrained" else None
    preprocessing = {key: tagged[key] for key in PREPROCESSING if key in tagged}
    with told("open_clip", where), drawing(section.seed):
        return open_clip.create_model(
            section.model,
            pretrained=weights,
            pretrained_text=False,
            force_quick_gelu=bool(tagged.get("quick_gelu", False)),
            force_custom_text=True,  # so that both towers are modules of their own
            force_preprocess_cfg=preprocessing,
            **{name: config[name] for name in section.config},
        ).eval()


@dataclass(frozen=True)
class Captions:
    """Prepares texts by open_clip's tokenizer, which pads them all to one length."""

    tokenizer: Any

    def plan(self, block: pd.DataFrame) -> list[list[Rows]]:
        """Return one input a text."""
        return each_row(block)

    def __call__(self, inputs: Sequence[pd.DataFrame]) -> Batch:
        """Return tokens, and the mask of those up to the end token."""
        tokens = self.tokenizer([str(one["text"].iloc[0]) for one in inputs])
        # Padding of CLIP's own tokenizer is 0, which is also a letter: only what comes last is it.
        inner = getattr(self.tokenizer, "tokenizer", None)
        padding = getattr(inner, "pad_token_id", 0) or 0
        counts = (tokens != padding).flip(1).cummax(1).values.flip(1)
        counts[:, 0] = True
        return Batch({"": Call({TOKENS: tokens}, counts.long())})

    def n_cut(self, texts: Sequence[str]) -> int:
        """Return how many texts are longer than the model takes."""
        if not hasattr(self.tokenizer, "encode"):
            return 0
        longest = self.tokenizer.context_length - 2  # start and end
        return sum(len(self.tokenizer.encode(text)) > longest for text in texts)


def _image_network(section: OpenClipFeatures, model: Any, context: Context, where: str) -> Network:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    tower = model.visual
    transform = image_transform_v2(PreprocessCfg(**tower.preprocess_cfg), is_train=False)
    trunk = getattr(tower, "trunk", tower)
    own = int(has_class_token(tower))
    return Network(
        model=tower,
        prepare=Transformed(transform, context.root, where),
        outputs=Tower(
            tower,
            partial(_joint, model.encode_image),
            where,
            PIXELS,
            places_first=getattr(trunk, "output_fmt", "") == "NHWC",
            compile=section.compile,
        ),
        where=where,
        prefix=int(getattr(trunk, "num_prefix_tokens", own) or 0),
    )


def _text_network(
    section: OpenClipFeatures, model: Any, rows: pd.DataFrame, context: Context, where: str
) -> Network:
    import open_clip

    length = int(model.text.context_length) if hasattr(model.text, "context_length") else None
    with told("open_clip", where):
        captions = Captions(open_clip.get_tokenizer(section.model, context_length=length))
    if cut := captions.n_cut([str(text) for text in rows["text"]]):
        context.notes.append(
            f"{cut} of {len(rows)} texts were cut at {length} tokens, the most that "
            f"{section.model} takes"
        )
    tower = Tower(
        model.text,
        partial(_joint, model.encode_text),
        where,
        TOKENS,
        compile=section.compile,
    )
    return Network(model.text, captions, tower, where, longest=length)


def _joint(encode: Any, value: torch.Tensor) -> dict[str, torch.Tensor]:
    found = first_tensor(encode(value))
    return {} if found is None else {"joint": found}


def _config(section: OpenClipFeatures) -> dict[str, Any]:
    """Return the model's config with the section's overrides."""
    import open_clip

    found = open_clip.get_model_config(section.model)
    if found is None:
        problem = f"open_clip has no model '{section.model}'"
        mend = did_you_mean(section.model, open_clip.list_models())
        raise FornixError(problem, where=_where(section), mend=mend)
    merged = dict(found)
    for key, value in section.config.items():
        old = merged.get(key)
        merged[key] = {**old, **value} if isinstance(old, dict) else value
    return merged


def _is_file(section: OpenClipFeatures) -> bool:
    written = section.pretrained or ""
    return "/" in written or written.endswith(SAFE) or Path(written).suffix in {".pt", ".bin"}


def _tagged(section: OpenClipFeatures) -> dict[str, Any]:
    """Return what open_clip says of tagged weights; nothing of a file or of none."""
    import open_clip

    if section.pretrained is None or _is_file(section):
        return {}
    found: dict[str, Any] = open_clip.get_pretrained_cfg(section.model, section.pretrained)
    if not found:
        problem = f"open_clip has no weights '{section.pretrained}' of {section.model}"
        tags = open_clip.list_pretrained_tags_by_model(section.model)
        mend = f"{did_you_mean(section.pretrained, tags)}; or give the path of a {SAFE} file"
        raise FornixError(problem, where=f"{_where(section)}: pretrained", mend=mend)
    if section.config and section.init == "pretrained":
        problem = "config overrides need init: random or a local file; tagged weights have theirs"
        raise FornixError(problem, where=f"{_where(section)}: config", mend="leave config out")
    return found


def _weights(section: OpenClipFeatures) -> Path:
    where = f"{_where(section)}: pretrained"
    if _is_file(section):
        return local_file(str(section.pretrained), where)
    repo, _, name = str(_tagged(section).get("hf_hub", "")).rpartition("/")
    if not repo:
        problem = f"the weights '{section.pretrained}' are published as a pickle only"
        mend = "load them where you trust them, and write them anew with safetensors"
        raise FornixError(problem, where=where, mend=mend)
    return hub_file(repo, safe_names(name, STANDARD), where, section.revision)


def _where(section: OpenClipFeatures) -> str:
    return f"features (kind: open_clip, model: {section.model})"
