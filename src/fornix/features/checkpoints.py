"""Build a Hugging Face model: pretrained, or drawn anew from its config and a seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError

from fornix.errors import FornixError, did_you_mean
from fornix.features.hub import CONFIG
from fornix.seeds import generator
from fornix.study.features import HuggingFaceFeatures

DERIVED = ("stage_names", "out_features", "out_indices", "_out_features", "_out_indices")
"""Config values that follow from others, and would contradict them after an override."""

TEXT_TOWERS = ("text_model", "language_model", "text_encoder")
READS = {"image": "pixel_values", "text": "input_ids"}


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


def load_model(
    section: HuggingFaceFeatures, folder: Path | None, modality: str, notes: list[str]
) -> tuple[Any, bool]:
    """Return the model that reads one modality, in evaluation mode, float32, on the CPU.

    Parameters
    ----------
    section
        Which model, and how it is initialised.
    folder
        Its files; None to build an architecture from its config alone.
    modality
        ``image`` or ``text``: of a model that takes both, the tower to return.
    notes
        Gets what was left out.

    Returns
    -------
    model
        The module; its ``config`` is its own.
    pooler
        Whether its pooler can be trusted: not if the checkpoint has no weights for it.

    Raises
    ------
    FornixError
        If the config is wrong, weights are missing, or the model reads something else.
    """
    where = f"features (kind: huggingface, model: {section.model})"
    with quiet(), _told(where):
        if section.init == "random":
            model, unset = _draw(build_config(section, folder), section.seed), set[str]()
        else:
            model, unset = _read(folder)
    found, prefix = _tower(model, modality)
    if getattr(found, "main_input_name", "") != READS[modality]:
        reads = "pictures" if modality == "text" else "text"
        shown = "texts" if modality == "text" else "pictures"
        problem = f"{section.model} ({type(found).__name__}) doesn't take {shown}, as the stimuli "
        problem += f"are; it takes {reads}"
        raise FornixError(problem, where=where, mend=f"name a model that takes {shown}")
    lacking = sorted(name for name in unset if name.startswith(prefix))
    if others := [name for name in lacking if "pooler" not in name]:
        problem = f"the checkpoint has no values for {len(others)} weights, such as {others[0]}"
        mend = "take a checkpoint of the whole model; init: random draws all of them"
        raise FornixError(problem, where=where, mend=mend)
    if lacking:
        notes.append(f"{section.model}: the checkpoint has no pooler; its layer is left out")
    found.config.use_cache = False  # keys and values of past tokens: nothing is generated
    return found.eval(), not lacking


def build_config(section: HuggingFaceFeatures, folder: Path | None) -> Any:
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
        folder, local_files_only=True, trust_remote_code=False
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


def _draw(config: Any, seed: int) -> Any:
    """Return a model with weights of its own random numbers; torch's generator isn't moved."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator(seed, "features", "init").integers(2**63)))
        return transformers.AutoModel.from_config(
            config, dtype=torch.float32, trust_remote_code=False
        )


def _read(folder: Path | None) -> tuple[Any, set[str]]:
    """Return a pretrained model, and the names of the weights that its files don't have."""
    # Weights that the files lack are drawn at random: not from the generator of anyone else.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, found = transformers.AutoModel.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    mismatched = {one if isinstance(one, str) else one[0] for one in found["mismatched_keys"]}
    return model, set(found["missing_keys"]) | mismatched


def _tower(model: Any, modality: str) -> tuple[Any, str]:
    """Return the part of a model that reads a modality, and the prefix of its weights' names."""
    config = model.config
    if hasattr(config, "vision_config") and hasattr(config, "text_config"):
        found = None
        if modality == "image":
            found = model.get_encoder(modality="image")
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
