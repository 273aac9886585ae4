"""Artifacts for the tests of fit and evaluate: small, with a planted truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from fornix.stages import evaluate, fit
from fornix.store.artifact import Artifact, Recipe, Target, create, open_artifact
from fornix.study.compute import Compute
from fornix.study.scores import Evaluation, Scores


def text(values: Any) -> np.ndarray:
    return np.asarray(values).astype(str).astype(object)


def write(path: Path, name: str, dataset: xr.Dataset, along: str) -> Path:
    with create(Target(path), Recipe("test", {}, {})) as draft:
        draft.write_dataset(name, dataset, along=along)
    return path


def write_responses(
    path: Path, values: np.ndarray, table: pd.DataFrame, rois: Any = None, subject: str = "01"
) -> Path:
    """Write voxels (sample, unit)."""
    coords = {
        name: ("sample", column.to_numpy() if column.dtype.kind in "if" else text(column))
        for name, column in table.items()
    }
    n = values.shape[1]
    coords |= {"unit": text([f"v{i}" for i in range(n)]), "i": ("unit", np.arange(n))}
    coords["roi"] = ("unit", text(["brain"] * n if rois is None else rois))
    dataset = xr.Dataset(
        {"responses": (("sample", "unit"), values.astype(np.float32))},
        coords=coords,
        attrs={"subject": subject, "volume_shape": [n, 1, 1], "affine": np.eye(4).tolist()},
    )
    return write(path, "responses", dataset, "unit")


def write_epochs(path: Path, epochs: np.ndarray, times: np.ndarray, table: pd.DataFrame) -> Path:
    """Write epochs (sample, channel, time)."""
    coords = {
        name: ("sample", column.to_numpy() if column.dtype.kind in "if" else text(column))
        for name, column in table.items()
    }
    coords |= {"channel": text([f"E{i}" for i in range(epochs.shape[1])]), "time": times}
    data = {"responses": (("sample", "channel", "time"), epochs.astype(np.float32))}
    return write(path, "responses", xr.Dataset(data, coords=coords), "sample")


def write_features(path: Path, layers: dict[str, np.ndarray], stimuli: Any) -> Path:
    data = {}
    for name, values in layers.items():  # tokens or places lie between stimuli and features
        between = [f"axis{i}:{name}" for i in range(values.ndim - 2)]
        data[name] = (("stimulus", *between, f"feature:{name}"), np.asarray(values, np.float32))
    attrs = {"layers": json.dumps(list(layers))}
    dataset = xr.Dataset(data, coords={"stimulus": text(stimuli)}, attrs=attrs)
    return write(path, "features", dataset, "stimulus")


def trials(stimuli: Any, runs: Any, **columns: Any) -> pd.DataFrame:
    n = len(stimuli)
    return pd.DataFrame(
        {
            "session": [""] * n,
            "run": runs,
            "recording": [f"run-{run}" for run in runs],
            "onset": np.arange(n) * 3.0,
            "trial": np.arange(n),
            "stimulus": stimuli,
            "trial_type": columns.pop("trial_type", ["image"] * n),
            **columns,
        }
    )


def fit_and_score(
    folder: Path,
    section: Any,
    responses: dict[str, Path],
    features: dict[str, Path] | None = None,
    *,
    seed: int = 0,
    **scores: Any,
) -> tuple[Artifact, dict[str, Artifact]]:
    """Run both stages; return the scores' artifact and the fits'."""
    given = {f"features/{name}": path for name, path in (features or {}).items()}
    inputs: dict[str, Path] = {f"responses/{s}": path for s, path in responses.items()}
    for subject, path in responses.items():
        target = Target(folder / "fits" / subject)
        one = {"responses": path, **given}
        fit.run(section, one, target, Compute(), subject=subject, seed=seed)
        inputs[f"fit/{subject}"] = target.path
    judged = Evaluation(fit=section, scores=Scores(**{"permutations": 200} | scores))
    target = Target(folder / "main-0123456789ab")
    evaluate.run(judged, inputs, target, Compute(), seed=seed)
    return open_artifact(target.path), {s: open_artifact(inputs[f"fit/{s}"]) for s in responses}
