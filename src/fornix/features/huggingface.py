"""Hidden states of Hugging Face vision and text models, every layer in one forward pass."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
import torch
import transformers
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer

from fornix.errors import FornixError
from fornix.features.hub import digest, is_architecture, locate
from fornix.features.images import image_paths, open_image
from fornix.features.layers import select_layers
from fornix.progress import track
from fornix.study.base import digest_of
from fornix.study.compute import Compute
from fornix.study.features import HuggingFaceFeatures

if TYPE_CHECKING:
    from numpy.typing import NDArray

HALF = (0.5, 0.5, 0.5)
MAX_TOKENS = 100_000
"""Tokenizers without a limit give an absurd number instead."""


class Inputs(Protocol):
    """Turns stimuli into a model's inputs."""

    def __call__(self, rows: pd.DataFrame) -> dict[str, torch.Tensor]:
        """Return keyword arguments of the model's forward pass, on the CPU."""


@dataclass
class Loaded:
    """A model ready to run.

    Attributes
    ----------
    model
        The tower that takes the stimuli, in evaluation mode.
    inputs
        Stimuli to its keyword arguments.
    has_pooler
        Whether its pooled output was trained (or is random like all the rest).
    """

    model: torch.nn.Module
    inputs: Inputs
    has_pooler: bool


def fingerprint(section: HuggingFaceFeatures) -> str:
    """Return a digest of what decides the model's numbers: its files, or how it is built."""
    if is_architecture(section):
        return digest_of([transformers.__version__, torch.__version__])
    return digest(locate(section))


