"""Judge a searchlight: where models' dissimilarities agree with those of a sphere's patterns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fornix.evaluation.adjacency import adjacency_of
from fornix.evaluation.comparisons import UNCENTRED, square_places, vectors
from fornix.evaluation.corrections import HOW as HOW_CORRECTED
from fornix.evaluation.corrections import Corrections
from fornix.evaluation.metrics import Floats
from fornix.evaluation.permutation import CHUNK_BYTES, null_interval, p_value
from fornix.evaluation.rsa import WORDS
from fornix.evaluation.spheres import sphere_members, sphere_rdms
from fornix.evaluation.statistics.clusters import cluster_p
from fornix.evaluation.statistics.families import Family, false_discovery
from fornix.evaluation.table import VOLUME, Evaluated, score_row
from fornix.progress import track
from fornix.seeds import generator
from fornix.study.fits.searchlight import SearchlightFit
from fornix.study.scores import Evaluation, Scores

BATCH_BYTES = 128 << 20
"""Memory of the dissimilarities of spheres that are compared together."""

_HOW = {
    "p": "stimulus labels of the models' dissimilarities permuted, the same for all spheres and "
    "layers",
    "interval": "central interval of that null distribution",
    "maps": "each voxel's score is that of the sphere around it; maps have p, and p corrected for "
    "all spheres",
}
_HOW_MAPS = {
    "max": "; in maps over all spheres and layers",
    "fdr": "; in maps over all spheres and layers",
    "cluster": "; in maps clusters of voxels that share a face (p < 0.05 each), over all spheres "
    "of a layer",
}


def evaluate(
    section: Evaluation, fits: Mapping[str, xr.Dataset], samples: object = None, *, seed: int
) -> Evaluated:
    """Score every layer in every sphere of every subject, and the means over regions.

    Parameters
    ----------
    section
        The fit and how it is judged.
    fits
        Subject -> ``patterns.zarr``.
    samples
        Unused: there is no ceiling.
    seed
        The study's seed.
    """
    fit, scores = section.fit, section.scores
    assert isinstance(fit, SearchlightFit)  # noqa: S101 - what the stage chose this module by
    text = f"{WORDS[fit.comparison]} of a layer's dissimilarities with those of the patterns in "
    text += f"spheres of {fit.radius:g} mm, mean over the spheres centred in the region"
    found = Evaluated(how={fit.metric: text, **_HOW})
    if fit.comparison in UNCENTRED:
        found.how["chance"] = "mean of the null distribution: a cosine of distances is never 0"
    if scores.correction != "none":
        how = HOW_CORRECTED[scores.correction] + _HOW_MAPS[scores.correction]
        found.how["p_corrected"] = how
    for name, one in track(list(fits.items()), "subjects"):
        subject = _Subject(name, one.compute(), fit, scores, seed)
        flat = [
            t
            for t, model in zip(subject.targets, subject.models.T, strict=True)
            if np.isnan(model).any()
        ]
        if flat:
            found.notes.append(
                f"sub-{name}: all pairs of stimuli are equally far apart in {', '.join(flat)}, so "
                "that no correlation is defined"
            )
        if subject.left_out:
            found.notes.append(
                f"sub-{name}: {subject.left_out} of {len(subject.kept)} spheres have fewer than "
                f"{fit.n_voxels} voxels, or patterns that are flat; they have no score"
            )
        found.rows += subject.rows()
        found.maps[name] = subject.maps(found.how)
    return found


@dataclass
class _Subject:
    """One subject's spheres.

    Attributes
    ----------
    name
        The subject.
    fit
        ``patterns.zarr``, loaded.
    section, scores
        What is compared, and how it is judged.
    seed
        The study's seed.
    """

    name: str
    fit: xr.Dataset
    section: SearchlightFit
    scores: Scores
    seed: int

    def __post_init__(self) -> None:
        self.targets = [str(one) for one in self.fit["target"].values]
        self.regions = self.fit["roi"].values.astype(str)
        places = np.stack([self.fit[axis].values for axis in "xyz"], axis=1)
        self.members = sphere_members(places, self.section.radius)
        self.size = np.array([len(one) for one in self.members])
        self.kept = self.size >= self.section.n_voxels
        models = np.asarray(self.fit["model"].transpose("pair", "target").values, np.float64)
        self.models = vectors(models, self.section.comparison)
        self.models[:, ~self.models.any(0)] = np.nan
        n = self.fit.sizes["stimulus"]
        rng = generator(self.seed, "evaluate", "searchlight", self.name)
        self.orders = np.argsort(rng.random((self.scores.permutations, n)), axis=1)
        shape = (len(self.targets), len(self.kept))
        self.value, self.p, self.corrected = (np.full(shape, np.nan) for _ in range(3))
        self.chance = np.full(shape, np.nan)
        self._compare()

    @property
    def left_out(self) -> int:
        """Number of spheres without a score."""
        return int((~self.kept).sum())

    def _compare(self) -> None:
        """Fill values and p of every sphere, and the mean vector of every region."""
        names = [name for name in dict.fromkeys(self.regions) if name]
        self.means = {name: np.zeros(len(self.models)) for name in names}
        self.counts = dict.fromkeys(names, 0)
        family, places = Family(len(self.orders)), []
        whole = self.scores.correction == "cluster" and len(self.orders) > 0
        nulls = [np.zeros((len(self.orders), len(self.kept)), np.float32) for _ in self.targets]
        nulls = nulls if whole else []
        for spheres, brain in self._batches():
            self.value[:, spheres] = (brain.T @ self.models).T
            for name in names:
                here = self.regions[spheres] == name
                self.means[name] += brain[:, here].sum(1)
                self.counts[name] += int(here.sum())
            for t, null in enumerate(self._null(brain)):
                value = self.value[t, spheres]
                self.p[t, spheres] = p_value(null, value)
                if self.section.comparison in UNCENTRED and len(null):
                    self.chance[t, spheres] = null.mean(0)
                if whole:
                    nulls[t][:, spheres] = null
                elif self.scores.correction == "max":
                    family.add(value, null)
                    places.append((t, spheres))
        self._correct(family, places, nulls)

    def _batches(self) -> Iterator[tuple[NDArray[np.intp], Floats]]:
        """Yield spheres, and their dissimilarities as vectors (item, sphere) to be multiplied."""
        patterns = np.asarray(
            self.fit["pattern"].transpose("part", "stimulus", "unit").values, np.float64
        )
        step = max(1, BATCH_BYTES // (8 * len(self.models)))
        every = np.flatnonzero(self.kept)
        for start in range(0, len(every), step):
            spheres = every[start : start + step]
            members = [self.members[k] for k in spheres]
            rdms = sphere_rdms(patterns, members, self.section.brain_distance)
            defined = np.isfinite(rdms).all(1) & (np.ptp(rdms, axis=1) > 0)
            self.kept[spheres[~defined]] = False
            if defined.any():
                yield spheres[defined], vectors(rdms[defined].T, self.section.comparison)

    def _null(self, brain: Floats) -> list[Floats]:
        """Return the null of each target, (permutation, column), for vectors (item, column)."""
        n = self.orders.shape[1]
        if not len(self.orders):
            return [np.empty((0, brain.shape[1])) for _ in self.targets]
        rows, columns = np.triu_indices(n, 1)
        places = square_places(n)
        found = [np.empty((len(self.orders), brain.shape[1])) for _ in self.targets]
        step = max(1, CHUNK_BYTES // (8 * len(brain)))
        for start in range(0, len(self.orders), step):
            some = self.orders[start : start + step]
            moved = places[some[:, rows], some[:, columns]]
            if len(brain) > len(rows):  # entries of the diagonal follow the pairs
                moved = np.concatenate([moved, len(rows) + some], axis=1)
            for t, null in enumerate(found):
                null[start : start + step] = self.models[moved, t] @ brain
        return found

    def _correct(
        self,
        family: Family,
        places: list[tuple[int, NDArray[np.intp]]],
        nulls: list[NDArray[np.float32]],
    ) -> None:
        """Fill p corrected for all spheres."""
        if self.scores.correction == "fdr":
            self.corrected = false_discovery(self.p.ravel()).reshape(self.p.shape)
        elif self.scores.correction == "max" and places:
            corrected = np.split(
                family.corrected(), np.cumsum([len(spheres) for _, spheres in places])[:-1]
            )
            for (t, spheres), p in zip(places, corrected, strict=True):
                self.corrected[t, spheres] = p
        elif nulls:
            adjacency = adjacency_of(self.fit.isel(unit=np.flatnonzero(self.kept)))
            for t, null in enumerate(nulls):
                value = self.value[t, self.kept].astype(np.float32)
                self.corrected[t, self.kept] = cluster_p(
                    value, null[:, self.kept], adjacency=adjacency
                )

    def rows(self) -> list[dict[str, Any]]:
        """Return the mean over the spheres of each region, tested by the same permutations."""
        known = [name for name, count in self.counts.items() if count]
        rows: list[dict[str, Any]] = []
        if not known:
            return rows
        brain = np.stack([self.means[name] / self.counts[name] for name in known], axis=1)
        corrections = Corrections(self.scores.correction, self.scores.permutations)
        for t, null in enumerate(self._null(brain)):
            value = brain.T @ self.models[:, t]
            if np.isnan(value).any():
                continue
            low, high = null_interval(null, self.scores.confidence)
            p = p_value(null, value)
            uncentred = self.section.comparison in UNCENTRED
            chance = null.mean(0) if uncentred and len(null) else np.zeros(len(known))
            made = [
                score_row(
                    subject=self.name,
                    target=self.targets[t],
                    unit=name,
                    metric=self.section.metric,
                    value=float(value[k]),
                    chance=float(chance[k]),
                    p=float(p[k]),
                    n=len(self.models),
                    interval=(float(low[k]), float(high[k])),
                )
                for k, name in enumerate(known)
            ]
            corrections.add(made, value, null)
            rows += made
        corrections.finish()
        return rows

    def maps(self, how: Mapping[str, str]) -> xr.Dataset:
        """Return score, p and corrected p of every layer at every voxel."""
        names = [str(name) for name, one in self.fit.coords.items() if one.dims == ("unit",)]
        variables: dict[str, Any] = {
            self.section.metric: (("target", "unit"), self.value.astype(np.float32)),
            "n_voxels": ("unit", self.size),
        }
        if self.scores.permutations:
            variables["p"] = (("target", "unit"), self.p.astype(np.float32))
        if self.section.comparison in UNCENTRED:
            variables["chance"] = (("target", "unit"), self.chance.astype(np.float32))
        if self.scores.correction != "none":
            variables["p_corrected"] = (("target", "unit"), self.corrected.astype(np.float32))
        return xr.Dataset(
            variables,
            coords={"target": np.array(self.targets, dtype=object)}
            | {name: self.fit.coords[name] for name in names},
            attrs={k: self.fit.attrs[k] for k in VOLUME if k in self.fit.attrs}
            | {"subject": self.name, "how": json.dumps(dict(how))},
        )
