"""What the page is made of: everything that a study left behind, read once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from fornix.evaluation.claims import Verdict, judge
from fornix.evaluation.table import COLUMNS, GROUP, KEYS
from fornix.store import Artifact, open_artifact
from fornix.study.fits.union import BrainFit
from fornix.study.study import Study

ORDER = [column for column in KEYS if column != "study"]


@dataclass
class Material:
    """A finished study.

    Attributes
    ----------
    study
        The study.
    inputs
        Input name -> folder, as the stage gets them.
    """

    study: Study
    inputs: Mapping[str, Path]
    _opened: dict[str, Artifact] = field(default_factory=dict)

    def artifact(self, key: str) -> Artifact:
        """Return an input, opened once."""
        if key not in self._opened:
            self._opened[key] = open_artifact(self.inputs[key])
        return self._opened[key]

    def keys(self, prefix: str) -> list[str]:
        """Return the inputs of a kind, such as ``scores/`` or ``fit/encoding/``."""
        return [key for key in self.inputs if key.startswith(prefix)]

    @property
    def artifacts(self) -> list[str]:
        """The inputs that are artifacts, each once: all but the study file."""
        return self.once([key for key in self.inputs if key != "study"])

    def once(self, keys: Iterable[str]) -> list[str]:
        """Return the first key of each artifact: a cohort's fit is that of every subject."""
        found: dict[Path, str] = {}
        for key in keys:
            found.setdefault(self.inputs[key], key)
        return list(found.values())

    @cached_property
    def fits(self) -> list[str]:
        """The fits with a part of the page of their own: all but other fits' controls."""
        return [name for name in self.study.brain_fits if self.twin(name) is None]

    def details(self, fit: str) -> dict[str, Any]:
        """Return what evaluation says about a fit: how it judged, notes, further numbers."""
        return dict(self.artifact(f"scores/{fit}").json("details.json"))

    def analysis(self, name: str) -> Artifact:
        """Return the artifact of an analysis of features."""
        return self.artifact(f"analyses/{name}")

    def subjects(self, fit: str) -> list[str]:
        """Return the subjects of a fit."""
        return [key.split("/")[2] for key in self.keys(f"fit/{fit}/")]

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The table of all scores, in an order that doesn't depend on the jobs'."""
        return self._collect("scores", list(COLUMNS))

    @cached_property
    def intervals(self) -> pd.DataFrame:
        """The null's interval of every score, where there is one."""
        return self._collect("intervals", [*KEYS, "low", "high"])

    def _collect(self, part: str, columns: list[str]) -> pd.DataFrame:
        tables = [
            self.artifact(key).table(part)
            for key in [*self.keys("scores/"), *self.keys("analyses/")]
            if f"{part}.parquet" in self.artifact(key).manifest["parts"]
        ]
        filled = [table for table in tables if len(table)]
        if not filled:
            return tables[0][columns] if tables else pd.DataFrame(columns=columns)
        joined = pd.concat(filled, ignore_index=True).assign(study=self.study.name)
        order = {name: i for i, name in enumerate([*self.study.brain_fits, *self.study.analyses])}
        joined = joined.assign(_fit=joined["fit"].map(order))
        # Rows of a fit keep the order of its layers and regions; subjects' come before the group's.
        joined = joined.assign(_group=joined["subject"] == GROUP).sort_values(
            ["_fit", "_group", "subject", "session"], kind="stable", ignore_index=True
        )
        return joined[columns]

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """What became of the study's claims."""
        return [
            judge(claim, self.scores, self.intervals, confidence=self.study.scores.confidence)
            for claim in self.study.claims
        ]

    def twin(self, name: str) -> str | None:
        """Return the fit that a shuffled one is the control of (or None)."""
        fit = self.study.brain_fits[name]
        if not fit.shuffle:
            return None
        plain = _without_shuffle(fit)
        for other, candidate in self.study.brain_fits.items():
            if not candidate.shuffle and _without_shuffle(candidate) == plain:
                return other
        return None

    def control(self, name: str) -> str | None:
        """Return the shuffled twin of a fit (or None)."""
        return next((other for other in self.study.brain_fits if self.twin(other) == name), None)

    def rows(self, fit: str | None, metric: str | None = None) -> pd.DataFrame:
        """Return a fit's scores of single subjects, by one metric or all; none for no fit."""
        table = self.scores
        chosen = (table["fit"] == fit) & (table["subject"] != GROUP) & table["value"].notna()
        return table[chosen if metric is None else chosen & (table["metric"] == metric)]

    def in_time(self, fit: str) -> bool:
        """Return whether a fit has scores at several times."""
        rows = self.rows(fit)
        # A delay stands in the column of times, and is none.
        return len(set(rows.loc[rows["metric"] != "lag_r", "time"].dropna())) > 1

    def metric(self, fit: str) -> str:
        """Return the metric that a fit is shown by."""
        task = self.study.brain_fits[fit].task
        if task == "decoding":
            return "auc" if self.in_time(fit) else "accuracy"
        return str(getattr(self.study.fits[fit], "metric", "pearson_r"))

    def targets(self, fit: str) -> list[str]:
        """Return a fit's targets: features in the study's order, layers in the model's."""
        found = list(dict.fromkeys(self.rows(fit)["target"]))
        order: list[str] = []
        for name in getattr(self.study.brain_fits[fit], "features", []):
            if f"features/{name}" in self.inputs:
                order += self.layers(name)
        return [*(t for t in order if t in found), *(t for t in found if t not in order)]

    def layers(self, features: str) -> list[str]:
        """Return the targets of a features section, in the model's order."""
        data = self.artifact(f"features/{features}").dataset("features")
        return [f"{features}/{layer}" for layer in json.loads(data.attrs["layers"])]

    def attributes(self, responses: str) -> dict[str, dict[str, Any]]:
        """Return subject -> attributes of its responses."""
        return {
            key.split("/")[2]: dict(self.artifact(key).dataset("responses").attrs)
            for key in self.keys(f"responses/{responses}/")
        }


def words(values: xr.DataArray) -> list[str]:
    """Return a coordinate of texts as they are printed."""
    return [str(value) for value in values.values]


def _without_shuffle(fit: BrainFit) -> dict[str, Any]:
    return {key: value for key, value in fit.identity().items() if key != "shuffle"}
