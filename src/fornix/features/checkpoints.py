"""Build a Hugging Face model: pretrained, or drawn anew from its config and a seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError

from fornix.errors import FornixError, did_you_mean
from fornix.features.hub import CONFIG, place
from fornix.seeds import generator
from fornix.study.features.hub import HubSection

DERIVED = ("stage_names", "out_features", "out_indices", "_out_features", "_out_indices")
"""Config values that follow from others, and would contradict them after an override."""

TEXT_TOWERS = ("text_model", "language_model", "text_encoder")
READS = {
    "image": ("pixel_values",),
    "text": ("input_ids",),
    "audio": ("input_values", "input_features"),
    "video": ("pixel_values_videos", "pixel_values"),
}
"""Names of a model's main input, by what it is."""

SHOWN = {"image": "pictures", "text": "texts", "audio": "sounds", "video": "clips"}

HEADS = {
    "image": (transformers.AutoModelForImageClassification,),
    "text": (transformers.AutoModelForCausalLM, transformers.AutoModelForMaskedLM),
    "audio": (transformers.AutoModelForCTC, transformers.AutoModelForAudioClassification),
    "video": (transformers.AutoModelForVideoClassification,),
}
"""Heads that give logits, the first that an architecture has."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from advising and from drawing bars; errors come as exceptions."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@dataclass
class Loaded:
    """A model, in evaluation mode, float32, on the CPU.

    Attributes
    ----------
    model
        What is run: the part that reads the modality, or the whole model with its head.
    base
        The part whose modules are layers; its ``config`` is its own.
    pooler
        Whether its pooler can be trusted: not if the checkpoint has no weights for it.
    joint
        The whole model, where it brings two modalities into one space; else None.
    """

    model: Any
    base: Any
    pooler: bool
    joint: Any = None


def load_model(
    section: HubSection,
    folder: Path | None,
    modality: str,
    notes: list[str],
    *,
    head: bool = False,
    maps: bool = False,
) -> Loaded:
    """Return the model that reads one modality.

    Parameters
    ----------
    section
        Which model, and how it is initialised.
    folder
        Its files; None to build an architecture from its config alone.
    modality
        What goes in: of a model that takes several, its tower is returned.
    notes
        Gets what was left out.
    head
        Whether its head is wanted, which gives logits.
    maps
        Whether its attention maps are wanted, which the fast kernels don't keep.

    Raises
    ------
    FornixError
        If the config is wrong, weights are missing, or the model reads something else.
    """
    where = place(section)
    attention = {"attn_implementation": "eager"} if maps else {}
    with quiet(), _told(where):
        config = build_config(section, folder)
        kind = _class_of(config, modality, head, where)
        if section.init == "random":
            model, unset = _draw(kind, config, section, attention), set[str]()
        else:
            model, unset = _read(kind, folder, section, attention)
    found, prefix = (model, "") if modality == "image+text" else _tower(model, modality)
    if modality != "image+text" and getattr(found, "main_input_name", "") not in READS[modality]:
        problem = f"{section.model} ({type(found).__name__}) doesn't take {SHOWN[modality]}, as "
        takes = [name for kind, name in SHOWN.items()
                 if getattr(found, "main_input_name", "") in READS.get(kind, ())]  # fmt: skip
        problem += f"the stimuli are; it takes {' or '.join(takes) or 'something else'}"
        mend = f"name a model that takes {SHOWN[modality]}"
        raise FornixError(problem, where=where, mend=mend)
    lacking = sorted(name for name in unset if name.startswith(prefix))
    if others := [name for name in lacking if "pooler" not in name]:
        problem = f"the checkpoint has no values for {len(others)} weights, such as {others[0]}"
        mend = "take a checkpoint of the whole model; init: random draws all of them"
        raise FornixError(problem, where=where, mend=mend)
    if lacking:
        notes.append(f"{section.model}: the checkpoint has no pooler; its layer is left out")
    found.config.use_cache = False  # keys and values of past tokens: nothing is generated
    base = getattr(found, found.base_model_prefix, found) if head else found
    joint = model if hasattr(model, f"get_{modality}_features") and found is not model else None
    model.eval()
    return Loaded(found, base, not lacking, joint)


def _class_of(config: Any, modality: str, head: bool, where: str) -> Any:
    """Return the class that builds the model."""
    if modality == "image+text":
        known = transformers.models.auto.modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
        generates = type(config) in known
        return transformers.AutoModelForImageTextToText if generates else transformers.AutoModel
    architectures = getattr(config, "architectures", None) or []
    if not head:
        # A checkpoint of T5's encoder alone says so, and has no weights for a decoder.
        encoder = next((name for name in architectures if name.endswith("EncoderModel")), "")
        return getattr(transformers, encoder, transformers.AutoModel)
    for name in architectures:
        kind = getattr(transformers, name, None)
        if (kind is not None and "For" in name) or name.endswith("LMHeadModel"):
            return kind
    for kind in HEADS[modality]:
        if type(config) in kind._model_mapping:
            return kind
    problem = f"{type(config).__name__} has no head that gives logits"
    raise FornixError(problem, where=f"{where}: layers", mend="leave the layer logits out")


def build_config(section: HubSection, folder: Path | None) -> Any:
    """Return the config with the section's overrides.

    Raises
    ------
    FornixError
        If an override isn't a setting of this architecture.
    """
    if folder is None:
        _check_keys(section.config, transformers.AutoConfig.for_model(section.model))
        return transformers.AutoConfig.for_model(section.model, **section.config)
    config = transformers.AutoConfig.from_pretrained(
        folder, local_files_only=True, trust_remote_code=section.trust_remote_code is not None
    )
    if not section.config:
        return config
    _check_keys(section.config, config)
    known = {key: value for key, value in config.to_dict().items() if key not in DERIVED}
    return type(config).from_dict(_merge(known, section.config, config.attribute_map))


def _check_keys(overrides: Mapping[str, Any], config: Any, at: str = "config") -> None:
    for key, value in overrides.items():
        if not hasattr(config, key):
            problem = f"{type(config).__name__} has no setting '{key}'"
            known = [name for name in config.to_dict() if not name.startswith("_")]
            mend = did_you_mean(key, [*known, *config.attribute_map])
            raise FornixError(problem, where=f"features (kind: huggingface): {at}.{key}", mend=mend)
        inner = getattr(config, key)
        if isinstance(value, Mapping) and hasattr(inner, "to_dict"):
            _check_keys(value, inner, f"{at}.{key}")


def _merge(old: Any, new: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        name = names.get(key, key)
        nested = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merge(merged[name], value, {}) if nested else value
    return merged


def _draw(kind: Any, config: Any, section: HubSection, attention: dict[str, str]) -> Any:
    """Return a model with weights of its own random numbers; torch's generator isn't moved."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator(section.seed, "features", "init").integers(2**63)))
        trust = {} if section.trust_remote_code is None else {"trust_remote_code": True}
        if hasattr(kind, "from_config"):
            return kind.from_config(config, dtype=torch.float32, **trust, **attention)
        return kind._from_config(config, dtype=torch.float32, **attention)


