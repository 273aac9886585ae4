"""One network of all subjects: a trunk that everybody trains, and a linear head for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from fornix.devices import seeded, settings, torch_device
from fornix.errors import FornixError
from fornix.models.interface import Context, EncodingData, Predictions
from fornix.models.networks import (
    Learner,
    Part,
    one_layer,
    resamples,
    run_of,
    weights_of,
)

if TYPE_CHECKING:
    from fornix.study.fits.shared_trunk import SharedTrunkFit


class SharedTrunk(nn.Module):
    """Features -> trunk -> the head of a subject.

    Parameters
    ----------
    features
        Features of a sample.
    units
        Units of each subject.
    width, depth, dropout
        Of the trunk.
    """

    def __init__(
        self, features: int, units: Sequence[int], *, width: int, depth: int, dropout: float
    ) -> None:
        super().__init__()
        self.entry = nn.Sequential(nn.Linear(features, width), nn.GELU(), nn.Dropout(dropout))
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout)
            )
            for _ in range(depth - 1)
        )
        self.heads = nn.ModuleList(nn.Linear(width, n) for n in units)

    def forward(self, features: Tensor, subject: int) -> Tensor:
        """Return (sample, unit of this subject)."""
        found = self.entry(features.flatten(1))
        for layer in self.layers:
            found = found + layer(found)
        told: Tensor = self.heads[subject](found)
        return told


def fit_cohort(
    section: SharedTrunkFit, data: Mapping[str, EncodingData], context: Context
) -> dict[str, Predictions]:
    """Predict every held-out sample of every subject by one network a layer and fold.

    Parameters
    ----------
    section
        Settings.
    data
        Subject -> samples and features, with the same folds of stimuli in all.
    context
        Notes go here.

    Raises
    ------
    FornixError
        If subjects differ in their layers or in the number of folds.
    """
    first = next(iter(data.values()))
    for subject, one in data.items():
        if len(one.folds) != len(first.folds):
            problem = f"sub-{subject} has {len(one.folds)} folds, and others {len(first.folds)}"
            raise FornixError(problem, where="fit of all subjects", mend="set cv.groups: stimulus")
    found = {subject: Predictions() for subject in data}
    with settings(context.resources.threads):
        for target in first.targets:
            _fit_layer(section, data, context, target, found)
    return found


def _fit_layer(
    section: SharedTrunkFit,
    data: Mapping[str, EncodingData],
    context: Context,
    target: str,
    found: dict[str, Predictions],
) -> None:
    inputs = {
        who: one_layer(one, target).reshape(len(one.responses), -1) for who, one in data.items()
    }
    device = torch_device(context.resources, context.resources.devices)
    for who, one in data.items():
        found[who].predicted[target] = np.full_like(one.responses, np.nan)
    every = {who: np.arange(len(one.responses)) for who, one in data.items()}
    n_folds = len(next(iter(data.values())).folds)
    rows = {f"fold{i}": {w: one.folds[i][0] for w, one in data.items()} for i in range(n_folds)}
    rows |= {"all": every} if section.refit else {}
    for name, train in rows.items():
        place = (target, name)
        learners = _learn(section, data, context, inputs, place=place, train=train, found=found)
        if name == "all":
            continue
        for number, (who, one) in enumerate(data.items()):
            test = one.folds[int(name.removeprefix("fold"))][1]
            if len(test):
                told = [learner.predict(number, test, device) for learner in learners]
                found[who].predicted[target][test] = np.mean(told, axis=0, dtype=np.float64)


def _learn(
    section: SharedTrunkFit,
    data: Mapping[str, EncodingData],
    context: Context,
    inputs: Mapping[str, NDArray[Any]],
    *,
    place: tuple[str, str],
    train: Mapping[str, NDArray[np.intp]],
    found: dict[str, Predictions],
) -> list[Learner]:
    """Train the networks of one fold; weights and logs go to the first subject's predictions."""
    target, name = place
    inner = {who: one.inner(train[who]) for who, one in data.items()}
    fewest = min(inner.values(), key=lambda one: len(np.unique(one)))
    shared = next(iter(found.values()))
    learners = []
    for number in range(resamples(section, fewest, context.notes)):
        purpose = ("fit", "all", target, name, str(number))
        run = run_of(context, purpose)
        parts = [
            Part(
                inputs[who],
                one.responses,
                train[who][inner[who] != number],
                train[who][inner[who] == number],
            ).check(f"{run.where}, sub-{who}")
            for who, one in data.items()
        ]
        with seeded(context.seed, "weights", *purpose):
            network = SharedTrunk(
                inputs[next(iter(data))].shape[1],
                [one.responses.shape[1] for one in data.values()],
                width=section.width,
                depth=section.depth,
                dropout=section.dropout,
            )
        learner = Learner(network, parts, lambda net, values, who: net(values, who))
        trained = learner.fit(section, run)
        shared.logs.append(trained.log.assign(target=target, fold=name, network=number))
        if (name == "all") == section.refit:
            shared.weights |= weights_of(learner, f"{target}/{name}/{number}")
        learners.append(learner)
    return learners
