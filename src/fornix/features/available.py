"""Whether the models that a study names can be had, before any job runs. Imports no torch."""

from __future__ import annotations

from typing import Any

from fornix.errors import FornixError, did_you_mean
from fornix.features import hub
from fornix.study.paths import expand

HUB_KINDS = ("huggingface", "captions", "surprisal")


def available(section: Any) -> str | None:
    """Raise if it is known already that a section's model can't be loaded.

    Nothing is downloaded, and no weights are read.

    Returns
    -------
    str or None
        The model's name; None for a kind that has none.

    Raises
    ------
    FornixError
        Naming the model, where it was looked for, and what to do.
    """
    if section.kind in HUB_KINDS:
        hub.available(section)
    elif section.kind == "onnx":
        where = f"features (kind: onnx, model: {section.model})"
        path = expand(section.model, where=where)
        if not path.is_file():
            beside = path.parent.glob("*.onnx") if path.parent.is_dir() else ()
            mend = did_you_mean(path.name, [one.name for one in beside]) or "mend the path"
            problem = f"there is no ONNX file {path}"
            raise FornixError(problem, where=where, mend=mend)
    found: str | None = getattr(section, "model", None)
    return found