def extract(
    section: HuggingFaceFeatures,
    stimuli: pd.DataFrame,
    root: Path,
    resources: Compute,
    notes: list[str],
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Yield batches of pooled hidden states: ``embeddings``, ``block1``..., ``pooler``.

    Parameters
    ----------
    section
        Model, pooling and layers.
    stimuli
        Rows of the stimulus table, all images or all texts.
    root
        The dataset's folder.
    resources
        Device and threads.
    notes
        Takes what a reader should know: texts cut short, parts of the model without weights.

    Raises
    ------
    FornixError
        If the model can't be loaded, or the stimuli aren't what it takes.
    """
    torch.set_num_threads(resources.threads)
    modality = _modality(section, stimuli)
    with _quiet():
        loaded = load(section, modality, root, notes)
    device = _device(resources.device)
    model = loaded.model.to(device)
    wanted: list[str] | None = None
    starts = range(0, len(stimuli), section.batch_size)
    for start in track(starts, f"{section.model}: batches"):
        kwargs = loaded.inputs(stimuli.iloc[start : start + section.batch_size])
        with torch.inference_mode(), _quiet():
            outputs = model(
                **{key: value.to(device) for key, value in kwargs.items()},
                output_hidden_states=True,
            )
        states = layers_of(outputs, has_pooler=loaded.has_pooler)
        wanted = wanted or select_layers(list(states), section.layers, section.model)
        mask = kwargs.get("attention_mask")
        mask = None if mask is None else mask.to(device)
        yield {
            name: pool(states[name], section.pooling, mask).float().cpu().numpy() for name in wanted
        }


def load(section: HuggingFaceFeatures, modality: str, root: Path, notes: list[str]) -> Loaded:
    """Load or build the model, and what turns stimuli into its inputs."""
    folder = None if is_architecture(section) else locate(section)
    try:
        if folder is None:
            config = AutoConfig.for_model(section.model, **section.config)
        else:
            config = AutoConfig.from_pretrained(folder, **section.config)
        missing: set[str] = set()
        if section.init == "random":
            model = _build(config, section.seed)
        else:
            model, missing = _read(folder)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        problem = f"the model can't be loaded: {str(error).splitlines()[0]}"
        mend = "check that the folder is whole and of a kind that transformers' AutoModel loads"
        raise FornixError(problem, where=f"model: {section.model}", mend=mend) from None
    without_pooler = {key for key in missing if "pooler" not in key}
    if without_pooler:
        problem = f"the checkpoint lacks weights of its model: {', '.join(sorted(without_pooler))}"
        mend = "use a checkpoint of the whole model, or init: random"
        raise FornixError(problem, where=f"model: {section.model}", mend=mend)
    if missing:
        notes.append(f"{section.model}: no layer 'pooler', the checkpoint has no weights for it")
    tower = _tower(model, modality)
    _check_pooling(section, tower, modality)
    if modality == "image":
        inputs: Inputs = _Pictures(folder, tower.config, root)
    else:
        inputs = _Texts(section, folder, tower.config, root, notes)
    return Loaded(tower.eval(), inputs, has_pooler=not missing)


def layers_of(outputs: Any, *, has_pooler: bool) -> dict[str, torch.Tensor]:
    """Return layer name -> hidden states, (item, token, dimension) or (item, dimension)."""
    hidden = outputs.hidden_states
    names = ["embeddings", *(f"block{i}" for i in range(1, len(hidden)))]
    states = dict(zip(names, hidden, strict=True))
    pooled = getattr(outputs, "pooler_output", None)
    if has_pooler and pooled is not None:
        states["pooler"] = pooled
    # Maps of convolutional networks, (item, channel, row, column), are tokens on a grid.
    return {
        name: state.flatten(2).transpose(1, 2) if state.ndim == 4 else state
        for name, state in states.items()
    }


def pool(state: torch.Tensor, pooling: str, mask: torch.Tensor | None) -> torch.Tensor:
    """Return one vector an item.

    Parameters
    ----------
    state
        (item, token, dimension), or (item, dimension), which is returned as it is.
    pooling
        ``mean``, ``max``, ``cls`` (first token), ``last`` or ``flatten``.
    mask
        (item, token), 1 for tokens and 0 for padding (on the right); None if all are tokens.
    """
    if state.ndim == 2:
        return state
    if mask is None:
        mask = torch.ones(state.shape[:2], dtype=torch.long, device=state.device)
    if pooling == "cls":
        return state[:, 0]
    if pooling == "last":
        return state[torch.arange(len(state), device=state.device), mask.sum(1) - 1]
    if pooling == "flatten":
        return state.flatten(1)
    real = mask.bool().unsqueeze(-1)
    if pooling == "max":
        return state.masked_fill(~real, -torch.inf).amax(1)
    return (state * real).sum(1) / real.sum(1)


class _Pictures:
    def __init__(self, folder: Path | None, config: Any, root: Path) -> None:
        self._root = root
        names = ("preprocessor_config.json", "processor_config.json")
        if folder is not None and any((folder / name).exists() for name in names):
            self._processor = AutoImageProcessor.from_pretrained(folder)
            return
        size = getattr(config, "image_size", None) or 224
        height, width = size if isinstance(size, list | tuple) else (size, size)
        self._processor = transformers.ViTImageProcessor(
            size={"height": height, "width": width}, image_mean=HALF, image_std=HALF
        )

    def __call__(self, rows: pd.DataFrame) -> dict[str, torch.Tensor]:
        pictures = [open_image(path) for path in image_paths(rows, self._root, "vision")]
        return dict(self._processor(images=pictures, return_tensors="pt"))


class _Texts:
    def __init__(
        self,
        section: HuggingFaceFeatures,
        folder: Path | None,
        config: Any,
        root: Path,
        notes: list[str],
    ) -> None:
        self._root, self._notes, self._cut = root, notes, 0
        if folder is None:
            problem = "a text model built from its architecture alone has no tokenizer"
            mend = "name a folder or a hub model, whose tokenizer is then used, with init: random"
            raise FornixError(problem, where=f"model: {section.model}", mend=mend)
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._tokenizer.padding_side = "right"
        if self._tokenizer.pad_token is None:  # padding is masked: any token will do
            self._tokenizer.pad_token = self._tokenizer.eos_token or self._tokenizer.unk_token
        limits = [
            self._tokenizer.model_max_length,
            getattr(config, "max_position_embeddings", None) or MAX_TOKENS,
        ]
        self._limit = min(*limits, MAX_TOKENS)

    def __call__(self, rows: pd.DataFrame) -> dict[str, torch.Tensor]:
        texts = [_text(row, self._root) for row in rows.to_dict("records")]
        lengths = [len(ids) for ids in self._tokenizer(texts)["input_ids"]]
        if cut := sum(length > self._limit for length in lengths):
            self._cut += cut
            note = f"texts longer than {self._limit} tokens were cut: "
            self._notes[:] = [one for one in self._notes if not one.startswith(note)]
            self._notes.append(f"{note}{self._cut}")
        tokens = self._tokenizer(
            texts, padding=True, truncation=True, max_length=self._limit, return_tensors="pt"
        )
        names = set(self._tokenizer.model_input_names) | {"attention_mask"}
        return {key: value for key, value in tokens.items() if key in names}


def _text(row: Mapping[Any, Any], root: Path) -> str:
    if isinstance(row["text"], str) and row["text"]:
        return row["text"]
    path = root / str(row["path"])
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = f"the stimulus can't be read as UTF-8 text: {error}"
        raise FornixError(problem, where=str(path), mend="save it as UTF-8") from None


def _modality(section: HuggingFaceFeatures, stimuli: pd.DataFrame) -> str:
    found = sorted(set(stimuli["modality"]))
    wanted = section.modality if section.modality != "auto" else found[0]
    if found != [wanted] or wanted not in ("image", "text"):
        problem = f"Hugging Face features read images or texts; the stimuli are {', '.join(found)}"
        mend = "mend `modality`, or say in the dataset's `stimuli` where the files are"
        raise FornixError(problem, where=f"model: {section.model}", mend=mend)
    return wanted


def _build(config: Any, seed: int) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoModel.from_config(config, dtype=torch.float32)


def _read(folder: Path | None) -> tuple[Any, set[str]]:
    model, info = AutoModel.from_pretrained(
        folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True
    )
    return model, set(info["missing_keys"])


def _tower(model: Any, modality: str) -> Any:
    """Return the part of a model that takes this modality."""
    part = {"image": "vision_model", "text": "text_model"}[modality]
    if hasattr(model, part):
        return getattr(model, part)
    if getattr(model.config, "is_encoder_decoder", False):
        model = model.get_encoder()
    wanted = {"image": "pixel_values", "text": "input_ids"}[modality]
    if model.main_input_name != wanted:
        problem = f"the model takes {model.main_input_name}, not the {modality}s of this dataset"
        mend = f"choose a model of {modality}s"
        raise FornixError(problem, where=f"model: {model.config.model_type}", mend=mend)
    return model


def _check_pooling(section: HuggingFaceFeatures, tower: Any, modality: str) -> None:
    where = f"model: {section.model}"
    if modality == "text" and section.pooling == "flatten":
        problem = "pooling: flatten needs stimuli of equal length, and texts differ"
        raise FornixError(problem, where=where, mend="use mean, max, cls or last")
    words = ("cls_token", "class_embedding")
    if modality == "image" and section.pooling == "cls":
        names = [name for name, _ in tower.named_parameters()]
        if not any(word in name for name in names for word in words):
            problem = "pooling: cls needs a class token, and this model has none"
            raise FornixError(problem, where=where, mend="use mean or max")


def _device(wanted: str) -> torch.device:
    if wanted == "cuda" and not torch.cuda.is_available():
        problem = "compute.device is cuda, and torch sees no GPU"
        raise FornixError(problem, where="compute.device", mend="use device: auto or cpu")
    name = "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"
    return torch.device(name)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' advice on configs and lengths; what matters is raised or noted."""
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        transformers.logging.set_verbosity(before)
