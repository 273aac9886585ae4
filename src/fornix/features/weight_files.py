"""Files of weights: a local one, one of the Hugging Face cache, or one of the hub.

Only safetensors are taken: a pickled checkpoint can run any code as it is read.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from fornix.errors import FornixError
from fornix.seeds import generator
from fornix.study.base import digest_of
from fornix.study.paths import expand

SAFE = ".safetensors"


def library(name: str, where: str) -> Any:
    """Import a library of the extra ``vision``.

    Raises
    ------
    FornixError
        If it isn't installed, or doesn't fit the torch that is.
    """
    mend = "pip install 'fornix[vision]'"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        problem = f"{error.name or name} isn't installed"
        raise FornixError(problem, where=where, mend=mend) from None
    except (ImportError, OSError, RuntimeError) as error:
        first = " ".join(str(error).split())[:200]
        problem = f"{name} can't be imported: {first}"
        mend = f"install torch and torchvision of one release and one build: {mend}"
        raise FornixError(problem, where=where, mend=mend) from None


def local_file(written: str, where: str) -> Path:
    """Return a local file of weights.

    Raises
    ------
    FornixError
        If it isn't there, or is no safetensors file.
    """
    path = expand(written, where=where)
    if not path.is_file():
        problem, mend = f"there is no file {path}", "give the path of a .safetensors file"
        raise FornixError(problem, where=where, mend=mend)
    if path.suffix != SAFE:
        problem = f"{path.name} isn't safetensors, and could run code as it is read"
        raise FornixError(problem, where=where, mend=_convert())
    return path


def hub_file(repo: str, names: Sequence[str], where: str, revision: str | None = None) -> Path:
    """Return the first of some files that a repository of the hub has, downloaded if need be.

    A file in the cache is taken without asking the hub whether there is a newer one.

    Raises
    ------
    FornixError
        If it has none of them, can't be reached, or mustn't be (``HF_HUB_OFFLINE``).
    """
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    for name in names:
        found = try_to_load_from_cache(repo, name, revision=revision)
        if isinstance(found, str):
            return Path(found)
    if constants.HF_HUB_OFFLINE:
        problem = f"{names[0]} of {repo} isn't here, and HF_HUB_OFFLINE forbids fetching it"
        pinned = f" --revision {revision}" if revision else ""
        mend = f"where there is a network: `hf download {repo} {names[0]}{pinned}`"
        looked = f"{where}; looked for in the cache {constants.HF_HUB_CACHE}"
        raise FornixError(problem, where=looked, mend=mend)
    for name in names:
        try:
            return Path(hf_hub_download(repo, name, revision=revision))
        except LocalEntryNotFoundError as error:
            raise _unreachable(repo, error, where) from None
        except EntryNotFoundError:
            continue
        except (HfHubHTTPError, OSError, ValueError) as error:
            raise _unreachable(repo, error, where) from None
    problem = f"{repo} has no {' or '.join(names)}; other weights could run code as they are read"
    raise FornixError(problem, where=where, mend=_convert())


def safe_names(name: str | None, standard: str) -> list[str]:
    """Return the names under which a repository may hold a checkpoint as safetensors.

    Examples
    --------
    >>> safe_names("open_clip_pytorch_model.bin", "model.safetensors")
    ['open_clip_pytorch_model.safetensors', 'open_clip_model.safetensors']
    """
    if not name:
        return [standard]
    stem = name.rpartition(".")[0]
    return list(dict.fromkeys([f"{stem}{SAFE}", f"{stem.replace('pytorch_', '')}{SAFE}"]))


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """Draw weights from a seed; torch's own generator isn't moved."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator(seed, "features", "init").integers(2**63)))
        yield


@contextmanager
def told(name: str, where: str) -> Iterator[None]:
    """Turn what a library says while it builds a model into errors that say where."""
    try:
        yield
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        RuntimeError,
        AssertionError,
        UnpicklingError,
    ) as error:
        first = " ".join(str(error).split()) or type(error).__name__
        problem = f"{name} can't build the model: {first[:300]}"
        mend = "check that config and weights are those of this model"
        raise FornixError(problem, where=where, mend=mend) from error


def draw_digest(model: str, config: Mapping[str, Any], seed: int, *libraries: str) -> str:
    """Return the digest of all that the weights of a random init follow from."""
    from importlib.metadata import version

    versions = [version(name) for name in (*libraries, "torch")]
    return digest_of([model, dict(config), seed, versions], 32)


def _unreachable(repo: str, error: Exception, where: str) -> FornixError:
    first = str(error).strip().partition("\n")[0] or type(error).__name__
    problem = f"{repo} can't be fetched from the Hugging Face hub: {first}"
    mend = "check the name, the revision and the network; a gated model needs `hf auth login`"
    return FornixError(problem, where=where, mend=mend)


def _convert() -> str:
    return "load the weights where you trust them, write them anew with safetensors.torch.save_file"