def _read(
    kind: Any, folder: Path | None, section: HubSection, attention: dict[str, str]
) -> tuple[Any, set[str]]:
    """Return a pretrained model, and the names of the weights that its files don't have."""
    # Weights that the files lack are drawn at random: not from the generator of anyone else.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, found = kind.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=None if section.pickled else True,
            weights_only=True,
            local_files_only=True,
            trust_remote_code=section.trust_remote_code is not None,
            output_loading_info=True,
            **attention,
        )
    mismatched = {one if isinstance(one, str) else one[0] for one in found["mismatched_keys"]}
    return model, set(found["missing_keys"]) | mismatched


def _tower(model: Any, modality: str) -> tuple[Any, str]:
    """Return the part of a model that reads a modality, and the prefix of its weights' names."""
    config = model.config
    towers = ("vision_config", "audio_config", "text_config")
    if sum(hasattr(config, name) for name in towers) > 1:
        found = None
        if modality == "image":
            found = model.get_encoder(modality="image")
        elif modality == "audio":
            found = getattr(model, "audio_model", None)
        else:
            found = next((getattr(model, one) for one in TEXT_TOWERS if hasattr(model, one)), None)
    elif getattr(config, "is_encoder_decoder", False):
        found = model.get_encoder()
    else:
        found = model
    if found is None:
        found = model
    prefix = next(
        (f"{name}." for name, part in model.named_modules() if part is found and name), ""
    )
    return found, prefix


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Turn what transformers says of configs and files into errors that say where."""
    try:
        yield
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        ImportError,
        StrictDataclassError,
    ) as error:
        first = " ".join(str(error).split()) or type(error).__name__
        problem = f"transformers can't build the model: {first[:300]}"
        mend = f"check the model's {CONFIG} and the overrides in config; models that need code of "
        mend += "their own can't be run"
        raise FornixError(problem, where=where, mend=mend) from error
